"""Pane 7: the kernel's own counters that moved since the session began, and what they mean."""

from __future__ import annotations

import textwrap

from tracer.views.counter_words import meaning
from tracer.views.live.panes.base import Column, Listed, Name, Pane, Table, rate
from tracer.views.live.picture import Counter, Picture
from tracer.views.tables import Heading

COLUMNS: tuple[Column[Counter], ...] = (
    Column(Heading("COUNTER", words=True), lambda row: row.name, lambda row: row.name),
    Column(Heading("/s"), lambda row: rate(row.rate), lambda row: row.rate or 0),
    Column(Heading("SPAN"), lambda row: str(row.span), lambda row: row.span),
    Column(Heading("", words=True), lambda row: "!" if row.trouble else ""),
)


def _table(picture: Picture) -> Table:
    return Listed(
        COLUMNS,
        [(row.name, row) for row in picture.counters],
        is_wrong=lambda row: row.trouble,
        term=lambda row: row.name,
    )


def below(picture: Picture, name: Name | None, width: int, height: int) -> list[str]:
    """What the counter that is selected means, else the first."""
    rows = picture.counters
    chosen = next((row for row in rows if row.name == name), rows[0] if rows else None)
    text = meaning(chosen.name) if chosen is not None else None
    if chosen is None or text is None:
        return []
    return textwrap.wrap(f"{chosen.name}: {text}", width)[:height]


COUNTERS = Pane(
    7,
    "Counters",
    [column.heading for column in COLUMNS],
    _table,
    below=below,
    short="Counts",
)
