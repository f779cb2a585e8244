"""Segments that were sent again: by group, and what they say of the kernel's own counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracer.flows.drops import Counters
from tracer.flows.grouping import PLACE, Grouping, Keys
from tracer.flows.rows import sort
from tracer.wire.distinct import distinct
from tracer.wire.layout import Layout, Records

# What a row is kept by.
KEYS = ("type", "state", *PLACE)
SUMS = ("segments", "times", "bytes", "lost_again", "queue_full")
LAST = ("rto_us", "mono_ns")  # of the latest
# The kernel's counters that records tell of.
RESENT = ("RetransSegs", "TCPSynRetrans", "TCPLostRetransmit", "TCPLossProbes")
FEW = 4096  # rows that are not worth putting together one batch at a time

Values = NDArray[np.uint64]


@dataclass
class Group:
    """What was sent again, of those that share a name.

    `segments` as the kernel counts them, sent again in so many `times`; `lost_again` of them had
    been before, and were lost; `queue_full`: SYN-ACKs whose ACK had come. Of the latest: the
    timeout, 0 if not known, and when.
    """

    segments: int = 0
    times: int = 0
    bytes: int = 0
    lost_again: int = 0
    queue_full: int = 0
    rto_us: int = 0
    mono_ns: int = 0

    def add(self, values: list[int]) -> None:
        """Add a row of the table."""
        self.segments += values[0]
        self.times += values[1]
        self.bytes += values[2]
        self.lost_again += values[3]
        self.queue_full += values[4]
        if values[6] >= self.mono_ns:
            self.rto_us, self.mono_ns = values[5], values[6]


class RetransmitTable:
    """Records added up by KEYS, a batch at a time."""

    def __init__(self, layout: Layout, grouping: Grouping) -> None:
        self._full = layout.enums.get("acked", {}).get("QUEUE_FULL")
        self._grouping = grouping
        self._keys = np.empty((0, len(KEYS)), np.int64)
        self._values = np.empty((0, len(SUMS) + len(LAST)), np.uint64)
        self._parts: list[tuple[Keys, Values]] = []

    def add(self, records: Records) -> None:
        """Count a batch of records, which are in time order."""
        if not len(records):
            return
        keys = np.empty((len(KEYS), len(records)), np.int64)
        keys[0], keys[1] = records["type"], records["state"]
        keys[2:] = self._grouping.place(records).T
        values = np.empty((len(SUMS) + len(LAST), len(records)), np.uint64)
        values[0], values[1], values[2] = records["segments"], 1, records["length"]
        values[3] = np.where(records["lost_again"] > 0, records["segments"], 0)
        values[4] = records["acked"] == self._full
        values[5], values[6] = records["rto_us"], records["mono_ns"]
        self._parts.append(_add_up(keys.T, values.T))
        if sum(len(part) for part, _ in self._parts) > max(FEW, len(self._keys)):
            self.rows()

    def merge(self, other: RetransmitTable) -> None:
        """Add what another table of the same grouping holds, of a later time."""
        self._parts.append(other.rows())

    def rows(self) -> tuple[Keys, Values]:
        """One row for each combination of keys that there was."""
        if self._parts:
            parts = [(self._keys, self._values), *self._parts]
            self._parts = []
            self._keys, self._values = _add_up(
                np.concatenate([keys for keys, _ in parts]),
                np.concatenate([values for _, values in parts]),
            )
        return self._keys, self._values

    def groups(
        self, label: Callable[[list[int]], tuple[object, ...]]
    ) -> dict[tuple[object, ...], Group]:
        """What `label` makes of KEYS, and what was sent again under that name."""
        found: dict[tuple[object, ...], Group] = {}
        keys, values = self.rows()
        for key, row in zip(keys.tolist(), values.tolist(), strict=True):
            found.setdefault(label(key), Group()).add(row)
        return found


def _add_up(keys: Keys, values: Values) -> tuple[Keys, Values]:
    """Rows with the same keys as one: sums, and the last of what is of the latest."""
    if not len(keys):
        return keys, values
    order, starts = sort(list(keys.T), len(keys))
    ends = np.concatenate((starts[1:], [len(keys)])) - 1
    found = np.empty((len(starts), values.shape[1]), np.uint64)
    for i in range(len(SUMS)):
        found[:, i] = np.add.reduceat(values[order, i], starts)
    # the order is stable: within equal keys, that of time
    found[:, len(SUMS) :] = values[order[ends], len(SUMS) :]
    return keys[order[starts]], found


class Resent:
    """What records say of the kernel's counters RESENT, by namespace."""

    def __init__(self, layout: Layout) -> None:
        types = layout.enums.get("resend", {})
        self._syns = [types[name] for name in ("SYN", "SYNACK") if name in types]
        self._probe = types.get("TLP")
        self._told: dict[int, Counter[str]] = {}

    def add(self, records: Records) -> None:
        """Take a batch."""
        for netns in distinct(records["netns"]).tolist():
            here = records[records["netns"] == netns]
            told = self._told.setdefault(netns, Counter())
            segments = here["segments"].astype(np.int64)
            told["RetransSegs"] += int(segments.sum())
            told["TCPSynRetrans"] += int(np.isin(here["type"], self._syns).sum())
            told["TCPLostRetransmit"] += int(segments[here["lost_again"] > 0].sum())
            told["TCPLossProbes"] += int((here["type"] == self._probe).sum())

    def told(self, failed: dict[int, int]) -> Counters:
        """With what `failed`, by namespace: the kernel counts it as sent again, and as that."""
        found = {netns: Counter(told) for netns, told in self._told.items()}
        for netns, count in failed.items():
            found.setdefault(netns, Counter())["RetransSegs"] += count
        return {netns: dict(told) for netns, told in found.items()}
