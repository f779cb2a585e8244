"""The bench's arithmetic: intervals, and when there are rounds enough."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import cycle

import pytest

from tests.bench import pairs
from tests.bench.effort import FULL, QUICK
from tests.bench.estimates import of_mean, of_ratio, student

# two-sided 95 %, as printed in tables of Student's t
STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262, 29: 2.045, 59: 2.001}


@pytest.mark.parametrize(("freedom", "printed"), STUDENT.items())
def test_students_t_is_that_of_the_tables(freedom: int, printed: float) -> None:
    assert student(freedom) == pytest.approx(printed, rel=0.002)


def test_a_mean_has_the_interval_of_its_spread() -> None:
    found = of_mean([1, 2, 3, 4, 5])
    assert found.mean == 3
    assert found.half == pytest.approx(2.776 * math.sqrt(2.5) / math.sqrt(5), rel=0.002)
    assert of_mean([7]).half is None


def test_a_ratio_is_the_same_whichever_side_is_beside_which() -> None:
    ratios = [0.5, 0.8, 1.1, 0.9]
    assert of_ratio(ratios).mean * of_ratio([1 / one for one in ratios]).mean == pytest.approx(1)


def rounds_made(rates: Iterator[float]) -> list[pairs.Round]:
    def load() -> dict[str, float]:
        return {"rate": next(rates)}

    return pairs.enough_under(load, lambda traced: {"traced": traced()}, FULL)


def test_rounds_go_on_until_the_interval_is_narrow() -> None:
    steady = rounds_made(cycle([100.0, 90.0, 90.0, 100.0]))
    assert len(steady) == FULL.least_pairs
    rough = rounds_made(cycle([100.0, 90.0, 88.0, 100.0, 100.0, 94.0, 92.0, 100.0]))
    assert FULL.least_pairs < len(rough) < FULL.most_pairs
    assert (pairs.kept(rough).half or 1) <= 0.015
    assert (pairs.kept(rough[:-1]).half or 1) > 0.015


def test_rounds_that_never_agree_end_at_60() -> None:
    wild = rounds_made(cycle([100.0, 20.0, 50.0, 100.0, 100.0, 70.0]))
    assert len(wild) == FULL.most_pairs == 60
    assert (pairs.kept(wild).half or 0) > 0.015


def test_which_side_goes_first_alternates() -> None:
    assert [one["traced_first"] for one in rounds_made(cycle([1.0]))] == [
        *(False, True, False, True, False)
    ]


def test_a_round_takes_a_second_and_the_quick_form_has_two() -> None:
    assert FULL.round_s == 1
    assert QUICK.least_pairs == QUICK.most_pairs == 2
