"""What may have been counted beyond an edge is told of as far as the kernel counted it."""

from __future__ import annotations

import pytest

from tracer.views.reconciled import Witness

OPENS = "ActiveOpens"


@pytest.mark.parametrize(
    ("told", "unsure", "line"),
    [
        ({OPENS: 4}, 9, f"{OPENS} 13 = 13; left over 0"),
        ({OPENS: 10}, 9, f"{OPENS} 13 = 13; left over 0"),
        ({OPENS: 4}, 2, f"{OPENS} 13 and 6; left over 7"),
        ({OPENS: 15}, 3, f"{OPENS} 13 and 15; left over 2"),
        ({}, 13, f"{OPENS} 13 = 13; left over 0"),
    ],
)
def test_no_more_of_it_is_told_than_the_kernel_counted(
    told: dict[str, int], unsure: int, line: str
) -> None:
    witness = Witness([OPENS])
    witness.take({1: {OPENS: 100}})
    witness.take({1: {OPENS: 113}})
    first, *_ = witness.lines({1: told}, [], {1: {OPENS: unsure}, 2: {OPENS: 5}})
    assert first == f"kernel, same span: {line}"
