"""Pane 3: listening sockets, their queues against their limits."""

from __future__ import annotations

from tracer.views.live.draw import bar
from tracer.views.live.panes.base import Column, Listed, Pane, Table, rate, share
from tracer.views.live.panes.listener_detail import below
from tracer.views.live.picture import ListenerRow, Picture
from tracer.views.tables import Heading

COLUMNS: tuple[Column[ListenerRow], ...] = (
    Column(Heading("LISTENER", words=True), lambda row: row.name, lambda row: row.name),
    Column(Heading("OWNER", words=True), lambda row: row.owner, lambda row: row.owner),
    Column(
        Heading("ACCEPT QUEUE", words=True),
        lambda row: f"{bar(row.queue, row.limit, 10)} {row.queue}/{row.limit}",
        lambda row: row.queue / (row.limit or 1),
    ),
    Column(Heading("PEAK"), lambda row: str(row.peak), lambda row: row.peak),
    Column(Heading("FULL"), lambda row: share(row.full), lambda row: row.full or 0),
    Column(Heading("SET BY", words=True, spare=9), lambda row: row.set_by),
    Column(Heading("SYNQ", spare=8), lambda row: str(row.syn_queue), lambda row: row.syn_queue),
    Column(Heading("ACC/s"), lambda row: rate(row.accepts), lambda row: row.accepts or 0),
    Column(
        Heading("DROP/s"),
        lambda row: rate(row.drops) + ("!" if row.drops else ""),
        lambda row: row.drops or 0,
    ),
)


def _table(picture: Picture) -> Table:
    return Listed(
        COLUMNS,
        [(row.cookie, row) for row in picture.listeners],
        is_wrong=lambda row: row.is_full or bool(row.drops),
        owner=lambda row: row.owner_key,
        term=lambda row: "accept_queue_full" if row.is_full or row.drops else row.set_by,
    )


LISTENERS = Pane(
    3,
    "Listeners",
    [column.heading for column in COLUMNS],
    _table,
    ("syn_drop",),
    below,
    short="Listen",
)
