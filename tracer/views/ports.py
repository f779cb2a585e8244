"""`ports`: ephemeral ports by where connections go: in use, in TIME_WAIT, free, and how long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tracer.flows import ports as flow
from tracer.flows.port_opens import PortOpens
from tracer.flows.ports import NOTHING, Ports, Use, Way
from tracer.views.listeners import rate
from tracer.views.port_rows import COLUMNS, MEMBERS, NOWHERE, Row, document
from tracer.views.summary import Block, Document, SummaryView
from tracer.views.tables import Column, Part
from tracer.views.text import address
from tracer.wire.batch import Batch
from tracer.wire.layout import Records

_RowOf = Callable[[Way], Row]


class PortsView(SummaryView):
    """What there is at the end of each block, where ports are scarcest first."""

    command = "ports"
    kind = "port_use"
    needs: tuple[str, ...] = ("records",)
    kinds = frozenset({"handshake"})
    wants_sysctls = True
    traces = True

    def start(self) -> None:
        """Begin to look."""
        self._settings: dict[int, dict[str, str]] = {}
        self._ranges: dict[int, flow.Range] = {}
        self._counted = PortOpens(self.facts.layout, self.head.started_ns)
        self._opens: Counter[Way] = Counter()
        self._failures: Counter[Way] = Counter()
        self._first: Ports | None = None
        self._before: Ports | None = None
        self._now: Ports | None = None

    def sysctls(self, found: dict[int, dict[str, str]]) -> None:
        """Which ports there are to choose from."""
        self._settings |= found
        ranges = {netns: flow.read_range(settings) for netns, settings in found.items()}
        self._ranges |= {netns: one for netns, one in ranges.items() if one is not None}

    def all_sockets(self, rows: Records, chosen: NDArray[np.bool_]) -> None:
        """Take a pass: ports count whoever has them, where one that is asked for goes."""
        self._now = Ports(rows, chosen, self._ranges, self.facts.layout)
        if self._first is None:
            self._first = self._before = self._now

    def gather(self, batch: Batch) -> None:
        """Count what was opened, and what found no port."""
        if "handshake" in batch.kinds:
            self._counted.add(batch.kinds["handshake"], self._ranges)

    def turn(self) -> None:
        """The next interval begins with the last look."""
        self._before = self._now
        taken = self._counted.take()
        self._opens += taken.opens
        self._failures += taken.failures

    # --- forms ----------------------------------------------------------------

    def how(self) -> str:
        """What the numbers stand on."""
        return "looks at all sockets, records of attempts"

    def shown(self) -> Sequence[Column[Row]]:
        """From where to where, then how many."""
        return COLUMNS

    def parts(self, block: Block) -> list[Part]:
        """The table, and what there is to choose from."""
        rows, more = self.chosen(self._rows(block))
        return [self.table(rows), *more, *self._choices(rows)]

    def documents(self, block: Block) -> list[Document]:
        """A record for each."""
        return [document(row, self.facts) for row in self.chosen(self._rows(block))[0]]

    def columns(self) -> Sequence[str]:
        """The members of a record."""
        return MEMBERS

    # --- rows -----------------------------------------------------------------

    def _rows(self, block: Block) -> list[Row]:
        if block.total:
            self.turn()
        opens = self._opens if block.total else self._counted.opens
        failures = self._failures if block.total else self._counted.failures
        now = self._now.uses if self._now else {}
        before = self._first if block.total else self._before
        then = before.uses if before else {}
        found = [
            self._row(way, now.get(way, NOTHING), then.get(way, NOTHING), opens[way], block)
            for way in set(now) | set(opens)
        ]
        rows = _with_failures(found, failures, self._row_of_none(block))
        return sorted(rows, key=Row.scarcity)

    def _row(self, way: Way, now: Use, then: Use, opens: int, block: Block) -> Row:
        settings = self._settings.get(way.netns, {})
        ports, seconds = self._ranges.get(way.netns), block.span_ns / 1e9
        process = self.facts.process(*now.owner)
        return Row(
            way,
            now,
            ports,
            self._now.listened.get(way.netns, 0) if self._now else 0,
            flow.reuses(settings, way.raddr),
            opens if self.traces else None,
            flow.pace(then, now, opens, seconds) if self.traces and seconds else None,
            (process.pid, process.comm) if process else (None, None),
            self.facts.host(address(way.laddr)) if way.laddr not in NOWHERE else "*",
            self.facts.endpoint(address(way.raddr), way.rport),
            seconds,
        )

    def _row_of_none(self, block: Block) -> _RowOf:
        return lambda way: self._row(way, NOTHING, NOTHING, 0, block)

    def _choices(self, rows: Sequence[Row]) -> list[str]:
        """For each namespace of the table, which ports there are."""
        places = {row.way.netns for row in rows}
        lines = []
        for netns in sorted(places):
            where = f"netns {netns}  " if len(places) > 1 else ""
            found = self._ranges.get(netns)
            if found is None:
                lines.append(f"{where}its range of ports is not known: CAP_SYS_ADMIN")
                continue
            listened = self._now.listened[netns] if self._now else 0
            ports = found.size - listened
            less = f", {len(found.reserved)} reserved" if found.reserved else ""
            less += f", {listened} listened on" if listened else ""
            lines.append(
                f"{where}{found}{less}: {ports} ports for each row; each kept for"
                f" {flow.TIME_WAIT_S} s by TIME_WAIT, {rate(flow.most_per_s(ports))}/s can go on"
            )
        return lines


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
