"""Times in which nobody listened on a port, and what came for it then."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracer.wire.layout import Layout, Records

# A listener is told of some us before it can be found, and as it closes some us after it could be
# last: what is refused so near to a gap was refused because of it.
EDGE_NS = 1_000_000
_EVER = np.iinfo(np.int64).max

Port = tuple[int, int]  # network namespace, port
Owner = tuple[int, int]  # tgid, start


@dataclass
class Gap:
    """From the moment the last listener on a port closed; `opened_ns` is 0 while there is none."""

    netns: int
    port: int
    closed_ns: int
    closed_by: Owner
    opened_ns: int = 0
    opened_by: Owner = (0, 0)
    refused: int = 0  # SYNs
    reset_in_queue: int = 0  # connections that the listener that closed had not accepted

    @property
    def is_felt(self) -> bool:
        """Whether anybody was turned away."""
        return bool(self.refused or self.reset_in_queue)


class Gaps:
    """Gaps of ports whose listeners were seen, in the order they began."""

    MOST = 4096  # of those that nobody felt, the oldest are forgotten beyond that

    def __init__(self, layout: Layout) -> None:
        enums = layout.enums
        self._listen, self._close = enums["tcp_state"]["LISTEN"], enums["tcp_state"]["CLOSE"]
        self._nobody = enums["reset_by"]["NO_SOCKET"]
        self._queued = enums["reset_by"]["LISTENER_CLOSED"]
        self._syn = enums["answers"]["SYN"]
        self._listening: dict[Port, set[int]] = {}
        self._last: dict[Port, Gap] = {}  # over or not
        self._early: dict[Port, Records] = {}  # the last that were refused with somebody listening
        self._all: list[Gap] = []

    def begin(self, holders: Records) -> None:
        """Take those that listened before tracing, as descriptors tell of them."""
        for row in holders[holders["state"] == self._listen]:
            self._at(row).add(int(row["cookie"]))

    def _at(self, row: np.void) -> set[int]:
        return self._listening.setdefault((int(row["netns"]), int(row["lport"])), set())

    def add(self, states: Records | None, resets: Records | None) -> None:
        """Take a batch: what begins and ceases to listen, and RSTs of the same time."""
        turned = self._turned_away(resets)
        for row in self._moments(states):
            if turned is not None:
                upto = int(np.searchsorted(turned["mono_ns"], row["mono_ns"]))
                self._count(turned[:upto])
                turned = turned[upto:]
            self._turn(row)
        if turned is not None:
            self._count(turned)

    def _moments(self, states: Records | None) -> list[np.void]:
        if states is None:
            return []
        closing = (states["old"] == self._listen) & (states["new"] == self._close)
        return list(states[closing | (states["new"] == self._listen)])

    def _turned_away(self, resets: Records | None) -> Records | None:
        if resets is None:
            return None
        refused = (resets["by"] == self._nobody) & (resets["answers"] == self._syn)
        found: Records = resets[refused | (resets["by"] == self._queued)]
        return found

    def _turn(self, row: np.void) -> None:
        port = int(row["netns"]), int(row["lport"])
        listening, owner = self._at(row), (int(row["pid"]), int(row["start"]))
        if row["new"] == self._listen:
            listening.add(int(row["cookie"]))
            gap = self._last.get(port)
            if gap is not None and not gap.opened_ns:
                gap.opened_ns, gap.opened_by = int(row["mono_ns"]), owner
            return
        listening.discard(int(row["cookie"]))
        if not listening:
            gap = self._last[port] = Gap(*port, int(row["mono_ns"]), owner)
            self._all.append(gap)
            early = self._early.pop(port, None)
            if early is not None:
                self._add(gap, early[early["mono_ns"] > max(0, gap.closed_ns - EDGE_NS)])
            if len(self._all) > self.MOST:
                self._forget()

    def _forget(self) -> None:
        over = self._all[: self.MOST // 2]
        self._all = [gap for gap in over if gap.is_felt] + self._all[self.MOST // 2 :]
        self._last = {port: gap for port, gap in self._last.items() if gap in self._all}

    def _count(self, resets: Records) -> None:
        ports = np.stack([resets["netns"], resets["lport"].astype(resets["netns"].dtype)], 1)
        for each in np.unique(ports, axis=0):
            port = int(each[0]), int(each[1])
            gap, listening = self._last.get(port), self._listening.get(port)
            if gap is None and not listening:
                continue  # nobody ever listened: a scan has very many such ports
            rest = resets[(ports == each).all(axis=1)]
            if gap is not None:
                within = rest["mono_ns"] < (gap.opened_ns + EDGE_NS if gap.opened_ns else _EVER)
                self._add(gap, rest[within])
                rest = rest[~within]
            if len(rest) and listening:
                self._early[port] = rest[rest["mono_ns"] + EDGE_NS > rest["mono_ns"].max()].copy()

    def _add(self, gap: Gap, resets: Records) -> None:
        gap.refused += int((resets["by"] == self._nobody).sum())
        gap.reset_in_queue += int((resets["by"] == self._queued).sum())

    def felt(self, from_ns: int = 0) -> list[Gap]:
        """Those in which anybody was turned away and that had not ended by `from_ns`."""
        return [
            gap
            for gap in self._all
            if gap.is_felt and (not gap.opened_ns or gap.opened_ns > from_ns)
        ]
