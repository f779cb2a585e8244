"""Dwell histograms: the C side's buckets, and what is read from them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer.flows.transitions import TransitionTable, bucket, bucket_middle
from tracer.wire.layout import Layout, Records


def _reference(ns: int) -> int:
    if ns < 8:
        return ns
    exponent = ns.bit_length() - 1
    return (exponent - 2) * 8 + (ns >> (exponent - 3) & 7)


@given(st.integers(0, 2**64 - 1))
def test_buckets_are_eight_to_a_power_of_two(ns: int) -> None:
    assert int(bucket(np.array([ns], np.uint64))[0]) == _reference(ns)


@pytest.mark.parametrize("power", range(3, 64))
def test_buckets_hold_at_the_powers_of_two(power: int) -> None:
    for ns in (2**power - 1, 2**power, 2**power + 1):
        assert int(bucket(np.array([ns], np.uint64))[0]) == _reference(ns)


@given(st.integers(8, 2**62))
def test_the_middle_of_a_bucket_is_within_six_and_a_quarter_percent(ns: int) -> None:
    middle = float(bucket_middle(bucket(np.array([ns], np.uint64)))[0])
    assert abs(middle - ns) <= 0.0625 * ns * (1 + 1e-9)


def _records(wire: Layout, dwell: list[int]) -> Records:
    records = np.zeros(len(dwell), wire.dtypes["state"])
    records["dwell_ns"], records["old"], records["new"], records["pid"] = dwell, 1, 8, 42
    return records


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=200))
def test_quantiles_agree_with_the_sorted_values(wire: Layout, dwell: list[int]) -> None:
    table = TransitionTable(wire)
    table.add(_records(wire, dwell))
    spread = table.transitions()[1, 8, 0]
    assert (spread.count, spread.total) == (len(dwell), sum(dwell))
    assert (spread.least, spread.most) == (min(dwell), max(dwell))
    for share in (0.5, 0.9, 0.99, 0.999):
        exact = sorted(dwell)[max(1, math.ceil(share * len(dwell))) - 1]
        assert spread.quantile(share) == pytest.approx(exact, rel=0.0626)


def test_what_began_before_tracing_is_a_lower_bound_and_no_sample(wire: Layout) -> None:
    records = _records(wire, [1000, 9000])
    records["dwell_is"][1] = wire.enums["dwell_is"]["AT_LEAST"]
    table = TransitionTable(wire)
    table.add(records)
    spread = table.transitions()[1, 8, 0]
    assert (spread.count, spread.at_least, spread.most, spread.most_at_least) == (2, 1, 1000, 9000)


def test_an_interval_is_what_came_since_the_last(wire: Layout) -> None:
    table = TransitionTable(wire)
    table.add(_records(wire, [1000] * 5))
    before = table.copy()
    table.add(_records(wire, [1000] * 3))
    assert table.minus(before).transitions()[1, 8, 0].count == 3
    assert table.minus(table.copy()).transitions() == {}
