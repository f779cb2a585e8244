"""What the kernel keeps of each open connection, as the last look found it, and rates since."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracer.flows.connections import OpenConnections
from tracer.wire.layout import Layout, Records

# what is kept of a row: tens of thousands of them stay in memory
KEPT = (
    *("cookie", "mono_ns", "state", "flags", "recv_queue", "send_queue", "srtt_us", "min_rtt_us"),
    *("rx_bytes", "tx_bytes", "segs_in", "segs_out", "retransmits", "retransmit_bytes"),
    *("cwnd", "mss", "congestion", "busy_ns", "rwnd_limited_ns", "sndbuf_limited_ns"),
)


class Measured:
    """The last look, by cookie; `rx_per_s` and `tx_per_s` are NaN where nothing is known."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._table = OpenConnections(layout, in_all=False)
        self.rows = np.zeros(0, np.dtype([("cookie", "u8")]))
        self.rx_per_s = self.tx_per_s = np.zeros(0)

    def look(self, found: Records, now_ns: int) -> None:
        """Take a pass of `open_row`."""
        slim = np.zeros(len(found), np.dtype([(name, found.dtype[name]) for name in KEPT]))
        for name in KEPT:
            slim[name] = found[name]
        now = self._table.look(slim, now_ns)
        order = np.argsort(now.rows["cookie"], kind="stable")
        self.rows = now.rows[order]
        self.rx_per_s, self.tx_per_s = now.rx_per_s[order], now.tx_per_s[order]

    def forget(self) -> None:
        """Nobody looks any more: what was found grows old."""
        self._table = OpenConnections(self._layout, in_all=False)
        self.rows = self.rows[:0].copy()
        self.rx_per_s = self.tx_per_s = np.zeros(0)

    def snapshot(self) -> Looked:
        """As it stands: what comes later does not change it."""
        return Looked(self.rows, self.rx_per_s, self.tx_per_s)


class Looked:
    """One look, to be asked for single connections."""

    def __init__(
        self, rows: Records, rx_per_s: NDArray[np.float64], tx_per_s: NDArray[np.float64]
    ) -> None:
        self.rows, self.rx_per_s, self.tx_per_s = rows, rx_per_s, tx_per_s

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, cookies: NDArray[np.uint64]) -> NDArray[np.intp]:
        """Where these are in it; -1 where they are not."""
        if not len(self.rows):
            return np.full(len(cookies), -1, np.intp)
        place = np.searchsorted(self.rows["cookie"], cookies).clip(max=len(self.rows) - 1)
        return np.where(self.rows["cookie"][place] == cookies, place, -1)
