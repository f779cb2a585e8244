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


# what explains a trouble
TERMS = {
    "queue full": "accept_queue_full",
    "drops SYNs": "ListenDrops",
    "no answer": "SYN_SENT",
    "connects fail": "AttemptFails",
    "CLOSE_WAIT grows": "CLOSE_WAIT",
    "CLOSE_WAIT": "CLOSE_WAIT",
}


PASSING = ("CLOSE_WAIT", "SYN_SENT", "LAST_ACK", "FIN_WAIT1", "CLOSING")


def _term(row: ProcessRow) -> str:
    """Of its trouble, else of a state that sockets should soon leave, else of the most usual."""
    if row.trouble in TERMS:
        return TERMS[row.trouble]
    stays = [name for name in PASSING if row.now.get(name)]
    return stays[0] if stays else max(row.now, key=row.now.__getitem__, default="")


def _table(picture: Picture) -> Table:
    return Listed(
        COLUMNS,
        [(f"{row.key}", row) for row in picture.processes],
        is_wrong=lambda row: bool(row.trouble),
        owner=lambda row: row.key,
        term=_term,
    )


PROCESSES = Pane(1, "Processes", [column.heading for column in COLUMNS], _table, short="Procs")
