"""What attempts to connect say of the kernel's counters of them, to be held against these."""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from tracer.flows.drops import Counters
from tracer.wire.distinct import distinct
from tracer.wire.layout import Layout, Records

_WRAPS = 1 << 32  # as looked_us does
# the kernel counts an attempt some us after its state says so, later where it is interrupted there
_LATE_NS = 5_000_000
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
    `counts_synacks`: whether `unrecorded` has all SYN-ACKs that were sent again, so that the
    attempts need not tell of them: one that a RST ends makes no record.
    """

    def __init__(self, layout: Layout, started_ns: int, counts_synacks: bool) -> None:
        self._started_ns = started_ns
        self._counts_synacks = counts_synacks
        self._roles, self._states = layout.enums["role"], layout.enums["tcp_state"]
        self._ended: dict[int, Counter[str]] = {}
        self._earlier: Counter[int] = Counter()  # sent again before tracing, by namespace
        self._unrecorded: Counters = {}
        self._unsure: Counter[int] = Counter()
        self._ended_ns = sys.maxsize

    def begin(self, sockets: Records) -> None:
        """Take the sockets as tracing begins: what they had sent again by then was counted then."""
        for row in sockets[self._go_on(sockets)]:
            self._earlier[int(row["netns"])] += int(row["syn_retransmits"])

    def _go_on(self, sockets: Records) -> NDArray[np.bool_]:
        """Those that may have sent again what no count tells of."""
        waiting = [self._states["SYN_SENT"]]
        if not self._counts_synacks:
            waiting.append(self._states["NEW_SYN_RECV"])
        found: NDArray[np.bool_] = np.isin(sockets["state"], waiting)
        return found

    def add(self, records: Records) -> None:
        """Attempts that ended. One that began before tracing was counted before it."""
        active = records["role"] == self._roles["ACTIVE"]
        began_ns = records["mono_ns"].astype(np.int64) - records["latency_ns"].astype(np.int64)
        began = active & (records["syn_sent"] > 0) & (records["latency_from"] > 0)
        unsure = began & self._is_near(began_ns, self._started_ns)
        unsure |= (
            began
            & self._is_near(began_ns, self._ended_ns)
            & (records["mono_ns"].astype(np.int64) >= self._ended_ns)
        )
        began &= (began_ns >= self._started_ns) & ~unsure
        # one that ended in the SYN queue never was a socket
        children = ~active & (records["old"] != self._states["NEW_SYN_RECV"])
        cookies = children & (records["syncookie"] == 1)
        again = active if self._counts_synacks else np.ones(len(records), np.bool_)
        for netns in distinct(records["netns"]).tolist():
            here = records["netns"] == netns
            told = self._ended.setdefault(netns, Counter())
            told["ActiveOpens"] += int((began & here).sum())
            self._unsure[netns] += int((unsure & here).sum())
            told["PassiveOpens"] += int((children & here).sum())
            told["SyncookiesRecv"] += int((cookies & here).sum())
            told["TCPSynRetrans"] += int(records["syn_retransmits"][here & again].sum())

    def unrecorded(self, counts: Counters) -> None:
        """What the kernel counted so far and no record tells of, by namespace and counter."""
        self._unrecorded = counts

    def end(self, ended_ns: int) -> None:
        """The session is over: what ends from here on is told of if it began before."""
        self._ended_ns = ended_ns

    def told(self, sockets: Records | None, exact: int, span_ns: int) -> tuple[Counters, Counters]:
        """What the attempts say, with those that go on; and what they may say beyond that.

        That are those which began as the session did, or as it ended: the kernel may have counted
        them on either side of that. Of those that go on, such as began before tracing have no exact
        age. `span_ns`: since `started_ns`.
        """
        found = {netns: Counter(told) for netns, told in self._ended.items()}
        unsure = {netns: Counter({"ActiveOpens": n}) for netns, n in self._unsure.items()}
        if sockets is not None:
            for row in sockets[self._go_on(sockets)]:
                netns = int(row["netns"])
                told = found.setdefault(netns, Counter())
                told["TCPSynRetrans"] += int(row["syn_retransmits"])
                known = row["state"] == self._states["SYN_SENT"] and row["age_is"] == exact
                if known and self._is_within(row, span_ns - _LATE_NS):
                    told["ActiveOpens"] += 1
                elif known and self._is_within(row, span_ns):
                    unsure.setdefault(netns, Counter())["ActiveOpens"] += 1
        for netns, counts in self._unrecorded.items():
            found.setdefault(netns, Counter()).update(counts)
        for netns, earlier in self._earlier.items():
            found.setdefault(netns, Counter())["TCPSynRetrans"] -= earlier
        return _plain(found), _plain(unsure)

    def _is_within(self, row: np.void, span_ns: int) -> bool:
        """Whether an attempt that goes on began within the span.

        Recordings without `looked_us` do not say.
        """
        # no attempt goes on for half an hour; and up to then the low bits tell the moment
        if "looked_us" not in (row.dtype.names or ()) or span_ns // 1000 > _WRAPS // 2:
            return True
        since = (int(row["looked_us"]) - self._started_ns // 1000) % _WRAPS
        return 0 <= since - int(row["age_ns"]) // 1000 <= span_ns // 1000

    @staticmethod
    def _is_near(began_ns: NDArray[np.int64], gate_ns: int) -> NDArray[np.bool_]:
        """Whether these began so short before the session did, or ended, that they may be late."""
        near: NDArray[np.bool_] = (began_ns < gate_ns) & (began_ns >= gate_ns - _LATE_NS)
        return near


def _plain(counters: dict[int, Counter[str]]) -> Counters:
    return {netns: dict(counts) for netns, counts in counters.items()}
