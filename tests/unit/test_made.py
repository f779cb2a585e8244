"""Rows of many connections: no more are made than are shown."""

from __future__ import annotations

import numpy as np

from tracer.views.connections import Made
from tracer.views.look import Look

MANY, SHOWN = 40_000, 20


def test_of_many_rows_only_those_that_are_shown_are_made() -> None:
    asked: list[int] = []

    def make(places: np.ndarray) -> list[object]:
        asked.append(len(places))
        return places.tolist()  # type: ignore[no-any-return]

    rows = Made(np.arange(MANY), make)  # type: ignore[arg-type]
    shown, more = Look(limit=SHOWN).rows((), rows, on_terminal=False)
    assert [*map(str, shown)] == [*map(str, range(SHOWN))]
    assert more == [f"... {MANY - SHOWN} more (--limit 0)"]
    assert asked == [SHOWN]


def test_all_are_made_at_once_where_all_are_shown() -> None:
    asked: list[int] = []

    def make(places: np.ndarray) -> list[object]:
        asked.append(len(places))
        return places.tolist()  # type: ignore[no-any-return]

    rows = Made(np.arange(MANY), make)  # type: ignore[arg-type]
    assert len(Look(limit=0).rows((), rows, on_terminal=False)[0]) == MANY
    assert asked == [MANY]
