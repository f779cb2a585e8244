"""Ports that were taken, and connect() that found none, by way: from records of attempts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from tracer.flows.ports import Range, Way, ways
from tracer.wire.layout import Layout, Records


class PortOpens:
    """`opens` and `failures` by way; of a failure the local address may not be known: all 0."""

    def __init__(self, layout: Layout, started_ns: int) -> None:
        self._active = layout.enums["role"]["ACTIVE"]
        self._none_left = layout.enums["outcome"]["NO_PORT"]
        self._started_ns = started_ns
        self.opens: Counter[Way] = Counter()
        self.failures: Counter[Way] = Counter()

    def add(self, records: Records, ranges: Mapping[int, Range]) -> None:
        """Count those that began since the session did, from a port of the range."""
        records = records[records["role"] == self._active]
        none_left = records["outcome"] == self._none_left
        self.failures.update(_count(records[none_left]))
        took = records["latency_ns"].astype(np.int64)
        young = records["mono_ns"].astype(np.int64) - took >= self._started_ns
        within = np.zeros(len(records), np.bool_)
        for netns, found in ranges.items():
            ports = records["lport"]
            inside = (ports >= found.low) & (ports <= found.high)
            within |= (records["netns"] == netns) & inside
        self.opens.update(_count(records[~none_left & young & within]))

    def take(self) -> PortOpens:
        """What was counted since the last time; counting begins anew."""
        taken = PortOpens.__new__(PortOpens)
        taken.opens, taken.failures = self.opens, self.failures
        self.opens, self.failures = Counter(), Counter()
        return taken


def _count(records: Records) -> dict[Way, int]:
    return {way: len(members) for way, members in ways(records).items()}
