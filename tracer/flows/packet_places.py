"""Packets that the kernel threw away, by place and owner, whatever local ports they were for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracer.flows.packets import COLUMNS, PacketTable, Spot, column
from tracer.wire.layout import Records

PLACE = tuple(name for name in COLUMNS if name != "port")
Keys = NDArray[np.uint64]


class PlaceTable(PacketTable):
    """A scan of all ports makes one spot: its `port` is 0, and `ports` has the one there was.

    Of several it has 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ports: dict[Spot, int] = {}

    def add(self, records: Records) -> None:
        """Add drop records, a batch at a time."""
        ones: NDArray[np.int64] = np.ones(len(records), np.int64)
        self._put(_of_records(records), records["lport"], ones, records["dev"])

    def set_counts(self, pairs: Records, rest: NDArray[np.uint64]) -> None:
        """Take the kernel's counts of what matched, which cover the time so far."""
        super().set_counts(pairs[:0], rest)
        self.ports.clear()
        pairs = pairs[pairs["key"]["matched"] > 0]
        key, value = pairs["key"], pairs["value"]
        keys = np.stack([column(key, name).astype(np.uint64) for name in PLACE], axis=1)
        self._put(keys, key["port"], value["packets"].astype(np.int64), value["dev"])

    def _put(
        self, keys: Keys, ports: NDArray[np.uint16], counts: NDArray[np.int64], devs: Records
    ) -> None:
        found, first, where = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        sums: NDArray[np.int64] = np.zeros(len(found), np.int64)
        np.add.at(sums, where.ravel(), counts)
        least, most = ports[first].copy(), ports[first].copy()
        np.minimum.at(least, where.ravel(), ports)
        np.maximum.at(most, where.ravel(), ports)
        single = np.where(least == most, least, 0)
        for key, at, count, port in zip(
            found.tolist(), first.tolist(), sums.tolist(), single.tolist(), strict=True
        ):
            spot = _spot(key)
            self.packets[spot] += count
            if self.ports.setdefault(spot, port) != port:
                self.ports[spot] = 0
            self._name(spot.netns, spot.ifindex, devs[at])

    def port(self, spot: Spot) -> int | None:
        """The local port that all of it was for; None: there were several, or none is known."""
        return self.ports.get(spot) or None


def last_of_each(records: Records) -> list[tuple[Spot, int]]:
    """Each spot of a batch, and where in it the last record of that is."""
    # unique() finds the first of those turned round
    found, at = np.unique(_of_records(records)[::-1], axis=0, return_index=True)
    last = len(records) - 1
    return [(_spot(key), last - i) for key, i in zip(found.tolist(), at.tolist(), strict=True)]


def _of_records(records: Records) -> Keys:
    return np.stack([column(records, name).astype(np.uint64) for name in PLACE], axis=1)


def _spot(key: list[int]) -> Spot:
    return Spot(**dict(zip(PLACE, key, strict=True)))
