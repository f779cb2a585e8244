"""Attempts to connect as rules see them: by process and peer, and how they ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tracer.advice.evidence import Attempted, Owner
from tracer.flows.grouping import Grouping, unmask_address
from tracer.flows.handshakes import COLUMN, HandshakeTable
from tracer.views.text import address
from tracer.wire.layout import Layout, Records

BY = Grouping(frozenset({"pid", "start", "high", "low", "rport", "netns"}), port_of_active=True)
_KEY = ("pid", "start", "high", "low", "rport", "netns")


@dataclass
class _Ended:
    outcomes: dict[str, int] = field(default_factory=dict)
    again: int = 0


class AttemptCounts:
    """Handshakes of this side, counted."""

    def __init__(self, layout: Layout, owner: Callable[[int, int], Owner]) -> None:
        self._layout, self._owner = layout, owner
        self._table = HandshakeTable(layout, BY)

    def add(self, records: Records) -> None:
        """Count a batch of handshake records: of those, this side's attempts."""
        self._table.add(records[records["role"] == self._layout.enums["role"]["ACTIVE"]])

    def told(self) -> list[Attempted]:
        """One for each process and peer."""
        names = self._layout.names["outcome"]
        found: dict[tuple[int, ...], _Ended] = {}
        keys, values = self._table.rows()
        for key, count in zip(keys.tolist(), values[:, 0].tolist(), strict=True):
            ended = found.setdefault(tuple(key[COLUMN[name]] for name in _KEY), _Ended())
            outcome = names[key[COLUMN["outcome"]]].lower()
            ended.outcomes[outcome] = ended.outcomes.get(outcome, 0) + count
            ended.again += key[COLUMN["again"]] * count
        return [
            Attempted(
                self._owner(pid, start),
                address(unmask_address(high, low)),
                port,
                ended.outcomes,
                ended.again,
                netns,
            )
            for (pid, start, high, low, port, netns), ended in found.items()
        ]
