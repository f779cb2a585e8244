"""What attempts to connect say of the kernel's counters of them, to be held against these."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from tracer.flows.drops import Counters
from tracer.wire.distinct import distinct
from tracer.wire.layout import Layout, Records

_WRAPS = 1 << 32  # as looked_us does
OPENS = ("ActiveOpens", "PassiveOpens", "TCPSynRetrans", "SyncookiesRecv", "EmbryonicRsts")


def still_going(sockets: Records, ended: Records) -> Records:
    """Of sockets that were looked at, those that have not ended an attempt since.

    The last attempts of a session are told of until the last look is over.
    """
    common = np.isin(sockets["cookie"], ended["cookie"]) & (sockets["cookie"] > 0)
    if not common.any() or "looked_us" not in (sockets.dtype.names or ()):
        return sockets
    last = dict(zip(ended["cookie"].tolist(), (ended["mono_ns"] // 1000).tolist(), strict=True))
    rows = sockets[common]
    at = np.array([last[cookie] for cookie in rows["cookie"].tolist()], np.int64)
    common[common] = (at - rows["looked_us"].astype(np.int64)) % _WRAPS < _WRAPS // 2
    return sockets[~common]


class Opens:
    """What the attempts say of the kernel's counters OPENS, by namespace.

    Of those begun since `started_ns`: one before was counted before, also where probes saw it.
    """

    def __init__(self, layout: Layout, started_ns: int) -> None:
        self._started_ns = started_ns
        self._roles, self._states = layout.enums["role"], layout.enums["tcp_state"]
        self._ended: dict[int, Counter[str]] = {}
        self._earlier: Counter[int] = Counter()  # sent again before tracing, by namespace

    def begin(self, sockets: Records) -> None:
        """Take the sockets as tracing begins: what they had sent again by then was counted then."""
        for row in sockets[self._go_on(sockets)]:
            self._earlier[int(row["netns"])] += int(row["syn_retransmits"])

    def _go_on(self, sockets: Records) -> NDArray[np.bool_]:
        waiting = [self._states["SYN_SENT"], self._states["NEW_SYN_RECV"]]
        found: NDArray[np.bool_] = np.isin(sockets["state"], waiting)
        return found

    def add(self, records: Records) -> None:
        """Attempts that ended. One that began before tracing was counted before it."""
        active = records["role"] == self._roles["ACTIVE"]
        began = active & (records["syn_sent"] > 0) & (records["latency_from"] > 0)
        took = records["latency_ns"].astype(np.int64)
        began &= records["mono_ns"].astype(np.int64) - took >= self._started_ns
        # one that ended in the SYN queue never was a socket
        children = ~active & (records["old"] != self._states["NEW_SYN_RECV"])
        cookies = children & (records["syncookie"] == 1)
        for netns in distinct(records["netns"]).tolist():
            here = records["netns"] == netns
            told = self._ended.setdefault(netns, Counter())
            told["ActiveOpens"] += int((began & here).sum())
            told["PassiveOpens"] += int((children & here).sum())
            told["SyncookiesRecv"] += int((cookies & here).sum())
            told["TCPSynRetrans"] += int(records["syn_retransmits"][here].sum())

    def told(self, sockets: Records | None, exact: int, span_ns: int) -> Counters:
        """With the attempts that go on: those that began before tracing have no exact age.

        `span_ns`: since `started_ns`.
        """
        found = {netns: Counter(told) for netns, told in self._ended.items()}
        if sockets is not None:
            for row in sockets[self._go_on(sockets)]:
                told = found.setdefault(int(row["netns"]), Counter())
                told["TCPSynRetrans"] += int(row["syn_retransmits"])
                known = row["state"] == self._states["SYN_SENT"] and row["age_is"] == exact
                if known and self._is_within(row, span_ns):
                    told["ActiveOpens"] += 1
        for netns, earlier in self._earlier.items():
            found.setdefault(netns, Counter())["TCPSynRetrans"] -= earlier
        return {netns: dict(told) for netns, told in found.items()}

    def _is_within(self, row: np.void, span_ns: int) -> bool:
        """Whether an attempt that goes on began within the span.

        Recordings without `looked_us` do not say.
        """
        # no attempt goes on for half an hour; and up to then the low bits tell the moment
        if "looked_us" not in (row.dtype.names or ()) or span_ns // 1000 > _WRAPS // 2:
            return True
        since = (int(row["looked_us"]) - self._started_ns // 1000) % _WRAPS
        return 0 <= since - int(row["age_ns"]) // 1000 <= span_ns // 1000
