"""Rows of whole numbers are put in order by all their columns, whatever their range."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tracer.flows.rows import sort

LEAST, MOST = -(2**63), 2**63 - 1
VALUES = st.one_of(
    st.integers(LEAST, MOST), st.integers(0, 3), st.sampled_from([LEAST, 0, MOST, 2**40])
)


@given(st.integers(1, 5).flatmap(lambda n: st.lists(st.tuples(*[VALUES] * n), min_size=1)))
def test_rows_are_ordered_as_tuples_are_and_equal_ones_lie_together(
    rows: list[tuple[int, ...]],
) -> None:
    table = np.array(rows, np.int64)
    order, starts = sort(list(table.T), len(rows))
    assert [rows[i] for i in order] == sorted(rows)
    assert [rows[i] for i in order[starts]] == sorted(set(rows))


def test_no_rows_have_no_order() -> None:
    order, starts = sort([np.zeros(0, np.int64)], 0)
    assert not len(order)
    assert not len(starts)
