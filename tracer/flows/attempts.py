"""Attempts to connect of the last minute, by process and peer; beyond a number, all in one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracer.flows.grouping import Grouping
from tracer.flows.handshakes import COLUMN, Group, HandshakeTable
from tracer.flows.transitions import Spread
from tracer.wire.layout import Layout, Records

BY = Grouping(frozenset({"pid", "start", "high", "low", "rport"}), port_of_active=True)
BY_PROCESS = Grouping(frozenset({"pid", "start"}))
MOST = 4096  # rows of a table in a part of the minute


class Attempts:
    """`by_peer` up to MOST rows; what comes then is in `by_process`, and then in `rest` by role."""

    def __init__(self, layout: Layout) -> None:
        self.by_peer = HandshakeTable(layout, BY)
        self.by_process = HandshakeTable(layout, BY_PROCESS)
        self.rest = HandshakeTable(layout, Grouping())

    def add(self, records: Records) -> None:
        """Count a batch of handshake records."""
        tables = (self.by_peer, self.by_process)
        next((one for one in tables if one.size <= MOST), self.rest).add(records)

    def frozen(self) -> tuple[HandshakeTable, HandshakeTable, HandshakeTable]:
        """All three as they stand."""
        return self.by_peer.frozen(), self.by_process.frozen(), self.rest.frozen()


def whole(tables: list[HandshakeTable]) -> HandshakeTable:
    """All of them together."""
    found = HandshakeTable(tables[0].layout, tables[0].grouping)
    for table in tables:
        found.merge(table)
    return found


def spread_of(tables: list[HandshakeTable], role: int, well: int) -> Spread:
    """How long attempts of this role took that ended well."""
    rows = [table.rows() for table in tables]
    keys = np.concatenate([keys for keys, _ in rows])
    values = np.concatenate([values for _, values in rows])
    chosen: NDArray[np.bool_] = keys[:, COLUMN["role"]] == role
    return Group(keys[chosen], values[chosen]).ended_as(well).latency()
