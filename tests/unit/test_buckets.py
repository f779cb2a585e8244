"""Ages and rates in steps: where each begins, and what is not known."""

from __future__ import annotations

import numpy as np
import pytest

from tracer.flows.buckets import AGES, RATES, bucket, name_age, name_rate

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("age_ns", "name"),
    [
        (1, "<1s"),
        (SECOND - 1, "<1s"),
        (SECOND, "1-10s"),
        (10 * SECOND, "10-60s"),
        (60 * SECOND - 1, "10-60s"),
        (60 * SECOND, "1-10m"),
        (600 * SECOND, "10m-1h"),
        (3600 * SECOND, ">1h"),
    ],
)
def test_an_age_is_in_the_step_that_begins_with_it(age_ns: int, name: str) -> None:
    (place,) = bucket(np.array([age_ns], np.float64), AGES).tolist()
    assert name_age(place) == name


@pytest.mark.parametrize(
    ("rate", "name"),
    [(0.0, "0"), (0.1, "<1k/s"), (1000.0, "1-10k/s"), (1e5, "0.1-1M/s"), (5e7, ">10M/s")],
)
def test_a_rate_is_in_the_step_that_begins_with_it(rate: float, name: str) -> None:
    (place,) = bucket(np.array([rate]), RATES).tolist()
    assert name_rate(place) == name


@pytest.mark.parametrize(("seconds", "name"), [(0.5, ">=0s"), (5, ">=1s"), (7200, ">1h")])
def test_a_lower_bound_says_no_more_than_is_known(seconds: float, name: str) -> None:
    (place,) = bucket(np.array([seconds * SECOND]), AGES).tolist()
    assert name_age(place + len(AGES) + 1) == name


def test_what_is_not_known_has_no_name() -> None:
    assert name_age(-1) is None
    assert name_rate(-1) is None
