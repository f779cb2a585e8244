"""Ages and rates in a few steps, as people speak of them.

An age of which only a lower bound is known is in a bucket of such: `>=10s` may be years.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SECOND_NS = 1_000_000_000
# where the next bucket begins, ns
AGES = tuple(seconds * SECOND_NS for seconds in (1, 10, 60, 600, 3600))
_AGES = ("<1s", "1-10s", "10-60s", "1-10m", "10m-1h", ">1h")
_BOUNDS = (">=0s", ">=1s", ">=10s", ">=1m", ">=10m", ">1h")
AGE_NAMES = (*_AGES, *_BOUNDS[:-1])
# likewise, bytes a second; the first bucket is of those that carried nothing
RATES = (1e-9, 1e3, 1e4, 1e5, 1e6, 1e7)
RATE_NAMES = ("0", "<1k/s", "1-10k/s", "10-100k/s", "0.1-1M/s", "1-10M/s", ">10M/s")


def bucket(values: NDArray[np.float64], steps: tuple[float, ...]) -> NDArray[np.int64]:
    """In which bucket each is; one that begins with a value has it."""
    import numpy as np  # the names above are wanted where nothing is counted

    found: NDArray[np.int64] = np.searchsorted(np.array(steps, np.float64), values, "right")
    return found


def name_age(place: int) -> str | None:
    """A bucket of AGES; those of lower bounds come after the others. None: not known."""
    return [*_AGES, *_BOUNDS][place] if place >= 0 else None


def name_rate(place: int) -> str | None:
    """A bucket of RATES. None: not known."""
    return RATE_NAMES[place] if place >= 0 else None
