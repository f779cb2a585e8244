"""Patterns for names: as fnmatch reads them, and the kernel's tables say the same."""

from __future__ import annotations

from fnmatch import fnmatchcase

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer.wire.globs import MOST_ELEMENTS, MOST_GLOBS, Glob, fill_tables
from tracer.wire.layout import Layout, Records

PATTERNS = st.text("ab*?[]!-", min_size=1, max_size=MOST_ELEMENTS)
NAMES = st.text("abc-![]", max_size=MOST_ELEMENTS)


@given(PATTERNS, NAMES)
def test_a_pattern_matches_what_a_shell_would_match(pattern: str, name: str) -> None:
    assert Glob.parse(pattern).matches(name.encode()) == fnmatchcase(name, pattern)


def _walk(tables: Records, name: bytes) -> tuple[bool, bool]:
    """What bpf/marks.h does with the tables."""
    found = [False, False]
    for word in range(tables["starts"].shape[1]):
        at = int(tables["starts"][0, word])
        for byte in name:
            takes = int(tables["takes"][0, word, byte])
            at = (at & takes) << 1 | at & int(tables["stays"][0, word])
        for i, ends in enumerate(("wanted", "unwanted")):
            found[i] |= bool(at & int(tables[ends][0, word]))
    return found[0], found[1]


@given(st.lists(PATTERNS, max_size=9), st.lists(PATTERNS, max_size=9), NAMES)
def test_the_kernels_tables_match_what_the_patterns_match(
    wire: Layout, wanted: list[str], unwanted: list[str], name: str
) -> None:
    tables = np.zeros(1, wire.dtypes["globs"])
    fill_tables(tables, wanted, unwanted)
    expected = tuple(
        any(Glob.parse(text).matches(name.encode()) for text in part) for part in (wanted, unwanted)
    )
    assert _walk(tables, name.encode()) == expected


def test_the_tables_have_room_for_all_that_may_be_given(wire: Layout) -> None:
    tables = np.zeros(1, wire.dtypes["globs"])
    names = [f"n{i:014}" for i in range(MOST_GLOBS)]
    fill_tables(tables, names[: MOST_GLOBS // 2], names[MOST_GLOBS // 2 :])
    assert _walk(tables, names[0].encode()) == (True, False)
    assert _walk(tables, names[-1].encode()) == (False, True)
    assert _walk(tables, b"n") == (False, False)


def test_a_pattern_longer_than_any_name_is_an_error() -> None:
    Glob.parse("*" + "?" * MOST_ELEMENTS + "*")
    with pytest.raises(ValueError, match="16 elements"):
        Glob.parse("x" * (MOST_ELEMENTS + 1))


def test_bytes_that_are_no_text_are_bytes_of_a_name() -> None:
    assert Glob.parse("caf\u00e9").matches("caf\u00e9".encode())
    assert Glob.parse("caf??").matches("caf\u00e9".encode())
    assert Glob.parse("*\udcff").matches(b"\xff\xff")
