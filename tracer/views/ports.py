"""`ports`: ephemeral ports by where connections go: in use, in TIME_WAIT, free, and how long."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tracer.flows import ports as flow
from tracer.views.listeners import rate
from tracer.views.port_counts import PortCounts
from tracer.views.port_rows import COLUMNS, MEMBERS, Row, document
from tracer.views.summary import Block, Document, SummaryView
from tracer.views.tables import Column, Part
from tracer.wire.batch import Batch
from tracer.wire.layout import Records


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
        self._counts = PortCounts(self.facts, self.head, self.traces)

    def sysctls(self, found: dict[int, dict[str, str]]) -> None:
        """Which ports there are to choose from."""
        self._counts.sysctls(found)

    def all_sockets(self, rows: Records, chosen: NDArray[np.bool_]) -> None:
        """Take a pass."""
        self._counts.look(rows, chosen)

    def not_looked(self) -> None:
        """There was no last pass."""
        self._counts.not_looked()

    def tick(self, now_ns: int) -> None:
        """Passes from now on are of this moment."""
        self._counts.tick(now_ns)

    def gather(self, batch: Batch) -> None:
        """Take a batch."""
        self._counts.gather(batch)

    def turn(self) -> None:
        """The next interval begins."""
        self._counts.turn()

    # --- forms ----------------------------------------------------------------

    def how(self) -> str:
        """What the numbers stand on."""
        return "looks at all sockets, records of attempts"

    def shown(self) -> Sequence[Column[Row]]:
        """From where to where, then how many."""
        return COLUMNS

    def parts(self, block: Block) -> list[Part]:
        """The table, and what there is to choose from."""
        rows, more = self.chosen(self._counts.rows(block.span_ns, block.total))
        return [self.table(rows), *more, *self._choices(rows)]

    def documents(self, block: Block) -> list[Document]:
        """A record for each."""
        rows, _ = self.chosen(self._counts.rows(block.span_ns, block.total))
        return [document(row) for row in rows]

    def columns(self) -> Sequence[str]:
        """The members of a record."""
        return MEMBERS

    def _choices(self, rows: Sequence[Row]) -> list[str]:
        """For each namespace of the table, which ports there are."""
        places = {row.way.netns for row in rows}
        lines = []
        for netns in sorted(places):
            where = f"netns {netns}  " if len(places) > 1 else ""
            found = self._counts.ranges.get(netns)
            if found is None:
                lines.append(f"{where}{_unknown_range(self._counts.knows_settings)}")
                continue
            listened = self._counts.listened(netns)
            if listened is None:
                lines.append(
                    f"{where}{found}: no look at sockets at the end, so none says what is in use"
                )
                continue
            ports = found.size - listened
            less = f", {len(found.reserved)} reserved" if found.reserved else ""
            less += f", {listened} listened on" if listened else ""
            lines.append(
                f"{where}{found}{less}: {ports} ports for each row; each kept for"
                f" {flow.TIME_WAIT_S} s by TIME_WAIT, {rate(flow.most_per_s(ports))}/s can go on"
            )
        return lines


def _unknown_range(others_known: bool) -> str:
    """Why, as far as that is known."""
    if others_known:
        return "ip_local_port_range is not known: to enter that namespace takes CAP_SYS_ADMIN"
    return "ip_local_port_range is not known: no settings were read, or the recording has none"
