"""What listeners threw away, summed; and what of the kernel's own counters that explains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tracer.flows.grouping import Numbers
from tracer.wire.layout import Layout, Records


@dataclass(frozen=True)
class Place:
    """Where packets were dropped, and why; the numbers are those of the layout's enums."""

    netns: int
    port: int
    listener: int  # cookie, 0: not to be told
    cause: int
    stage: int
    answer: int
    group: int = 0  # the number of what --by asks for, where that takes records


@dataclass(frozen=True)
class Explained:
    """One counter of a namespace: how far the kernel moved it, how much of that was told.

    Of `kernel`, `edge` is what moved while the span began and ended: told of or not, it is right.
    """

    netns: int
    counter: str
    kernel: int
    explained: int
    edge: int = 0

    @property
    def unexplained(self) -> int:
        """What is left over; negative if more was told than the kernel counted."""
        return self.kernel - self.explained - self.at_edges

    @property
    def at_edges(self) -> int:
        """How much of the edge is needed to explain the rest."""
        return min(max(self.kernel - self.explained, 0), self.edge)


class DropTable:
    """Packets by place, and the owner of each place's listener (pid, start)."""

    def __init__(self, numbers: Numbers | None = None) -> None:
        self._numbers = numbers
        self.packets: Counter[Place] = Counter()
        self.owners: dict[Place, tuple[int, int]] = {}

    def add(self, records: Records) -> None:
        """Add syn_drop records, a batch at a time."""
        columns = ("netns", "lport", "listener_cookie", "cause", "stage", "answer", "pid", "start")
        taken = [records[name].astype(np.uint64) for name in columns]
        if self._numbers is not None:
            taken.append(self._numbers.of(records).astype(np.uint64))
        keys = np.stack(taken, axis=1)
        found, where = np.unique(keys, axis=0, return_inverse=True)
        packets = np.bincount(where.ravel(), records["count"]).astype(np.int64)
        for key, count in zip(found.tolist(), packets.tolist(), strict=True):
            self._put(Place(*key[:6], *key[8:]), count, key[6], key[7])

    def set_counts(self, pairs: Records) -> None:
        """Take the kernel's counts, which cover the session so far."""
        self.packets.clear()
        for pair in pairs:
            key, value = pair["key"], pair["value"]
            names = ("netns", "port", "listener_cookie", "cause", "stage", "answer")
            place = Place(*(int(key[name]) for name in names))
            self._put(place, int(value["packets"]), int(value["pid"]), int(value["start"]))

    def _put(self, place: Place, packets: int, pid: int, start: int) -> None:
        self.packets[place] += packets
        if pid or place not in self.owners:
            self.owners[place] = pid, start

    def since(self, before: DropTable) -> DropTable:
        """What this one has and an earlier one has not."""
        found = DropTable()
        found.packets = self.packets - before.packets
        found.owners = self.owners
        return found

    def copy(self) -> DropTable:
        """As it stands now."""
        return self.since(DropTable())


Counters = dict[int, dict[str, int]]


@dataclass(frozen=True)
class Reading:
    """The kernel's counters as a moment came, and how far they moved while it passed."""

    counters: Counters
    edge: Counters

    def since(self, before: Reading) -> tuple[Counters, Counters]:
        """How far each counter moved at most, and how much of that is at either edge.

        A namespace that was not there before began at 0.
        """
        kernel, edges = minus(self.counters, before.counters), {}
        for netns, values in kernel.items():
            last, first = self.edge.get(netns, {}), before.edge.get(netns, {})
            edges[netns] = {name: last.get(name, 0) + first.get(name, 0) for name in values}
            kernel[netns] = {name: value + last.get(name, 0) for name, value in values.items()}
        return kernel, edges


def explained(pairs: Records, layout: Layout) -> Counters:
    """What the counts say of each counter of /proc/net/netstat, by namespace, matched or not."""
    causes, cookie = layout.enums["cause"], layout.enums["answer"]["COOKIE"]
    found: Counters = {}
    for pair in pairs:
        key, value = pair["key"], pair["value"]
        told = found.setdefault(int(key["netns"]), Counter())
        packets, cause = int(value["packets"]), int(key["cause"])
        told["TCPReqQFullDoCookies"] += int(value["wanted_cookies"])
        if key["answer"] == cookie:
            told["SyncookiesSent"] += packets
            continue
        told["ListenDrops"] += packets
        if cause == causes["ACCEPT_QUEUE_FULL"]:
            told["ListenOverflows"] += packets
        elif cause == causes["SYN_QUEUE_FULL"]:
            told["TCPReqQFullDrop"] += packets
    return found


def minus(now: Counters, before: Counters) -> Counters:
    """How far each counter moved; a namespace that was not there before began at 0."""
    return {
        netns: {name: value - before.get(netns, {}).get(name, 0) for name, value in values.items()}
        for netns, values in now.items()
    }


DROPS = (
    "ListenDrops",
    "ListenOverflows",
    "TCPReqQFullDrop",
    "TCPReqQFullDoCookies",
    "SyncookiesSent",
)


def reconcile(
    kernel: Counters, told: Counters, names: Sequence[str] = DROPS, edge: Counters | None = None
) -> Iterable[Explained]:
    """Each of these that moved, by the kernel's account or by ours, of namespaces still there."""
    for netns, moved in kernel.items():
        for name in names:
            value, ours = moved.get(name, 0), told.get(netns, {}).get(name, 0)
            if value or ours:
                unsure = (edge or {}).get(netns, {}).get(name, 0)
                yield Explained(netns, name, value, ours, unsure)
