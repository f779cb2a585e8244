"""Transitions by owner: count, dwell, and a histogram of 8 buckets per power of two.

Two roads lead here: the counters the kernel keeps (`states`), and records (a recording of them).
Both give the same table, because the buckets are the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracer.wire.layout import Layout, Records

KEYS = ("pid", "start", "old", "new", "timewait", "dwell_is", "owner_is", "bucket")


def bucket(ns: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """Bucket of a span, as bpf/probes/state.bpf.c has it: below 8 ns one each, then 1/8 powers."""
    exponent = np.clip(np.frexp(ns.astype(np.float64))[1].astype(np.int64) - 1, 0, 63)
    # above 2^53 a float just below a power of two rounds up to it
    exponent -= (ns >> exponent.astype(np.uint64)) == 0
    shift = np.clip(exponent - 3, 0, 63).astype(np.uint64)
    found = (exponent - 2) * 8 + ((ns >> shift) & np.uint64(7)).astype(np.int64)
    return np.where(ns < 8, ns.astype(np.int64), found).astype(np.uint16)


def bucket_middle(index: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Middle of a bucket, ns: at most 6.25 % from anything in it."""
    wide = index.astype(np.int64)
    exponent = wide // 8 + 2
    width = np.ldexp(1.0, exponent - 3)
    middle = np.ldexp(1.0, exponent) + (wide % 8 + 0.5) * width
    return np.where(wide < 8, wide.astype(np.float64), middle)


@dataclass(frozen=True)
class Spread:
    """A set of spans, ns. Quantiles are of the `timed` ones alone.

    `at_least` counts those that began before tracing, of which only a lower bound is known; the
    greatest of these is `most_at_least`. Of the rest nothing is known.
    """

    count: int
    total: int
    least: int
    most: int
    at_least: int
    most_at_least: int
    buckets: NDArray[np.uint16]
    weights: NDArray[np.uint64]

    @property
    def timed(self) -> int:
        """How many have a known span."""
        return int(self.weights.sum())

    def quantile(self, share: float) -> float | None:
        """Dwell time that this share stayed below, within 6 %; None without exact ones."""
        exact = self.timed
        if not exact:
            return None
        reached = np.cumsum(self.weights)
        place = int(np.searchsorted(reached, max(1, np.ceil(share * exact))))
        middle = float(bucket_middle(self.buckets[place : place + 1])[0])
        return min(max(middle, self.least), self.most)


