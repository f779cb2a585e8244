"""Pane 5: what listeners threw away, by place and cause, and the last of it."""

from __future__ import annotations

from tracer.views.live.draw import WIDE
from tracer.views.live.panes.base import Column, Listed, Name, Pane, Table
from tracer.views.live.parts import DropRow
from tracer.views.live.picture import Picture
from tracer.views.tables import Heading
from tracer.views.text import duration

COLUMNS: tuple[Column[DropRow], ...] = (
    Column(Heading("LISTENER", words=True), lambda row: row.listener, lambda row: row.listener),
    Column(Heading("OWNER", words=True), lambda row: row.owner, lambda row: row.owner),
    Column(Heading("CAUSE", words=True), lambda row: row.cause, lambda row: row.cause),
    Column(Heading("AT", words=True), lambda row: row.stage, lambda row: row.stage),
    Column(
        Heading("DROP/s"),
        lambda row: "-" if row.rate is None else f"{row.rate:.0f}" + ("!" if row.rate else ""),
        lambda row: row.rate or 0,
    ),
    Column(Heading("COUNT"), lambda row: str(row.count), lambda row: row.count),
    Column(Heading("LAST FROM", words=True, spare=8), lambda row: row.peer, lambda row: row.peer),
    Column(Heading("MEANING", words=True, spare=9), lambda row: row.meaning),
)


def _table(picture: Picture) -> Table:
    drops = picture.parts.drops
    return Listed(
        COLUMNS,
        [(str(row.place), row) for row in drops.rows] if drops else [],
        is_wrong=lambda row: bool(row.rate),
        owner=lambda row: row.owner_key,
    )


def _below(picture: Picture, name: Name | None, width: int, height: int) -> list[str]:
    drops = picture.parts.drops
    if drops is None:
        return ["not attached yet: what is dropped is not known"]
    total = sum(row.count for row in drops.rows)
    lines = [f"{total} dropped in {duration(drops.span_ns)}: SYNs and final ACKs of handshakes"]
    chosen = next((row for row in drops.rows if str(row.place) == name), None)
    if chosen is not None:
        answer = ", answered by a RST" if chosen.answer == "rst" else ""
        lines.append(f"{chosen.cause} at {chosen.stage}{answer}: {chosen.meaning}")
    recent = [
        whole if width >= WIDE else short
        for owner, whole, short in drops.recent
        if chosen is None or owner == chosen.owner_key
    ]
    room = max(0, height - len(lines))
    return lines + (recent[-room:] if room else [])


DROPS = Pane(
    5,
    "Drops",
    [column.heading for column in COLUMNS],
    _table,
    attaches=("syn_drop",),
    below=_below,
)
