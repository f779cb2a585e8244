"""What attempts to connect say of the kernel's counters of them, to be held against these."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from tracer.flows.drops import Counters
from tracer.wire.layout import Layout, Records

OPENS = ("ActiveOpens", "PassiveOpens", "TCPSynRetrans", "SyncookiesRecv", "EmbryonicRsts")


class Opens:
    """What the attempts say of the kernel's counters OPENS, by namespace."""

    def __init__(self, layout: Layout) -> None:
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
        # one that ended in the SYN queue never was a socket
        children = ~active & (records["old"] != self._states["NEW_SYN_RECV"])
        cookies = children & (records["syncookie"] == 1)
        for netns in np.unique(records["netns"]).tolist():
            here = records["netns"] == netns
            told = self._ended.setdefault(netns, Counter())
            told["ActiveOpens"] += int((began & here).sum())
            told["PassiveOpens"] += int((children & here).sum())
            told["SyncookiesRecv"] += int((cookies & here).sum())
            told["TCPSynRetrans"] += int(records["syn_retransmits"][here].sum())

    def told(self, sockets: Records | None, exact: int) -> Counters:
        """With the attempts that go on: those that began before tracing have no exact age."""
        found = {netns: Counter(told) for netns, told in self._ended.items()}
        if sockets is not None:
            for row in sockets[self._go_on(sockets)]:
                told = found.setdefault(int(row["netns"]), Counter())
                told["TCPSynRetrans"] += int(row["syn_retransmits"])
                if row["state"] == self._states["SYN_SENT"] and row["age_is"] == exact:
                    told["ActiveOpens"] += 1
        for netns, earlier in self._earlier.items():
            found.setdefault(netns, Counter())["TCPSynRetrans"] -= earlier
        return {netns: dict(told) for netns, told in found.items()}
