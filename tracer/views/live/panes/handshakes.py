"""Pane 4: attempts to connect of the last minute, by process, and its peers in most trouble."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from tracer.flows.attempts import whole
from tracer.flows.grouping import Keys, unmask_address
from tracer.flows.handshakes import COLUMN, Group
from tracer.views.handshake_table import NUMBERS
from tracer.views.handshake_table import Row as Numbers
from tracer.views.handshake_words import NO_ANSWER, sentences
from tracer.views.live.panes.base import Column, Listed, Name, Pane, Table, absent
from tracer.views.live.parts import WELL, Key, Minute
from tracer.views.live.picture import Picture
from tracer.views.tables import Heading
from tracer.views.text import address, duration, endpoint, escape

PEERS = 5  # of each process, those in most trouble; of the only one, MANY
MANY = 200


@dataclass(frozen=True)
class Row:
    """Attempts of one process, or of it with one peer."""

    role: str
    process: str
    owner: Key
    peer: str
    numbers: Numbers
    failed: int


def _label(*names: str) -> Callable[[Keys], tuple[object, ...]]:
    at = [COLUMN[name] for name in names]
    return lambda row: tuple(int(row[i]) for i in at)


BY_PROCESS = _label("role", "pid", "start")
BY_PEER = _label("role", "pid", "start", "high", "low", "rport")


@lru_cache(maxsize=1)
def rows(minute: Minute) -> list[Row]:
    """Processes, those with most unanswered attempts first, each with its worst peers."""
    every, table = whole([*minute.by_peer, *minute.by_process]), whole(minute.by_peer)
    processes = _sorted(every.groups(minute.pending, BY_PROCESS), minute)
    peers: dict[tuple[object, ...], list[tuple[tuple[object, ...], Group]]] = {}
    for name, group in _sorted(table.groups(minute.pending, BY_PEER), minute):
        peers.setdefault(name[:3], []).append((name, group))
    few = MANY if len(processes) <= 2 else PEERS
    found = []
    for name, group in processes:
        theirs = peers.get(name, [])
        if len(theirs) != 1 or group.attempts != theirs[0][1].attempts:
            found.append(_row(minute, name, group, f"({len(theirs)} peers)"))
        found += [_row(minute, name, one, _peer(minute, name)) for name, one in theirs[:few]]
    return found


def _failed(group: Group, minute: Minute) -> int:
    return group.ended - group.outcomes().get(minute.facts.layout.enums["outcome"][WELL], 0)


def _silent(group: Group, minute: Minute) -> int:
    outcomes, values = group.outcomes(), minute.facts.layout.enums["outcome"]
    return sum(outcomes.get(values[name], 0) for name in NO_ANSWER)


def _sorted(
    groups: dict[tuple[object, ...], Group], minute: Minute
) -> list[tuple[tuple[object, ...], Group]]:
    return sorted(
        groups.items(),
        key=lambda one: (
            -_silent(one[1], minute),
            -_failed(one[1], minute),
            -one[1].attempts,
            str(one[0]),
        ),
    )


def _peer(minute: Minute, name: tuple[object, ...]) -> str:
    _, _, _, high, low, port = (int(str(part)) for part in name)
    host = address(unmask_address(high, low))
    return endpoint(host, port) if port else host


def _row(minute: Minute, name: tuple[object, ...], group: Group, peer: str) -> Row:
    facts = minute.facts
    role, pid, start = (int(str(part)) for part in name[:3])
    process = facts.process(pid, start)
    return Row(
        role=facts.roles[role],
        process=f"{escape(process.comm)}[{process.pid or '-'}]" if process else "-",
        owner=(pid, start),
        peer=peer,
        numbers=Numbers((), group, facts),
        failed=_failed(group, minute),
    )


def _term(row: Row) -> str:
    """The outcome, other than a good one, that most of its attempts had."""
    found = {name: count for name, count in row.numbers.outcomes.items() if name != WELL}
    return max(found, key=found.__getitem__, default=WELL).lower()


def _number(at: int) -> Column[Row]:
    column = NUMBERS[at]
    return Column(
        Heading(column.title, spare=column.spare),
        lambda row: column.cell(row.numbers),
        lambda row: float(column.value(row.numbers) or 0),
    )


COLUMNS: tuple[Column[Row], ...] = (
    Column(Heading("ROLE", words=True), lambda row: row.role, lambda row: row.role),
    Column(Heading("PROCESS", words=True), lambda row: row.process, lambda row: row.process),
    Column(Heading("PEER", words=True), lambda row: row.peer, lambda row: row.peer),
    *(_number(at) for at in range(len(NUMBERS))),
)
TITLES = [column.heading.title for column in COLUMNS]
# what leaves first where there is no room: outcomes that no attempt had, and then what is left
EMPTY = {"RESET": 9, "OTHER": 8, "REFUSED": 7, "PENDING": 6}
LATER = {"RTX": 5, "max": 4, "p50": 3, "p99": 2}


class Tried(Listed[Row]):
    """Attempts; an outcome that some had stays in view."""

    def __init__(self, found: list[Row]) -> None:
        named = [(_name(row), row) for row in found]
        super().__init__(COLUMNS, named, lambda row: row.failed > 0, lambda row: row.owner, _term)

    def spares(self) -> dict[int, int]:
        """By what the rows have."""
        empty = {at: EMPTY[title] for at, title in enumerate(TITLES) if title in EMPTY}
        found = {at: 0 if self.has(at) else spare for at, spare in empty.items()}
        return found | {TITLES.index(title): spare for title, spare in LATER.items()}


def _table(picture: Picture) -> Table:
    minute = picture.parts.minute
    found = rows(minute) if minute is not None else []
    return Tried(found)


def _name(row: Row) -> str:
    peer = "(peers)" if row.peer.startswith("(") else row.peer
    return f"{row.role} {row.owner} {peer}"


def _below(picture: Picture, name: Name | None, width: int, height: int) -> list[str]:
    """What the numbers of a row mean: of the one selected, else of the first."""
    minute = picture.parts.minute
    found = rows(minute) if minute is not None else []
    if missing := absent(picture, "handshake", "attempts"):
        return [missing]
    if minute is None or not found:
        return []
    chosen = next((row for row in found if _name(row) == name), found[0])
    since = f"attempts that ended in the last {duration(minute.span_ns)}"
    if share := picture.parts.shares.get("handshake"):
        since += f" ({share}: {share.lost} records were lost)"
    if len(minute.pending):
        since += f"; {len(minute.pending)} go on, as of {duration(minute.pending_ns)} ago"
    peers, processes = minute.folded()
    if peers:
        since += f"; {peers} too many to keep their peers"
    if processes:
        since += f"; {processes} more, too many to keep their processes"
    told = sentences(
        [((chosen.role, chosen.process, chosen.peer), chosen.numbers.group)], minute.facts
    )
    return [since, *told][:height]


HANDSHAKES = Pane(
    4,
    "Handshakes",
    [column.heading for column in COLUMNS],
    _table,
    below=_below,
    short="Handshk",
)
