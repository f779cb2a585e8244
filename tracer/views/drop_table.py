"""The tables of `drops`: what they show of a place, and of places put together by --by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tracer.views.tables import Column

# the function that decides, by stage
DECIDES = {"syn": "tcp_conn_request", "ack": "tcp_check_req"}


@dataclass(frozen=True)
class Row:
    """Packets dropped at one place: the layer, why, where, on which device, whose they were.

    `words` are what --by calls by their name and what is not of the owner; `group` is the number of
    what takes records, `why` the reason with its sentence. `stacks` are packets by the number of
    the kernel's stack, of a listener's none.
    """

    layer: str | None
    reason: str
    at: str | None
    dev: str | None
    owner: tuple[int, int]
    owner_text: str | None
    port: int | None
    netns: int | None
    count: int
    rate: float
    expected: bool
    why: tuple[str, str]
    group: int = 0
    words: Mapping[str, object] = field(default_factory=dict)
    stacks: Counter[int] = field(default_factory=Counter)


def _where(row: Row) -> str:
    return row.layer or "-"


COLUMNS: tuple[Column[Row], ...] = (
    Column("WHERE", _where, words=True, spare=3),
    Column("REASON", lambda row: row.reason, words=True),
    Column("AT", lambda row: row.at, words=True, spare=2),
    Column("DEV", lambda row: row.dev, words=True, spare=4),
    Column("OWNER", lambda row: row.owner_text, words=True),
    Column("LPORT", lambda row: row.port),
    Column("COUNT", lambda row: row.count),
    Column("RATE/s", lambda row: row.rate, "{:.1f}".format, spare=1),
    Column("NETNS", lambda row: row.netns),
)


@dataclass(frozen=True)
class Group:
    """Packets dropped that share what --by asks for."""

    key: tuple[object, ...]
    count: int
    rate: float
    expected: bool = False
    stacks: Counter[int] = field(default_factory=Counter)


SUMS: tuple[Column[Group], ...] = (
    Column("COUNT", lambda row: row.count),
    Column("RATE/s", lambda row: row.rate, "{:.1f}".format),
)


def grouped(rows: list[Row], label: Callable[[Row], tuple[object, ...]]) -> list[Group]:
    """Rows put together by what --by asks for, the worst first; expected if all of it is."""
    sums: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        sums.setdefault(label(row), []).append(row)
    found = [
        Group(
            key,
            sum(row.count for row in part),
            sum(row.rate for row in part),
            all(row.expected for row in part),
            sum((row.stacks for row in part), Counter()),
        )
        for key, part in sums.items()
    ]
    return sorted(found, key=lambda group: (-group.count, str(group.key)))
