"""What --by keeps apart: columns of records as whole numbers, and numbers for what shares them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracer.wire.layout import Records

# Of these, those that are not asked for are 0 and keep nothing apart.
PLACE = (
    *("netns", "high", "low", "rport", "lport", "pid", "start", "family"),
    *("local_high", "local_low", "queue"),
)
ADDRESSES = ("high", "low", "local_high", "local_low")
AT = {name: i for i, name in enumerate(PLACE)}

Keys = NDArray[np.int64]


def mask_addresses(addresses: NDArray[np.uint8], bits: int | None) -> NDArray[np.int64]:
    """Addresses as the wire has them, shape (n, 16), as two numbers each, shape (n, 2).

    Only the first `bits` of each are kept; those of IPv4 are counted from its own first.
    """
    words = np.ascontiguousarray(addresses).view(">u8").astype(np.uint64).reshape(-1, 2)
    if bits is not None:
        four = (words[:, 0] == 0) & (words[:, 1] >> np.uint64(32) == 0xFFFF)
        kept = np.where(four, min(bits, 32) + 96, bits)
        for i, start in ((0, 0), (1, 64)):
            cut = np.clip(64 - (kept - start), 0, 64).astype(np.uint64)
            whole = np.uint64(2**64 - 1) << np.minimum(cut, np.uint64(63))
            words[:, i] &= np.where(cut == 64, np.uint64(0), whole)
    return words.view(np.int64)


def unmask_address(high: int, low: int) -> bytes:
    """The address that mask_addresses() made these two numbers of, as the wire has it."""
    return (high % 2**64).to_bytes(8, "big") + (low % 2**64).to_bytes(8, "big")


@dataclass(frozen=True)
class Grouping:
    """Which of PLACE records are told apart by, and by how many bits of an address."""

    columns: frozenset[str] = frozenset()
    bits: int | None = None
    port_of_active: bool = False  # the remote port only where it is the one called

    def place(self, records: Records, active: NDArray[np.bool_] | None = None) -> Keys:
        """The PLACE columns of records, of which some are `active`: shape (n, len(PLACE))."""
        found = np.zeros((len(PLACE), len(records)), np.int64)
        there = records.dtype.names or ()
        for i, name in enumerate(PLACE):
            if name in self.columns and name not in ADDRESSES and name in there:
                found[i] = records[name]
        if "high" in self.columns:
            found[1:3] = mask_addresses(records["raddr"], self.bits).T
        if "local_high" in self.columns and "laddr" in there:
            at = AT["local_high"]
            found[at : at + 2] = mask_addresses(records["laddr"], None).T
        if self.port_of_active and active is not None:
            found[PLACE.index("rport"), ~active] = 0
        return found.T


class Numbers:
    """A number for each place that was met, from 1; so that tables by owner serve any --by."""

    def __init__(self, grouping: Grouping) -> None:
        self.grouping = grouping
        self.places: list[tuple[int, ...]] = [(0,) * len(PLACE)]
        self._known: dict[tuple[int, ...], int] = {}

    def of(self, records: Records) -> NDArray[np.int64]:
        """The number of each record's place."""
        if not len(records):
            return np.zeros(0, np.int64)
        places, which = np.unique(self.grouping.place(records), axis=0, return_inverse=True)
        numbers = []
        for place in map(tuple, places.tolist()):
            number = self._known.setdefault(place, len(self.places))
            if number == len(self.places):
                self.places.append(place)
            numbers.append(number)
        found: NDArray[np.int64] = np.array(numbers, np.int64)[which.reshape(-1)]
        return found

    def own(self, records: Records) -> Records:
        """The records with these numbers in their owners' place."""
        return owned(records, self.of(records))


def owned(records: Records, numbers: NDArray[np.int64]) -> Records:
    """A copy in which each record's owner is a number."""
    copied = records.copy()
    copied["pid"], copied["start"] = numbers, 0
    return copied
