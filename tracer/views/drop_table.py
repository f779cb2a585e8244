"""The tables of `drops`: what they show of a place, and of places put together by --by."""

from __future__ import annotations

from dataclasses import dataclass

from tracer.flows.drops import Place
from tracer.views.tables import Column

# the function that decides, by stage
DECIDES = {"syn": "tcp_conn_request", "ack": "tcp_check_req"}


@dataclass(frozen=True)
class Row:
    """Packets dropped at one place: its stage and reason, the listener's owner."""

    place: Place
    stage: str
    reason: str
    owner: tuple[int, int]
    owner_text: str | None
    count: int
    rate: float


COLUMNS: tuple[Column[Row], ...] = (
    Column("WHERE", lambda row: "tcp", words=True, spare=3),
    Column("REASON", lambda row: row.reason, words=True),
    Column("AT", lambda row: DECIDES[row.stage], words=True, spare=2),
    Column("OWNER", lambda row: row.owner_text, words=True),
    Column("LPORT", lambda row: row.place.port),
    Column("COUNT", lambda row: row.count),
    Column("RATE/s", lambda row: row.rate, "{:.1f}".format, spare=1),
    Column("NETNS", lambda row: row.place.netns),
)


@dataclass(frozen=True)
class Group:
    """Packets dropped that share what --by asks for."""

    key: tuple[object, ...]
    count: int
    rate: float


SUMS: tuple[Column[Group], ...] = (
    Column("COUNT", lambda row: row.count),
    Column("RATE/s", lambda row: row.rate, "{:.1f}".format),
)
