"""The table of `handshakes`: what it shows of a group of attempts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from tracer.flows.handshakes import Group
from tracer.flows.transitions import Spread
from tracer.views.columns import Facts
from tracer.views.handshake_words import FIRST_RTO_NS, MANY, NO_ANSWER, WELL
from tracer.views.spreads import most
from tracer.views.tables import Column
from tracer.views.text import duration


@dataclass(frozen=True)
class Row:
    """A group of attempts, and what --by calls it."""

    name: tuple[object, ...]
    group: Group
    facts: Facts

    @cached_property
    def outcomes(self) -> dict[str, int]:
        """How many ended each way, by the outcome's name."""
        names = self.facts.layout.names["outcome"]
        return {names[value]: count for value, count in self.group.outcomes().items()}

    @cached_property
    def latency(self) -> Spread:
        """Of those that succeeded."""
        return self.group.ended_as(self.facts.layout.enums["outcome"][WELL]).latency()

    def ended(self, outcome: str) -> int:
        """How many ended so."""
        return self.outcomes.get(outcome, 0)

    def silent(self) -> int:
        """Those that nobody answered."""
        return sum(self.ended(name) for name in NO_ANSWER)

    def other(self) -> int:
        """Those that ended in a way without a column."""
        told = sum(self.ended(name) for name in (WELL, "REFUSED", "RESET"))
        return self.group.ended - told - self.silent()

    def silent_text(self) -> str:
        """With a mark where they are many."""
        silent = self.silent()
        return f"{silent} !" if silent > MANY * self.group.attempts else str(silent)

    def longest(self) -> int | None:
        """Or the greatest lower bound, if that is longer."""
        return max(self.latency.most, self.latency.most_at_least) or None

    def tail_text(self) -> str:
        """The slowest hundredth, with a mark where SYNs had to be sent again."""
        tail = self.latency.quantile(0.99)
        if tail is None:
            return "-"
        well = self.group.ended_as(self.facts.layout.enums["outcome"][WELL])
        return duration(tail) + (" !" if tail >= FIRST_RTO_NS and well.again else "")


def _quantile(share: float) -> Callable[[Row], float | None]:
    return lambda row: row.latency.quantile(share)


NUMBERS: tuple[Column[Row], ...] = (
    Column("TRIES", lambda row: row.group.attempts),
    Column("OK", lambda row: row.ended(WELL)),
    Column("REFUSED", lambda row: row.ended("REFUSED")),
    Column("RESET", lambda row: row.ended("RESET"), spare=4),
    Column("NO_ANSWER", Row.silent, text=Row.silent_text),
    Column("OTHER", Row.other, spare=3),
    Column("PENDING", lambda row: row.group.pending),
    Column("p50", _quantile(0.5), duration),
    Column("p99", _quantile(0.99), text=Row.tail_text),
    Column("max", Row.longest, text=lambda row: most(row.latency), spare=2),
    Column("RTX", lambda row: row.group.again, spare=1),
)
