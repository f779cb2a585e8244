"""A mean and how sure it is: 95 % intervals from Student's t."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

_TWO_SIDED = 0.975


@dataclass(frozen=True)
class Estimate:
    """A mean of `count` measurements and half the width of its interval, None if it has none."""

    mean: float
    half: float | None
    count: int

    def times(self, factor: float) -> Estimate:
        """The same in another unit."""
        half = None if self.half is None else self.half * factor
        return Estimate(self.mean * factor, half, self.count)


def of_mean(values: Sequence[float]) -> Estimate:
    """Estimate a mean."""
    if len(values) < 2:
        return Estimate(values[0], None, len(values))
    return Estimate(fmean(values), _half(values), len(values))


def of_ratio(ratios: Sequence[float]) -> Estimate:
    """Estimate a ratio from paired ones: by the mean of their logarithms, at least two."""
    logs = [math.log(ratio) for ratio in ratios]
    middle, half = fmean(logs), _half(logs)
    low, high = math.exp(middle - half), math.exp(middle + half)
    return Estimate(math.exp(middle), (high - low) / 2, len(logs))


def _half(values: Sequence[float]) -> float:
    return student(len(values) - 1) * stdev(values) / math.sqrt(len(values))


def student(freedom: int) -> float:
    """Student's t for a two-sided 95 % interval, good to 0.2 %.

    Exact for 1 and 2 degrees of freedom; from there on the expansion in 1/freedom of Abramowitz
    and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    if freedom == 1:
        return math.tan(math.pi * (_TWO_SIDED - 0.5))
    if freedom == 2:
        return (2 * _TWO_SIDED - 1) / math.sqrt(2 * _TWO_SIDED * (1 - _TWO_SIDED))
    x = NormalDist().inv_cdf(_TWO_SIDED)
    terms = (
        x,
        (x**3 + x) / 4,
        (5 * x**5 + 16 * x**3 + 3 * x) / 96,
        (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
        (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160,
    )
    return math.fsum(term / freedom**power for power, term in enumerate(terms))