class TransitionTable:
    """Counts by (owner, transition, dwell bucket)."""

    def __init__(self, layout: Layout) -> None:
        self._exact = layout.enums["dwell_is"]["EXACT"]
        self._types = [layout.dtypes["count_key"][name] for name in KEYS]
        self._keys = np.empty((0, len(KEYS)), np.int64)
        self._values = np.empty((0, 4), np.uint64)

    def set_counts(self, keys: Records, values: Records) -> None:
        """Replace everything by the kernel's counters: one value a key, CPUs added up."""
        self._keys, self._values = self._keys[:0], self._values[:0]
        columns = ("count", "sum_ns", "min_ns", "max_ns")
        # a key comes once for each program that counts
        self._merge(_matrix(keys), np.stack([values[c].astype(np.uint64) for c in columns], axis=1))

    def add(self, states: Records) -> None:
        """Count a batch of state records."""
        size = len(states)
        if not size:
            return
        dwell = states["dwell_ns"].astype(np.uint64)
        columns = [states[name].astype(np.int64) for name in KEYS[:-1]]
        keys = np.stack([*columns, bucket(dwell).astype(np.int64)], axis=1)
        values = np.stack([np.ones(size, np.uint64), dwell, dwell, dwell], axis=1)
        self._merge(keys, values)

    def _merge(self, keys: NDArray[np.int64], values: NDArray[np.uint64]) -> None:
        keys = np.concatenate((self._keys, keys))
        values = np.concatenate((self._values, values))
        order = np.lexsort(keys.T[::-1])
        keys, values = keys[order], values[order]
        if not len(keys):
            return
        first = np.ones(len(keys), np.bool_)
        first[1:] = (keys[1:] != keys[:-1]).any(axis=1)
        starts = np.flatnonzero(first)
        self._keys = keys[starts]
        self._values = np.stack(
            [
                np.add.reduceat(values[:, 0], starts),
                np.add.reduceat(values[:, 1], starts),
                np.minimum.reduceat(values[:, 2], starts),
                np.maximum.reduceat(values[:, 3], starts),
            ],
            axis=1,
        )

    def minus(self, before: TransitionTable) -> TransitionTable:
        """What was counted since `before`, an earlier state of this table.

        Least and most are those of the bucket as a whole: an interval's own are not kept.
        """
        earlier = {
            tuple(key): value
            for key, value in zip(before._keys.tolist(), before._values.tolist(), strict=True)
        }
        found = object.__new__(TransitionTable)
        found._exact, found._types = self._exact, self._types
        values = self._values.copy()
        for i, key in enumerate(self._keys.tolist()):
            old = earlier.get(tuple(key))
            if old:
                values[i, :2] -= np.array(old[:2], np.uint64)
        kept = values[:, 0] > 0
        found._keys, found._values = self._keys[kept], values[kept]
        return found

    def regrouped(self, groups: NDArray[np.int64]) -> TransitionTable:
        """The same counts by group: `groups` is that of each number an owner goes by."""
        found = self.copy()
        found._keys[:, 0] = groups[found._keys[:, 0]]
        found._merge(self._keys[:0], self._values[:0])
        return found

    def copy(self) -> TransitionTable:
        """A table that later changes do not touch."""
        return self.minus(self._empty())

    def _empty(self) -> TransitionTable:
        found = object.__new__(TransitionTable)
        found._exact, found._types = self._exact, self._types
        found._keys, found._values = self._keys[:0], self._values[:0]
        return found

    def owners(self) -> list[tuple[int, int]]:
        """(pid, start) of all that have transitions."""
        return sorted(set(map(tuple, self._keys[:, :2].tolist())))

    def owner_is(self, owner: tuple[int, int]) -> int:
        """What kind of owner that is; of several, the surest."""
        chosen = (self._keys[:, 0] == owner[0]) & (self._keys[:, 1] == owner[1])
        return int(self._keys[chosen, 6].max(initial=0))

    def transitions(
        self, owner: tuple[int, int] | None = None
    ) -> dict[tuple[int, int, int], Spread]:
        """(old, new, timewait) -> spread, of one owner or of all."""
        keys, values = self._keys, self._values
        if owner is not None:
            chosen = (keys[:, 0] == owner[0]) & (keys[:, 1] == owner[1])
            keys, values = keys[chosen], values[chosen]
        found = {}
        for key in sorted(set(map(tuple, keys[:, 2:5].tolist()))):
            same = (keys[:, 2:5] == key).all(axis=1)
            found[key] = self._spread(keys[same], values[same])
        return found

    def _spread(self, keys: NDArray[np.int64], values: NDArray[np.uint64]) -> Spread:
        exact = keys[:, 5] == self._exact
        buckets, place = np.unique(keys[exact, 7], return_inverse=True)
        weights = np.zeros(len(buckets), np.uint64)
        np.add.at(weights, place, values[exact, 0])
        sure, bounds = values[exact], values[~exact]
        return Spread(
            count=int(values[:, 0].sum()),
            total=int(sure[:, 1].sum()),
            least=int(sure[:, 2].min()) if len(sure) else 0,
            most=int(sure[:, 3].max()) if len(sure) else 0,
            at_least=int(bounds[bounds[:, 3] > 0, 0].sum()),
            most_at_least=int(bounds[:, 3].max()) if len(bounds) else 0,
            buckets=buckets.astype(np.uint16),
            weights=weights,
        )


def _matrix(keys: Records) -> NDArray[np.int64]:
    return np.stack([keys[name].astype(np.int64) for name in KEYS], axis=1)


def opens(table: TransitionTable, layout: Layout) -> dict[str, int]:
    """What the transitions say of the kernel's counters of connections begun, of all owners."""
    states = layout.enums["tcp_state"]
    listen, closed = states["LISTEN"], states["CLOSE"]
    found = {"PassiveOpens": 0, "ActiveOpens": 0}
    for (old, new, _), spread in table.transitions().items():
        if (old, new) == (listen, states["SYN_RECV"]):
            found["PassiveOpens"] += spread.count
        elif (old, new) == (closed, states["SYN_SENT"]):
            found["ActiveOpens"] += spread.count
    return found
