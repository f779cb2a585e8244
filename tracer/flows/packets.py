"""Packets that the kernel threw away, summed by place."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracer.flows.grouping import Numbers
from tracer.wire.layout import Records

SYN, ACK, TIME_WAIT = 0x02, 0x10, 6
RESTS_BEFORE = 2048  # of those without a place, in recordings of before there were `spent` ones


@dataclass(frozen=True)
class Spot:
    """Where packets were dropped, and whose they were; the numbers are those of the wire.

    One that found no room in the kernel's table has its reason alone: `netns` is 0.
    """

    reason: int
    location: int = 0
    netns: int = 0
    ifindex: int = 0
    pid: int = 0
    start: int = 0
    port: int = 0
    direction: int = 0
    owner_is: int = 0
    owner_from: int = 0
    syn: int = 0  # with SYN, and without ACK, but for what remains of a connection
    told: int = 0  # as a drop of a listener's too
    spent: int = 0  # enum tt_spent: for what remains of a connection, with nothing in it to lose
    group: int = 0  # the number of what --by asks for, where that takes records


COLUMNS = (
    *("reason", "location", "netns", "ifindex", "pid", "start", "port", "direction"),
    *("owner_is", "owner_from", "syn", "told", "spent"),
)


def column(records: Records, name: str) -> NDArray[Any]:
    """One of COLUMNS, of `drop` records or of the keys of counts."""
    names = records.dtype.names or ()
    found: NDArray[Any] = np.zeros(len(records), np.uint8)  # in a recording of before it was told
    if name in names:
        found = records[name]
    elif name == "port":
        found = records["lport"]
    elif name == "syn":
        begins = (records["tcp_flags"] & (SYN | ACK)) == SYN
        found = begins & (records["state"] != TIME_WAIT)
    return found


class PacketTable:
    """Packets by spot, and by that and the number of their stack, where one was taken.

    `devices` are the names of those met, by namespace and index.
    """

    def __init__(self, numbers: Numbers | None = None) -> None:
        self._numbers = numbers
        self.packets: Counter[Spot] = Counter()
        self.stacks: Counter[tuple[Spot, int]] = Counter()
        self.devices: dict[tuple[int, int], bytes] = {}

    def add(self, records: Records) -> None:
        """Add drop records, a batch at a time."""
        taken = [column(records, name) for name in COLUMNS]
        none: NDArray[np.int64] = np.zeros(len(records), np.int64)
        taken.append(self._numbers.of(records) if self._numbers else none)
        taken.append(_stacks(records))
        keys = np.stack([part.astype(np.uint64) for part in taken], axis=1)
        found, first, counts = np.unique(keys, axis=0, return_index=True, return_counts=True)
        for key, at, count in zip(found.tolist(), first.tolist(), counts.tolist(), strict=True):
            self._count(Spot(*key[:-1]), key[-1], count)
            self._name(key[2], key[3], records["dev"][at])

    def set_counts(self, pairs: Records, rest: NDArray[np.uint64]) -> None:
        """Take the kernel's counts of what matched, which cover the session so far."""
        self.packets.clear()
        self.stacks.clear()
        pairs = pairs[pairs["key"]["matched"] > 0]
        columns = [column(pairs["key"], name).tolist() for name in COLUMNS]
        values = pairs["value"]
        numbers = _stacks(pairs["key"]).tolist()
        for *key, number, count, dev in zip(
            *columns, numbers, values["packets"].tolist(), values["dev"], strict=True
        ):
            self._count(Spot(*key), number, count)
            self._name(key[2], key[3], dev)
        spents = len(rest) > RESTS_BEFORE
        for index in np.flatnonzero(rest).tolist():
            if index & 1:
                spent = index >> 3 & 1 if spents else 0
                reason = index >> 4 if spents else index >> 3
                spot = Spot(reason, syn=index >> 2 & 1, told=index >> 1 & 1, spent=spent)
                self.packets[spot] += int(rest[index])

    def _count(self, spot: Spot, stack: int, count: int) -> None:
        self.packets[spot] += count
        if stack:
            self.stacks[spot, stack] += count

    def _name(self, netns: int, ifindex: int, name: bytes) -> None:
        if name:
            self.devices[netns, ifindex] = bytes(name)

    def device(self, spot: Spot) -> str | None:
        """The name of its device, where one is known."""
        found = self.devices.get((spot.netns, spot.ifindex))
        return found.decode("utf-8", "replace") if found else None

    def since(self, before: PacketTable) -> PacketTable:
        """What this one has and an earlier one has not."""
        found = PacketTable()
        found.packets = self.packets - before.packets
        found.stacks = self.stacks - before.stacks
        found.devices = self.devices
        return found

    def copy(self) -> PacketTable:
        """As it stands now."""
        return self.since(PacketTable())


def _stacks(records: Records) -> NDArray[np.int64]:
    """Numbers of their stacks, 0 for none: so in recordings of before any was kept."""
    if "stack" not in (records.dtype.names or ()):
        return np.zeros(len(records), np.int64)
    found: NDArray[np.int64] = records["stack"].astype(np.int64)
    return found
