"""RSTs, summed: how many of each sort, and how long their connections had been silent."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracer.flows.drops import Counters
from tracer.flows.grouping import Keys, Numbers
from tracer.flows.histogram import Histogram, Histograms
from tracer.wire.distinct import distinct
from tracer.wire.layout import Layout, Records

# what RSTs are told apart by, beside the place that --by asks for; all are columns of a record
SORTS = ("way", "by", "reason", "answers", "state", "error")
Key = tuple[int, ...]  # SORTS, and the number of a place
# of those without a connection, `resets` is sent so many a second and CPU; all are counted
MOST_ANSWERS = 10_000
# bpf/events.h: which of its spans a record has
SENT, RECEIVED = 8, 16
_NEVER = np.uint64(2**64 - 1)
COUNTERS = (
    *("OutRsts", "EstabResets", "TCPAbortOnClose", "TCPAbortOnData", "TCPAbortOnLinger"),
    "TCPAbortOnTimeout",
)

_Told = dict[int, Counter[str]]


def keys_of(records: Records, numbers: Numbers) -> Keys:
    """What these are told apart by: of `reset` records, or of the keys of counts."""
    columns = [records[name].astype(np.int64) for name in SORTS]
    return np.stack([*columns, numbers.of(records)], axis=1)


def idle_spans(records: Records) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Since the last segment either way that is known of, ns, and where there is one."""
    flags = records["flags"]
    known = [
        (records["last_ack_ns"] > 0, records["last_ack_ns"]),
        ((flags & RECEIVED) > 0, records["last_received_ns"]),
        ((flags & SENT) > 0, records["last_sent_ns"]),
    ]
    spans = np.stack([np.where(there, span, _NEVER) for there, span in known])
    least: NDArray[np.uint64] = spans.min(axis=0)
    return least, least < _NEVER


@dataclass(frozen=True)
class Spike:
    """A span that many were silent for: its mean, ns, how many, and of how many."""

    ns: float
    count: int
    of: int


