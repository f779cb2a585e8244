"""Ports of each way and what became of them, as rows: of intervals, and of the whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tracer.flows import ports as flow
from tracer.flows.port_opens import PortOpens
from tracer.flows.ports import NOTHING, Ports, Use, Way
from tracer.views.columns import Facts
from tracer.views.port_rows import NOWHERE, Row
from tracer.views.text import address
from tracer.wire.batch import Batch
from tracer.wire.layout import Records

_RowOf = Callable[[Way], Row]


class PortCounts:
    """Takes what a view is told; `ranges` and `listened` are of each namespace.

    `traces`: whether attempts are told of, or sockets looked at alone.
    """

    def __init__(self, facts: Facts, started_ns: int, traces: bool) -> None:
        self._facts, self._traces = facts, traces
        self._settings: dict[int, dict[str, str]] = {}
        self.ranges: dict[int, flow.Range] = {}
        self._counted = PortOpens(facts.layout, started_ns)
        self._opens: Counter[Way] = Counter()
        self._failures: Counter[Way] = Counter()
        self._first: Ports | None = None
        self._before: Ports | None = None
        self._now: Ports | None = None

    def sysctls(self, found: dict[int, dict[str, str]]) -> None:
        """Which ports there are to choose from."""
        self._settings |= found
        ranges = {netns: flow.read_range(settings) for netns, settings in found.items()}
        self.ranges |= {netns: one for netns, one in ranges.items() if one is not None}

    def look(self, rows: Records, chosen: NDArray[np.bool_]) -> None:
        """Take a pass: ports count whoever has them, where one that is asked for goes."""
        self._now = Ports(rows, chosen, self.ranges, self._facts.layout)
        if self._first is None:
            self._first = self._before = self._now

    def gather(self, batch: Batch) -> None:
        """Count what was opened, and what found no port."""
        if "handshake" in batch.kinds:
            self._counted.add(batch.kinds["handshake"], self.ranges)

    def turn(self) -> None:
        """The next interval begins with the last look."""
        self._before = self._now
        taken = self._counted.take()
        self._opens += taken.opens
        self._failures += taken.failures

    def listened(self, netns: int) -> int:
        """How many ports of the range somebody listens on."""
        return self._now.listened.get(netns, 0) if self._now else 0

    def rows(self, span_ns: int, total: bool) -> list[Row]:
        """Of the interval, or of the whole, which ends counting; the scarcest first."""
        if total:
            self.turn()
        opens = self._opens if total else self._counted.opens
        failures = self._failures if total else self._counted.failures
        before = self._first if total else self._before
        now, then = (one.uses if one else {} for one in (self._now, before))
        seconds = span_ns / 1e9

        def row(way: Way) -> Row:
            uses = now.get(way, NOTHING), then.get(way, NOTHING)
            return self._row(way, *uses, opens[way], seconds)

        found = [row(way) for way in set(now) | set(opens)]
        return sorted(_with_failures(found, failures, row), key=Row.scarcity)

    def _row(self, way: Way, now: Use, then: Use, opens: int, seconds: float) -> Row:
        facts, settings = self._facts, self._settings.get(way.netns, {})
        process = facts.process(*now.owner)
        return Row(
            way,
            now,
            self.ranges.get(way.netns),
            self.listened(way.netns),
            flow.reuses(settings, way.raddr),
            opens if self._traces else None,
            flow.pace(then, now, opens, seconds) if self._traces and seconds else None,
            (process.pid, process.comm) if process else (None, None),
            facts.host(address(way.laddr)) if way.laddr not in NOWHERE else "*",
            facts.endpoint(address(way.raddr), way.rport),
            seconds,
        )


def _with_failures(rows: list[Row], failures: Counter[Way], make: _RowOf) -> list[Row]:
    """Rows with what found no port there.

    Where the kernel had chosen no local address, it is the only one in use for that destination,
    or not known.
    """
    known = {row.way for row in rows}
    found = Counter[Way]()
    for way, count in failures.items():
        there = [one for one in known if replace(one, laddr=way.laddr) == way]
        found[there[0] if way.laddr in NOWHERE and len(there) == 1 else way] += count
    told = [replace(row, failures=found.pop(row.way, 0)) for row in rows]
    return told + [replace(make(way), failures=count) for way, count in found.items()]
