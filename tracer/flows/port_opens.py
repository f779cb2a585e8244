"""Ports that were taken, and connect() that found none, by way: from records of attempts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracer.flows.ports import Range, Way, ways
from tracer.wire.layout import Layout, Records

_Counts = tuple[NDArray[np.uint16], NDArray[np.int64]]  # ports, and how often each was taken


@dataclass(frozen=True)
class Taken:
    """By way; of a failure the local address may not be known: all 0."""

    opens: Counter[Way]
    failures: Counter[Way]


class PortOpens:
    """Counts attempts. Which ports are of the range may be known only after they were taken."""

    def __init__(self, layout: Layout, started_ns: int) -> None:
        self._active = layout.enums["role"]["ACTIVE"]
        self._none_left = layout.enums["outcome"]["NO_PORT"]
        self._started_ns = started_ns
        self._opens: Counter[Way] = Counter()
        self._failures: Counter[Way] = Counter()
        self._waiting: dict[Way, _Counts] = {}  # of namespaces whose range is not known

    def add(self, records: Records, ranges: Mapping[int, Range]) -> None:
        """Count those that began since the session did, from a port of the range."""
        records = records[records["role"] == self._active]
        none_left = records["outcome"] == self._none_left
        for way, members in ways(records[none_left]).items():
            self._failures[way] += len(members)
        took = records["latency_ns"].astype(np.int64)
        young = records["mono_ns"].astype(np.int64) - took >= self._started_ns
        opened = records[~none_left & young & (records["lport"] > 0)]
        for way, members in ways(opened).items():
            ports = opened["lport"][members]
            known = ranges.get(way.netns)
            if known is None:
                self._waiting[way] = _joined(self._waiting.get(way), ports)
            elif count := int(known.holds(ports).sum()):
                self._opens[way] += count

    def so_far(self, ranges: Mapping[int, Range]) -> Taken:
        """Since the last time that they were taken; where no range is known, from any port."""
        opens = Counter(self._opens)
        for way, (ports, counts) in self._waiting.items():
            known = ranges.get(way.netns)
            if count := int((counts[known.holds(ports)] if known else counts).sum()):
                opens[way] += count
        return Taken(opens, Counter(self._failures))

    def take(self, ranges: Mapping[int, Range]) -> Taken:
        """The same; counting begins anew."""
        taken = self.so_far(ranges)
        self._opens, self._failures, self._waiting = Counter(), Counter(), {}
        return taken


def _joined(before: _Counts | None, ports: NDArray[np.uint16]) -> _Counts:
    names, counts = np.unique(ports, return_counts=True)
    if before is None:
        return names, counts
    both, which = np.unique(np.concatenate([before[0], names]), return_inverse=True)
    summed = np.zeros(len(both), np.int64)
    np.add.at(summed, which.reshape(-1), np.concatenate([before[1], counts]))
    return both, summed
