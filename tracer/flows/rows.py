"""Rows of whole numbers: sorted, so that equal ones lie beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.int64]
WORD_BITS = 63


class Order(NamedTuple):
    """`order`: indexes of the rows, sorted by their columns; `starts`: where another one begins."""

    order: NDArray[np.intp]
    starts: NDArray[np.intp]


def sort(columns: Sequence[Column], size: int) -> Order:
    """Order `size` rows, given by their columns, the first of which counts most."""
    if not size:
        return Order(np.zeros(0, np.intp), np.zeros(0, np.intp))
    words = _pack(columns)
    if not words:
        return Order(np.arange(size), np.zeros(1, np.intp))
    order = np.argsort(words[0], kind="stable") if len(words) == 1 else np.lexsort(words[::-1])
    differs = np.zeros(size - 1, np.bool_)
    for word in words:
        ordered = word[order]
        differs |= ordered[1:] != ordered[:-1]
    return Order(order, np.concatenate(([0], np.flatnonzero(differs) + 1)))


def _pack(columns: Sequence[Column]) -> list[Column]:
    """As few columns of the same order as will do: one is sorted many times faster than twelve."""
    words: list[Column] = []
    used = WORD_BITS
    for column in columns:
        least, most = int(column.min()), int(column.max())
        bits = (most - least).bit_length()
        if not bits:
            continue
        if bits > WORD_BITS:
            words.append(column)
            used = WORD_BITS
        elif used + bits > WORD_BITS:
            words.append(column - least)
            used = bits
        else:
            words[-1] = words[-1] << bits | (column - least)
            used += bits
    return words
