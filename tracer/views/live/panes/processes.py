"""Pane 1: owners of sockets, those in trouble first."""

from __future__ import annotations

from tracer.views.live.panes.base import Column, Listed, Pane, Table, rate
from tracer.views.live.picture import Picture, ProcessRow
from tracer.views.tables import Heading


def _count(name: str, title: str, spare: int = 0) -> Column[ProcessRow]:
    def count(row: ProcessRow) -> int:
        return row.now.get(name, 0)

    return Column(Heading(title, spare=spare), lambda row: str(count(row) or "-"), count)


COLUMNS: tuple[Column[ProcessRow], ...] = (
    Column(Heading("PID"), lambda row: row.pid),
    Column(Heading("PROCESS", words=True), lambda row: row.name, lambda row: row.name),
    Column(Heading("CONTAINER", words=True, spare=9), lambda row: row.container),
    Column(Heading("SOCKS"), lambda row: str(row.sockets), lambda row: row.sockets),
    Column(Heading("OPEN/s"), lambda row: rate(row.opens), lambda row: row.opens or 0),
    Column(Heading("FAIL/s"), lambda row: rate(row.fails), lambda row: row.fails or 0),
    _count("ESTABLISHED", "ESTAB"),
    _count("CLOSE_WAIT", "CL_WAIT"),
    _count("SYN_SENT", "SYN_SENT", spare=7),
    _count("TIME_WAIT", "TIME_W", spare=8),
    Column(Heading("QUEUE"), lambda row: row.queue),
    Column(Heading("TROUBLE", words=True), lambda row: row.trouble or "-"),
)


def _table(picture: Picture) -> Table:
    return Listed(
        COLUMNS,
        [(f"{row.key}", row) for row in picture.processes],
        is_wrong=lambda row: bool(row.trouble),
        owner=lambda row: row.key,
    )


PROCESSES = Pane(1, "Processes", [column.heading for column in COLUMNS], _table, short="Procs")