class Silence:
    """How long connections had been silent, to two digits: few numbers, however many there are."""

    MANY, MOST = 5, 0.5  # a spike has at least so many, and so much of all
    LONG_NS = 1_000_000_000  # what is shorter is no timeout's

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self._sums: Counter[int] = Counter()

    def add(self, spans: NDArray[np.uint64]) -> None:
        """Count spans, ns."""
        values = spans.astype(np.float64)
        step = 10.0 ** np.floor(np.log10(np.maximum(values, 10.0)) - 1)
        rounded = (np.round(values / step) * step).astype(np.int64)
        places, which = np.unique(rounded, return_inverse=True)
        sums = np.bincount(which, values)
        for place, count, total in zip(
            places.tolist(), np.bincount(which).tolist(), sums.tolist(), strict=True
        ):
            self.counts[place] += count
            self._sums[place] += int(total)

    def merge(self, other: Silence) -> None:
        """Take what another has counted."""
        self.counts.update(other.counts)
        self._sums.update(other._sums)

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(self.counts.values())

    def spike(self) -> Spike | None:
        """The span that most of them share, if they do."""
        total = self.total
        if not total:
            return None
        most = max(self.counts, key=lambda place: (self.counts[place], place))
        # a timeout may lie where two places meet, and a sweep make it a little longer
        near = [place for place in self.counts if abs(place - most) <= max(most // 10, 1)]
        count = sum(self.counts[place] for place in near)
        if most < self.LONG_NS or count < self.MANY or count < self.MOST * total:
            return None
        return Spike(sum(self._sums[place] for place in near) / count, count, total)


class ResetTable:
    """RSTs by sort and place; how long their connections had been silent, by sort and by way."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers
        self.counts: Counter[Key] = Counter()
        self.spans = Histograms(len(SORTS) + 1)
        self.silence: dict[int, Silence] = {}

    def add(self, records: Records) -> None:
        """Count a batch of `reset` records."""
        keys = keys_of(records, self._numbers)
        found, counts = np.unique(keys, axis=0, return_counts=True)
        for key, count in zip(map(tuple, found.tolist()), counts.tolist(), strict=True):
            self.counts[key] += count
        spans, known = idle_spans(records)
        if not known.any():
            return
        self.spans.add(keys[known], spans[known], np.ones(int(known.sum()), np.bool_))
        for way in distinct(records["way"][known]).tolist():
            chosen = known & (records["way"] == way)
            self.silence.setdefault(way, Silence()).add(spans[chosen])

    def merge(self, other: ResetTable) -> None:
        """Take what another has counted."""
        self.counts.update(other.counts)
        self.spans.absorb(other.spans)
        for way, silence in other.silence.items():
            self.silence.setdefault(way, Silence()).merge(silence)

    def idle(self, groups: dict[Key, int], size: int) -> list[Histogram]:
        """How long those of each group had been silent: `groups` has a number for each key."""
        keys, _ = self.spans.groups()
        labels = np.array([groups.get(tuple(key), -1) for key in keys.tolist()], np.int64)
        return self.spans.gather(labels, size)


class Broken:
    """What RSTs and errors say of the kernel's COUNTERS, by namespace."""

    def __init__(self, layout: Layout) -> None:
        enums = layout.enums
        self._sent = enums["reset_way"]["SENT"]
        self._by = enums["reset_by"]
        states = enums["tcp_state"]
        self._counted = [states["ESTABLISHED"], states["CLOSE_WAIT"]]
        self._of_resets: _Told = {}
        self._of_errors: _Told = {}

    def _is(self, records: Records, *names: str) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = np.isin(records["by"], [self._by[name] for name in names])
        return found

    def resets(self, records: Records) -> None:
        """Take `reset` records."""
        self._add_resets(self._of_resets, records, np.ones(len(records), np.uint64))

    def _add_resets(self, told: _Told, records: Records, counts: NDArray[np.uint64]) -> None:
        alone = records["answers"] == 0
        late = self._is(records, "LINGER0", "DATA_AFTER_CLOSE")
        late |= self._is(records, "LINGER2") & ~alone
        # those that end with an error of their own are counted by that
        ended = alone & ~self._is(records, "KILLED", "KEEPALIVE")
        counters = {
            "OutRsts": records["way"] == self._sent,
            "TCPAbortOnClose": self._is(records, "APP_CLOSE_UNREAD"),
            "TCPAbortOnData": late,
            "TCPAbortOnLinger": self._is(records, "LINGER2") & alone,
            "EstabResets": ended & np.isin(records["state"], self._counted),
        }
        for counter, chosen in counters.items():
            _add(told, counter, records["netns"][chosen], counts[chosen])

    def errors(self, records: Records, by_rst: list[int], timeout: int) -> None:
        """Take `error` records; those `by_rst` are counted by the RST."""
        ended = records["ended"] > 0
        other = ended & ~np.isin(records["error"], by_rst)
        counters = {
            "EstabResets": other & np.isin(records["state"], self._counted),
            "TCPAbortOnTimeout": ended & (records["error"] == timeout),
        }
        for counter, chosen in counters.items():
            netns = records["netns"][chosen]
            _add(self._of_errors, counter, netns, np.ones(len(netns), np.uint64))

    def told(self, pairs: Records | None = None) -> Counters:
        """By namespace and name; RSTs by the kernel's own counts of them, if these are given."""
        of_resets = self._of_resets
        if pairs is not None:
            of_resets = {}
            self._add_resets(of_resets, pairs["key"], pairs["value"]["resets"])
        both = [*of_resets, *self._of_errors]
        none: Counter[str] = Counter()
        return {
            netns: dict(of_resets.get(netns, none) + self._of_errors.get(netns, none))
            for netns in both
        }


def _add(told: _Told, counter: str, netns: NDArray[np.uint32], counts: NDArray[np.uint64]) -> None:
    for inode in distinct(netns).tolist():
        told.setdefault(inode, Counter())[counter] += int(counts[netns == inode].sum())
