"""Ports of each way and what became of them, as rows: of intervals, and of the whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tracer.flows import ports as flow
from tracer.flows.port_opens import PortOpens
from tracer.flows.ports import NOTHING, Pace, Ports, Way
from tracer.views.columns import Facts
from tracer.views.port_rows import NOWHERE, Row
from tracer.views.text import address
from tracer.wire.batch import Batch
from tracer.wire.head import Head
from tracer.wire.layout import Records

_RowOf = Callable[[Way], Row]


class PortCounts:
    """Takes what a view is told; `ranges` and `listened` are of each namespace.

    `traces`: whether attempts are told of, or sockets looked at alone. Of a part of a recording
    looks may be from before its begin.
    """

    def __init__(self, facts: Facts, head: Head, traces: bool) -> None:
        self._facts, self._traces, self._started_ns = facts, traces, head.started_ns
        self._tick_ns = 0 if "SINCE" in head.filters else head.started_ns
        self._late_s = 0.0  # from the begin to the first look
        self._settings: dict[int, dict[str, str]] = {}
        self.ranges: dict[int, flow.Range] = {}
        self._counted = PortOpens(facts.layout, head.started_ns)
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

    @property
    def knows_settings(self) -> bool:
        """Whether those of any namespace were told."""
        return bool(self._settings)

    def look(self, rows: Records, chosen: NDArray[np.bool_]) -> None:
        """Take a pass: ports count whoever has them, where one that is asked for goes."""
        if self._tick_ns < self._started_ns:
            return
        self._now = Ports(rows, chosen, self.ranges, self._facts.layout)
        if self._first is None:
            self._first = self._before = self._now
            self._late_s = (self._tick_ns - self._started_ns) / 1e9

    def not_looked(self) -> None:
        """There was no last pass."""
        self._now = None

    def tick(self, now_ns: int) -> None:
        """Passes from now on are of this moment."""
        self._tick_ns = now_ns

    def gather(self, batch: Batch) -> None:
        """Count what was opened, and what found no port."""
        if "handshake" in batch.kinds:
            self._counted.add(batch.kinds["handshake"], self.ranges)

    def turn(self) -> None:
        """The next interval begins with the last look."""
        self._before = self._now
        taken = self._counted.take(self.ranges)
        self._opens += taken.opens
        self._failures += taken.failures

    def listened(self, netns: int) -> int | None:
        """How many ports of the range somebody listens on; None: there was no look."""
        return self._now.listened.get(netns, 0) if self._now else None

    def rows(self, span_ns: int, total: bool) -> list[Row]:
        """Of the interval, or of the whole, which ends counting; the scarcest first."""
        if total:
            self.turn()
        so_far = self._counted.so_far(self.ranges)
        opens = self._opens if total else so_far.opens
        failures = self._failures if total else so_far.failures
        before = self._first if total else self._before
        seconds = span_ns / 1e9

        def row(way: Way) -> Row:
            return self._row(way, before, opens[way], seconds)

        found = [row(way) for way in set(self._now.uses if self._now else ()) | set(opens)]
        return sorted(_with_failures(found, failures, row), key=Row.scarcity)

    def _pace(self, way: Way, before: Ports | None, opens: int, seconds: float) -> Pace | None:
        """None where there are no two looks."""
        now = self._now
        if not (self._traces and now and before) or now is before:
            return None
        between = seconds - (self._late_s if before is self._first else 0.0)
        if seconds <= 0 or between <= 0:
            return None
        then = before.uses.get(way, NOTHING)
        return flow.pace(then, now.uses.get(way, NOTHING), opens, seconds, between)

    def _row(self, way: Way, before: Ports | None, opens: int, seconds: float) -> Row:
        facts, settings = self._facts, self._settings.get(way.netns, {})
        use = self._now.uses.get(way, NOTHING) if self._now else None
        process = facts.process(*use.owner) if use else None
        return Row(
            way,
            use,
            self.ranges.get(way.netns),
            self.listened(way.netns),
            flow.reuses(settings, way.raddr),
            opens if self._traces else None,
            self._pace(way, before, opens, seconds),
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
