"""What `resets` puts together: by which words, what each says of a sort of RSTs, and how many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from errno import errorcode

from tracer.flows.grouping import Numbers
from tracer.flows.histogram import Histogram
from tracer.flows.reset_counts import ResetCounts
from tracer.flows.resets import SORTS, Key
from tracer.views.columns import Facts
from tracer.views.keys import By
from tracer.views.reset_columns import LOCAL, NO_REASON
from tracer.views.spreads import quantile
from tracer.views.tables import Column
from tracer.views.text import TICK_NS

OWN_KEYS = ("direction", "local", "by", "reason", "answers", "state", "errno")
DEFAULT = ("direction", "by", "reason", "pid", "comm", "peer")


@dataclass(frozen=True)
class Row:
    """RSTs that --by puts together."""

    name: tuple[object, ...]
    count: int
    rate: float  # a second
    idle: Histogram


NUMBERS: tuple[Column[Row], ...] = (
    Column("COUNT", lambda row: row.count),
    Column("RATE/s", lambda row: row.rate, lambda rate: f"{rate:.1f}", spare=1),
    Column(
        "SILENT",
        lambda row: row.idle.quantile(0.5),
        text=lambda row: _silent(row.idle),
        spare=2,
    ),
)


def needs_records(words: Sequence[str]) -> bool:
    """Whether the kernel's counts do not tell what --by asks for."""
    return not set(words) <= {*OWN_KEYS, *ResetCounts.TELL}


def label(by: By, facts: Facts, numbers: Numbers) -> Callable[[Key], tuple[object, ...]]:
    """The values of the words for what a key stands for; `numbers` are those of its places."""
    of_place, places = by.label(facts), numbers.places

    def name(key: Key) -> tuple[object, ...]:
        own = _own(dict(zip(SORTS, key, strict=False)), facts)
        if key[-1] < 0:  # ResetCounts: of many peers
            own |= {"peer": None, "raddr": None}
        values = of_place(places[abs(key[-1])])
        return tuple(own.get(word, value) for word, value in zip(by.words, values, strict=True))

    return name


def _own(sort: dict[str, int], facts: Facts) -> dict[str, object]:
    """What the sort of a RST says, by the words of --by."""
    by = facts.reset_bys[sort["by"]] if sort["by"] else None
    reason = sort["reason"]
    return {
        "direction": facts.reset_ways[sort["way"]],
        "by": by,
        "local": by in LOCAL and not sort["answers"],
        "reason": None if reason == NO_REASON else facts.reset_reasons.get(reason, str(reason)),
        "answers": facts.answered[sort["answers"]] if sort["answers"] else None,
        "state": facts.states[sort["state"]] if sort["state"] else None,
        "errno": errorcode.get(sort["error"], str(sort["error"])) if sort["error"] else None,
    }


def _silent(idle: Histogram) -> str:
    """Half were so for no longer; the kernel's ticks are no finer than 10 ms everywhere."""
    half = idle.quantile(0.5)
    return "<10ms" if half is not None and half < TICK_NS else quantile(idle, 0.5)
