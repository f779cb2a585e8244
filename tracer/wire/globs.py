"""Patterns for names of processes: `nginx`, `worker-*`, `[a-c]?`, compared byte by byte.

A name has at most 15 bytes, so a pattern has as many elements that take one, beside its stars. It
is matched by walking over the name with a set of places: n is in it while n elements are behind.
The kernel does the same with the tables made here (bpf/marks.h).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_ELEMENTS = 15  # TASK_COMM_LEN - 1
WORDS = 8  # bpf/maps.h: TT_GLOB_WORDS, four patterns in each
MOST_GLOBS = 4 * WORDS
_ANY = frozenset(range(1, 256))


@dataclass(frozen=True)
class Glob:
    """`elements` are the bytes that each one takes; a star stands before those in `stars`."""

    elements: tuple[frozenset[int], ...]
    stars: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> Glob:
        """As a shell reads it, with `[*]` for a star itself. Errors: ValueError if too long."""
        pattern = text.encode("utf-8", "surrogateescape")
        elements: list[frozenset[int]] = []
        stars = set()
        i = 0
        while i < len(pattern):
            if pattern[i : i + 1] == b"*":
                stars.add(len(elements))
                i += 1
                continue
            taken, i = _element(pattern, i)
            elements.append(taken)
        if len(elements) > MOST_ELEMENTS:
            raise ValueError(f"{len(elements)} elements are more than any name has bytes")
        return cls(tuple(elements), frozenset(stars))

    def matches(self, name: bytes) -> bool:
        """Whether all of a name is taken."""
        at = 1
        stays = sum(1 << n for n in self.stars)
        for byte in name:
            takes = sum(1 << n for n, taken in enumerate(self.elements) if byte in taken)
            at = (at & takes) << 1 | at & stays
        return bool(at >> len(self.elements) & 1)


def _element(pattern: bytes, i: int) -> tuple[frozenset[int], int]:
    """The bytes that the element at `i` takes, and where the next one begins."""
    if pattern[i : i + 1] == b"?":
        return _ANY, i + 1
    end = pattern.find(b"]", i + (3 if pattern[i + 1 : i + 2] == b"!" else 2))
    if pattern[i : i + 1] != b"[" or end < 0:
        return frozenset({pattern[i]}), i + 1
    inside = pattern[i + 1 : end]
    negated = inside.startswith(b"!")
    taken: set[int] = set()
    rest = inside[1:] if negated else inside
    while rest:
        if rest[1:2] == b"-" and len(rest) > 2:
            taken.update(range(rest[0], rest[2] + 1))
            rest = rest[3:]
        else:
            taken.add(rest[0])
            rest = rest[1:]
    return frozenset(_ANY - taken if negated else taken), end + 1


def fill_tables(tables: NDArray[np.void], wanted: Sequence[str], unwanted: Sequence[str]) -> None:
    """Write the patterns into a `struct tt_globs`."""
    for number, text in enumerate((*wanted, *unwanted)):
        glob = Glob.parse(text)
        word, shift = number // 4, number % 4 * 16
        for n, taken in enumerate(glob.elements):
            tables["takes"][0, word, sorted(taken)] |= np.uint64(1 << n + shift)
        for n in glob.stars:
            tables["stays"][0, word] |= np.uint64(1 << n + shift)
        tables["starts"][0, word] |= np.uint64(1 << shift)
        ends = "wanted" if number < len(wanted) else "unwanted"
        tables[ends][0, word] |= np.uint64(1 << len(glob.elements) + shift)
