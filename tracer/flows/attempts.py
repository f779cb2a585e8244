"""Attempts to connect of the last minute, by process and peer; beyond a number, all in one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracer.flows.grouping import Grouping
from tracer.flows.handshakes import COLUMN, Group, HandshakeTable
from tracer.flows.transitions import Spread
from tracer.wire.layout import Layout, Records

BY = Grouping(frozenset({"pid", "start", "high", "low", "rport"}), port_of_active=True)
MOST = 2048  # rows of a part; further ones are counted by role alone


class Attempts:
    """`detailed` up to MOST rows; what comes then is in `rest`, which keeps no peer or process."""

    def __init__(self, layout: Layout) -> None:
        self.detailed = HandshakeTable(layout, BY)
        self.rest = HandshakeTable(layout, Grouping())

    def add(self, records: Records) -> None:
        """Count a batch of handshake records."""
        full = self.detailed.size > MOST
        (self.rest if full else self.detailed).add(records)

    def frozen(self) -> tuple[HandshakeTable, HandshakeTable]:
        """Both as they stand."""
        return self.detailed.frozen(), self.rest.frozen()


def whole(tables: list[HandshakeTable]) -> HandshakeTable | None:
    """All of them together; None if there are none."""
    if not tables:
        return None
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
