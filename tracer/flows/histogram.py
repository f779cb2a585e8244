"""Spans by key: counts in log buckets, from which quantiles are read.

The buckets are those of transitions.py. A bucket that holds a power of ten is kept in two parts, so
that counts by decade are exact too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracer.flows.rows import sort
from tracer.flows.transitions import Spread, bucket

# upper ends of the decades, ns: 10 us to 10 s; what is longer is in one more
DECADES = tuple(10**power for power in range(4, 11))
FEW = 4096  # rows that are not worth putting together one batch at a time
UNKNOWN = -1  # the place of what has no known span: neither that nor a bound of it
AT_LEAST = -2  # of what has a lower bound alone
_ENDS = np.array(DECADES, np.uint64)


@dataclass(frozen=True)
class Histogram(Spread):
    """The spans of one key, ns."""

    decades: NDArray[np.uint64]  # one count more than DECADES has ends

    @property
    def mean(self) -> float | None:
        """Mean span, ns; None without known ones."""
        return self.total / self.timed if self.timed else None


class Histograms:
    """Counts, sums and extremes by (key, place). Keys are rows of `width` whole numbers."""

    def __init__(self, width: int) -> None:
        self._keys = np.empty((0, width + 1), np.int64)
        self._values = np.empty((0, 4), np.uint64)
        self._parts: list[tuple[NDArray[np.int64], NDArray[np.uint64]]] = []

    def add(
        self, keys: NDArray[np.int64], ns: NDArray[np.uint64], known: NDArray[np.bool_]
    ) -> None:
        """Count a batch: a key and a span for each, and whether that is known or a lower bound.

        A lower bound of 0 is none.
        """
        ns = ns.astype(np.uint64)
        place = bucket(ns).astype(np.int64) << 4 | np.searchsorted(_ENDS, ns)
        place = np.where(known, place, np.where(ns > 0, AT_LEAST, UNKNOWN))
        ones = np.ones(len(ns), np.uint64)
        self._merge(
            np.column_stack((keys, place)).astype(np.int64), np.stack([ones, ns, ns, ns], axis=1)
        )

    def rows(self) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Keys, the last column the place, and values: arrays that are never changed."""
        self._put_together()
        return self._keys, self._values

    def absorb(self, other: Histograms) -> None:
        """Add all that another one has counted."""
        other._put_together()
        self._merge(other._keys, other._values)

    def _merge(self, keys: NDArray[np.int64], values: NDArray[np.uint64]) -> None:
        self._parts.append(_add_up(keys, values))
        if sum(len(part) for part, _ in self._parts) > max(FEW, len(self._keys)):
            self._put_together()

    def _put_together(self) -> None:
        if self._parts:
            parts = [(self._keys, self._values), *self._parts]
            self._parts = []
            self._keys, self._values = _add_up(
                np.concatenate([keys for keys, _ in parts]),
                np.concatenate([values for _, values in parts]),
            )

    def groups(self) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Every key once, in order, and how often it was counted."""
        self._put_together()
        if not len(self._keys):
            return self._keys[:, :-1], np.zeros(0, np.uint64)
        starts = _starts(self._keys[:, :-1])
        return self._keys[starts, :-1], np.add.reduceat(self._values[:, 0], starts)

    def gather(self, labels: NDArray[np.int64], size: int) -> list[Histogram]:
        """Histograms 0 to size - 1: each of all keys that `labels`, in groups' order, sends to it.

        A label that is negative leaves its key out.
        """
        self._put_together()
        if not len(self._keys):
            return [histogram(self._keys[:, -1], self._values)] * size
        starts = _starts(self._keys[:, :-1])
        of_row = np.repeat(labels, np.diff([*starts, len(self._keys)]))
        order = np.argsort(of_row, kind="stable")
        ends = np.searchsorted(of_row[order], np.arange(size + 1))
        parts = [order[ends[i] : ends[i + 1]] for i in range(size)]
        return [histogram(self._keys[part, -1], self._values[part]) for part in parts]


def _add_up(
    keys: NDArray[np.int64], values: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Rows with the same keys as one, in the order of the keys."""
    if not len(keys):
        return keys, values
    order, starts = sort(list(keys.T), len(keys))
    sums = [
        how.reduceat(column[order], starts)
        for how, column in zip((np.add, np.add, np.minimum, np.maximum), values.T, strict=True)
    ]
    return keys[order[starts]], np.stack(sums, axis=1)


def _starts(keys: NDArray[np.int64]) -> NDArray[np.intp]:
    """Where, in sorted rows, another one begins."""
    first = np.ones(len(keys), np.bool_)
    first[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    return np.flatnonzero(first)


def histogram(places: NDArray[np.int64], values: NDArray[np.uint64]) -> Histogram:
    """Of rows of one table or more: their places, and their values."""
    known = places >= 0
    sure, bounds = values[known], values[places == AT_LEAST]
    found, place = np.unique(places[known], return_inverse=True)
    weights = np.zeros(len(found), np.uint64)
    np.add.at(weights, place, sure[:, 0])
    decades = np.zeros(len(DECADES) + 1, np.uint64)
    np.add.at(decades, found & 15, weights)
    return Histogram(
        count=int(values[:, 0].sum()),
        total=int(sure[:, 1].sum()),
        least=int(sure[:, 2].min()) if len(sure) else 0,
        most=int(sure[:, 3].max()) if len(sure) else 0,
        at_least=int(bounds[:, 0].sum()),
        most_at_least=int(bounds[:, 3].max()) if len(bounds) else 0,
        buckets=(found >> 4).astype(np.uint16),
        weights=weights,
        decades=decades,
    )
