"""Histograms by key: what is exact stays exact, quantiles keep to their buckets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer.flows.histogram import DECADES, Histogram, Histograms

SPANS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10**12)), max_size=200)


def _add(table: Histograms, pairs: list[tuple[int, int]], known: bool = True) -> None:
    keys = np.array([[key, -key] for key, _ in pairs], np.int64).reshape(-1, 2)
    spans = np.array([ns for _, ns in pairs], np.uint64)
    table.add(keys, spans, np.full(len(pairs), known))


def _by_key(table: Histograms) -> dict[int, Histogram]:
    keys, counts = table.groups()
    found = table.gather(np.arange(len(keys)), len(keys))
    assert [histogram.count for histogram in found] == counts.tolist()
    return dict(zip(keys[:, 0].tolist(), found, strict=True))


@given(SPANS)
def test_counts_sums_and_extremes_of_each_key_are_exact(pairs: list[tuple[int, int]]) -> None:
    table = Histograms(2)
    _add(table, pairs)
    found = _by_key(table)
    assert set(found) == {key for key, _ in pairs}
    for key, histogram in found.items():
        spans = sorted(ns for other, ns in pairs if other == key)
        assert (histogram.count, histogram.total) == (len(spans), sum(spans))
        assert (histogram.least, histogram.most) == (spans[0], spans[-1])
        assert histogram.mean == pytest.approx(sum(spans) / len(spans))
        for share in (0.5, 0.9, 0.99, 0.999):
            exact = spans[math.ceil(share * len(spans)) - 1]
            assert histogram.quantile(share) == pytest.approx(exact, rel=0.0626)


@given(st.lists(st.sampled_from([ns + d for ns in DECADES for d in (-1, 0, 1)]), min_size=1))
def test_decades_are_exact_at_their_ends(spans: list[int]) -> None:
    """An end belongs to the decade below it, though a bucket of logarithms reaches over it."""
    table = Histograms(2)
    _add(table, [(0, ns) for ns in spans])
    expected = [0] * (len(DECADES) + 1)
    for ns in spans:
        expected[sum(ns > end for end in DECADES)] += 1
    assert _by_key(table)[0].decades.tolist() == expected


@given(SPANS, SPANS)
def test_parts_add_up_to_the_whole(
    first: list[tuple[int, int]], rest: list[tuple[int, int]]
) -> None:
    parts, whole = Histograms(2), Histograms(2)
    for pairs in (first, rest):
        part = Histograms(2)
        _add(part, pairs)
        parts.absorb(part)
    _add(whole, first + rest)
    assert str(_by_key(parts)) == str(_by_key(whole))


def test_what_has_no_known_span_is_counted_and_no_sample() -> None:
    table = Histograms(2)
    _add(table, [(0, 1000), (0, 3000)])
    _add(table, [(0, 0)], known=False)
    found = _by_key(table)[0]
    assert (found.count, found.timed, found.at_least) == (3, 2, 0)
    assert (found.mean, found.least) == (2000, 1000)
    assert found.decades.sum() == 2


def test_a_lower_bound_is_counted_and_no_sample() -> None:
    table = Histograms(2)
    _add(table, [(0, 1000)])
    _add(table, [(0, 77), (0, 5000)], known=False)
    found = _by_key(table)[0]
    assert (found.count, found.timed, found.at_least, found.most_at_least) == (3, 1, 2, 5000)
    assert (found.mean, found.most) == (1000, 1000)
    assert found.decades.sum() == 1


def test_keys_can_be_gathered_and_left_out() -> None:
    table = Histograms(2)
    _add(table, [(0, 1000), (1, 2000), (2, 4000), (2, 8000)])
    both, none = table.gather(np.array([0, -1, 0]), 2)
    assert (both.count, both.total, both.least, both.most) == (3, 13000, 1000, 8000)
    assert (none.count, none.mean, none.quantile(0.5)) == (0, None, None)


def test_an_empty_table_has_no_groups_and_empty_histograms() -> None:
    keys, counts = Histograms(2).groups()
    assert len(keys) == len(counts) == 0
    assert [h.count for h in Histograms(2).gather(np.zeros(0, np.int64), 2)] == [0, 0]
