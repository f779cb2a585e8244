"""The panes: which columns each has, and the cells of its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tracer.views.live.draw import bar
from tracer.views.live.picture import ListenerRow, Picture, ProcessRow
from tracer.views.tables import Heading

Row = TypeVar("Row")


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A heading, its cells, and what to sort by (biggest first)."""

    heading: Heading
    cell: Callable[[Row], str]
    key: Callable[[Row], float] | None = None


@dataclass(frozen=True)
class Pane(Generic[Row]):
    """A table of the screen: its columns, its rows by a key that lasts, which of them are wrong."""

    name: str
    columns: Sequence[Column[Row]]
    rows: Callable[[Picture], list[tuple[str, Row]]]
    is_wrong: Callable[[Row], bool]


def _count(name: str, title: str, spare: int = 0) -> Column[ProcessRow]:
    def count(row: ProcessRow) -> int:
        return row.now.get(name, 0)

    return Column(Heading(title, spare=spare), lambda row: str(count(row) or "-"), count)


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


PROCESSES: Pane[ProcessRow] = Pane(
    "Processes",
    (
        Column(Heading("PID"), lambda row: row.pid),
        Column(Heading("PROCESS", words=True), lambda row: row.name),
        Column(Heading("CONTAINER", words=True, spare=9), lambda row: row.container),
        Column(Heading("SOCKS"), lambda row: str(row.sockets), lambda row: row.sockets),
        Column(Heading("OPEN/s"), lambda row: _rate(row.opens), lambda row: row.opens or 0),
        Column(Heading("FAIL/s"), lambda row: _rate(row.fails), lambda row: row.fails or 0),
        _count("ESTABLISHED", "ESTAB"),
        _count("CLOSE_WAIT", "CL_WAIT"),
        _count("SYN_SENT", "SYN_SENT", spare=7),
        _count("TIME_WAIT", "TIME_W", spare=8),
        Column(Heading("QUEUE"), lambda row: row.queue),
        Column(Heading("TROUBLE", words=True), lambda row: row.trouble or "-"),
    ),
    lambda picture: [(f"{row.key}", row) for row in picture.processes],
    lambda row: bool(row.trouble),
)
LISTENERS: Pane[ListenerRow] = Pane(
    "Listeners",
    (
        Column(Heading("LISTENER", words=True), lambda row: row.name),
        Column(Heading("OWNER", words=True), lambda row: row.owner),
        Column(
            Heading("ACCEPT QUEUE", words=True),
            lambda row: f"{bar(row.queue, row.limit, 10)} {row.queue}/{row.limit}",
            lambda row: row.queue / (row.limit or 1),
        ),
        Column(Heading("PEAK"), lambda row: str(row.peak), lambda row: row.peak),
        Column(Heading("FULL"), lambda row: f"{row.full:.0%}", lambda row: row.full),
        Column(Heading("SET BY", words=True, spare=9), lambda row: row.set_by),
        Column(Heading("SYNQ", spare=8), lambda row: str(row.syn_queue), lambda row: row.syn_queue),
        Column(Heading("ACC/s"), lambda row: _rate(row.accepts), lambda row: row.accepts or 0),
        Column(
            Heading("DROP/s"),
            lambda row: _rate(row.drops) + ("!" if row.drops else ""),
            lambda row: row.drops or 0,
        ),
    ),
    lambda picture: [(f"{row.cookie:x}", row) for row in picture.listeners],
    lambda row: row.is_full or bool(row.drops),
)
PANES: tuple[Pane[Any], ...] = (PROCESSES, LISTENERS)
