"""RSTs as the kernel counted them, whatever of their records came."""

from __future__ import annotations

from collections import Counter

import numpy as np

from tracer.flows.grouping import Numbers
from tracer.flows.resets import Key, keys_of
from tracer.wire.layout import Records


class ResetCounts:
    """Since the session's begin, by the keys of a ResetTable with the same numbers.

    Of what the kernel could not keep apart by peer and owner the number is negative. `pairs` are
    those of bpf/reset_counts.h as they were taken last; None: never. `unplaced` are those that it
    had no room for at all: their number is known, and nothing else.
    """

    # what --by asks for beyond what RSTs are told apart by, and these tell
    TELL = frozenset({"pid", "comm", "cgroup", "container", "netns", "family", "peer", "raddr"})

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers
        self._before: Counter[Key] = Counter()
        self.counts: Counter[Key] = Counter()
        self.pairs: Records | None = None
        self.unplaced = 0

    def take(self, pairs: Records) -> None:
        """Take them as they stand."""
        unplaced = (pairs["key"]["netns"] == 0) & (pairs["key"]["family"] == 0)
        self.unplaced = int(pairs["value"]["resets"][unplaced].sum())
        self.pairs = pairs = pairs[~unplaced]
        self.counts = Counter()
        keys = keys_of(pairs["key"], self._numbers)
        keys[pairs["key"]["family"] == 0, -1] *= -1
        counts = pairs["value"]["resets"].tolist()
        for key, count in zip(map(tuple, keys.tolist()), counts, strict=True):
            self.counts[key] += count

    def turn(self) -> None:
        """The next interval begins."""
        self._before = self.counts

    def of_interval(self) -> Counter[Key]:
        """What was counted in it so far."""
        return self.counts - self._before

    def apart(self) -> int:
        """How many were counted by their sort alone: there was no room for peer and owner."""
        if self.pairs is None:
            return 0
        return int(np.sum(self.pairs["value"]["resets"][self.pairs["key"]["family"] == 0]))
