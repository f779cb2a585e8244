"""Connections that have ended, kept up to a number; beyond it, the longest."""

from __future__ import annotations

import numpy as np

from tracer.wire.layout import Records

MOST = 50_000


class EndedConnections:
    """`records` in the order they ended, `count` of all that did."""

    def __init__(self, most: int = MOST) -> None:
        self.count = 0
        self._most = most
        self._parts: list[Records] = []
        self._kept = 0

    def add(self, records: Records) -> None:
        """Take a batch, in time order."""
        self.count += len(records)
        self._keep(records.copy())

    def merge(self, other: EndedConnections) -> None:
        """Take what another has kept, of a later time."""
        self.count += other.count
        self._keep(other.records)

    def _keep(self, records: Records) -> None:
        if not len(records):
            return
        self._parts.append(records)
        self._kept += len(records)
        if self._kept > 2 * self._most:
            self._fold()

    def _fold(self) -> None:
        """The longest stay, in the order they ended."""
        every = np.concatenate(self._parts)
        if len(every) > self._most:
            longest = np.argpartition(every["life_ns"], len(every) - self._most)[-self._most :]
            every = every[np.sort(longest)]
        self._parts, self._kept = [every], len(every)

    @property
    def records(self) -> Records:
        """At most so many."""
        if self._kept > self._most:
            self._fold()
        if not self._parts:
            return np.zeros(0, np.dtype([("life_ns", np.uint64)]))
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0]
