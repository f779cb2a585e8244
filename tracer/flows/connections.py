"""Open connections, pass by pass: what each is now, and what moved since the pass before.

    table = OpenConnections(layout)
    now = table.look(rows, now_ns)  # rows of `open_row`, owners given (tracer/flows/owners.py)
    now.rows["recv_queue"], now.rx_per_s, now.is_new

Passes are joined by the sockets' cookies, and a rate is of the time between the two moments at
which its socket was looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracer.flows.owners import FULL
from tracer.wire.layout import Layout, Records

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pass:
    """One pass. Rates are bytes a second since the one compared with, NaN where there is none.

    `is_new`: it was not there then; its rate counts from 0 over all of the time between. `gone`:
    how many of then are no more.
    """

    rows: Records
    rx_per_s: Floats
    tx_per_s: Floats
    is_new: NDArray[np.bool_]
    gone: int = 0


class OpenConnections:
    """Keeps the latest pass and, to tell `in_all`, the first, to compare with."""

    def __init__(self, layout: Layout, in_all: bool = True) -> None:
        self._keeps_first = in_all
        self._listen = layout.enums["tcp_state"]["LISTEN"]
        self._first: _Kept | None = None
        self._last: _Kept | None = None

    def look(self, rows: Records, now_ns: int) -> Pass:
        """Take a pass that began at this moment; rates are since the one before."""
        kept = _Kept(rows[rows["state"] != self._listen], now_ns)
        before, self._last = self._last, kept
        if self._first is None and self._keeps_first:
            self._first = kept
        return _compare(kept, before)

    def in_all(self) -> Pass | None:
        """The latest pass, with rates since the first; None before any."""
        if self._last is None:
            return None
        return _compare(self._last, None if self._last is self._first else self._first)


class _Kept(NamedTuple):
    rows: Records
    now_ns: int


def _compare(now: _Kept, then: _Kept | None) -> Pass:
    """A pass beside an earlier one. A mini-socket has a cookie of its own, and counts nothing."""
    rows = now.rows
    full = (rows["flags"] & FULL) > 0
    unknown = np.full(len(rows), np.nan)
    if then is None:
        return Pass(rows, unknown, unknown.copy(), np.zeros(len(rows), np.bool_))
    before = then.rows[(then.rows["flags"] & FULL) > 0]
    order = np.argsort(before["cookie"])
    place = np.searchsorted(before["cookie"][order], rows["cookie"])
    known = place < len(before)
    known[known] = before["cookie"][order[place[known]]] == rows["cookie"][known]
    earlier = before[order[place[known]]]
    span_ns = np.full(len(rows), float(now.now_ns - then.now_ns))
    span_ns[known] = rows["mono_ns"][known].astype(np.float64) - earlier["mono_ns"]
    rates = []
    for name in ("rx_bytes", "tx_bytes"):
        moved = rows[name].astype(np.float64)
        moved[known] -= earlier[name]
        rates.append(np.where(full, moved / (span_ns / 1e9), np.nan))
    return Pass(rows, rates[0], rates[1], full & ~known, len(before) - int(known.sum()))
