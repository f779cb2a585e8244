"""Pane 7: the kernel's own counters that moved since the session began."""

from __future__ import annotations

from tracer.views.live.panes.base import Column, Listed, Pane, Table, rate
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
    )


COUNTERS = Pane(7, "Counters", [column.heading for column in COLUMNS], _table)
