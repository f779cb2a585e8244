"""The distinct values of an array, without what NumPy loads for masked ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def distinct(values: NDArray[Any], axis: int | None = None) -> NDArray[Any]:
    """What np.unique gives: each once, in order.

    Asked for nothing else, that imports numpy.ma first (2.3 and later): 50 ms and 2 MB.
    """
    found: NDArray[Any] = np.unique(values, return_counts=True, axis=axis)[0]
    return found
