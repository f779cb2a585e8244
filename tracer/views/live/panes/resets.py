"""Pane 6: RSTs and errors, by what they came from and whose they are, and the last of them."""

from __future__ import annotations

from tracer.views.live.draw import WIDE
from tracer.views.live.panes.base import Column, Listed, Name, Pane, Table, absent
from tracer.views.live.parts import BreakRow
from tracer.views.live.picture import Picture
from tracer.views.tables import Heading
from tracer.views.text import duration, per_second

COLUMNS: tuple[Column[BreakRow], ...] = (
    Column(Heading("WHAT", words=True), lambda row: row.what, lambda row: row.what),
    Column(Heading("FROM", words=True), lambda row: row.why, lambda row: row.why),
    Column(Heading("PROCESS", words=True), lambda row: row.owner, lambda row: row.owner),
    Column(
        Heading("/s"),
        lambda row: per_second(row.rate) + ("!" if row.rate else ""),
        lambda row: row.rate or 0,
    ),
    Column(Heading("COUNT"), lambda row: str(row.count), lambda row: row.count),
    Column(Heading("LAST", words=True, spare=6), lambda row: row.at, lambda row: row.at),
    Column(Heading("PEER", words=True, spare=7), lambda row: row.peer, lambda row: row.peer),
    Column(Heading("LOCAL", words=True, spare=8), lambda row: row.local, lambda row: row.local),
    Column(Heading("MEANING", words=True, spare=9), lambda row: row.meaning),
)


def _table(picture: Picture) -> Table:
    breaks = picture.parts.breaks
    return Listed(
        COLUMNS,
        [(row.place, row) for row in breaks.rows] if breaks else [],
        is_wrong=lambda row: bool(row.rate),
        owner=lambda row: row.owner_key,
        term=lambda row: row.why,
    )


def _below(picture: Picture, name: Name | None, width: int, height: int) -> list[str]:
    breaks = picture.parts.breaks
    if breaks is None:
        return []
    resets = sum(row.count for row in breaks.rows if row.what.startswith("RST"))
    errors = sum(row.count for row in breaks.rows if row.what == "error")
    lost = [
        f"{name} {share}"
        for name, kind in (("RSTs", "reset"), ("errors", "error"))
        if (share := picture.parts.shares_of_all.get(kind))
    ]
    missing = [absent(picture, kind, f"{kind}s") for kind in ("reset", "error")]
    if all(missing):
        return missing
    lines = [f"{resets} RSTs, {errors} errors in {duration(breaks.span_ns)}"]
    lines[0] += f" ({', '.join(lost)}: records were lost)" if lost else ""
    lines += filter(None, missing)
    chosen = next((row for row in breaks.rows if row.place == name), None)
    if chosen is not None:
        lines.append(f"{chosen.what}, {chosen.why}: {chosen.meaning}; last with {chosen.peer}")
    elif breaks.silence and height > len(breaks.silence) + len(lines):
        lines += breaks.silence
    recent = [
        whole if width >= WIDE else short
        for owner, whole, short in breaks.recent
        if chosen is None or owner == chosen.owner_key
    ]
    room = max(0, height - len(lines))
    return lines[:height] + (recent[-room:] if room else [])


RESETS = Pane(6, "Resets", [column.heading for column in COLUMNS], _table, below=_below)
