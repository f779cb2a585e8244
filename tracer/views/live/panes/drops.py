"""Pane 5: what died on its way, laid out along that, by reason, place and owner; and the last.

From the device up: a packet that came passes the stages in this order, one that is sent the other
way round.
"""

from __future__ import annotations

from collections import Counter

from tracer.views.live.draw import WIDE, flow
from tracer.views.live.panes.base import Column, Listed, Name, Pane, Table
from tracer.views.live.parts import DropRow, PacketsPicture, Told
from tracer.views.live.picture import Picture
from tracer.views.tables import Heading
from tracer.views.text import duration, per_second
from tracer.wire.reasons import LAYERS

# before there is a packet; what is known of no stage is the last
STAGES = ("before", *LAYERS, "application", "-")
PATH = (*LAYERS, "application")

COLUMNS: tuple[Column[DropRow], ...] = (
    Column(Heading("WHERE", words=True), lambda row: row.where, lambda row: _stage(row)),
    Column(Heading("REASON", words=True), lambda row: _reason(row), lambda row: row.reason),
    Column(Heading("AT", words=True, spare=5), lambda row: row.at, lambda row: row.at),
    Column(Heading("DEV", words=True, spare=6), lambda row: row.dev, lambda row: row.dev),
    Column(Heading("OWNER", words=True), lambda row: row.owner, lambda row: row.owner),
    Column(Heading("LOCAL", words=True, spare=3), lambda row: row.local, lambda row: row.local),
    Column(Heading("DROP/s"), lambda row: _rate(row), lambda row: row.rate or 0),
    Column(Heading("COUNT"), lambda row: str(row.count), lambda row: row.count),
    Column(Heading("LAST FROM", words=True, spare=7), lambda row: row.peer, lambda row: row.peer),
    Column(Heading("MEANING", words=True, spare=9), lambda row: row.meaning),
)


def _stage(row: DropRow) -> int:
    return -STAGES.index(row.where)  # numbers are sorted from the biggest


def _reason(row: DropRow) -> str:
    return f"{row.stage.upper()}: {row.reason}" if row.stage else row.reason


def _rate(row: DropRow) -> str:
    if row.rate is None:
        return "-"
    return per_second(row.rate) + ("!" if row.rate and not row.expected else "")


def _all(picture: Picture) -> list[DropRow]:
    """Along the way, at each stage the fastest first."""
    parts = (picture.parts.drops, picture.parts.packets)
    found = [row for part in parts if part is not None for row in part.rows]
    return sorted(found, key=lambda row: (-_stage(row), -(row.rate or 0), -row.count, row.key))


def _table(picture: Picture) -> Table:
    return Listed(
        COLUMNS,
        [(row.key, row) for row in _all(picture) if picture.expected or not row.expected],
        is_wrong=lambda row: bool(row.rate) and not row.expected,
        owner=lambda row: row.owner_key if row.owner_key[0] else None,
        term=lambda row: row.reason,
    )


def _below(picture: Picture, name: Name | None, width: int, height: int) -> list[str]:
    drops, packets = picture.parts.drops, picture.parts.packets
    rows = _all(picture)
    chosen = next((row for row in rows if row.key == name), None)
    lines = _summed(picture, rows, width) + ([_chosen(chosen)] if chosen is not None else [])
    lines += _missing(picture)
    recent = [*(drops.recent if drops else ()), *(packets.recent if packets else ())]
    told = [
        one.whole if width >= WIDE else one.short
        for one in sorted(recent, key=_moment)
        if (picture.expected or not one.expected)
        and (chosen is None or one.owner_key == chosen.owner_key)
    ]
    room = max(0, height - len(lines))
    return lines + (told[-room:] if room else [])


def _moment(one: Told) -> int:
    return one.at_ns


def _chosen(row: DropRow) -> str:
    place = f" at {row.at}" if row.at != "-" else ""
    device = f", {row.dev}" if row.dev != "-" else ""
    return f"{_reason(row)}{place}{device}: {row.meaning}"


def _summed(picture: Picture, rows: list[DropRow], width: int) -> list[str]:
    """What died at each stage, and how much of it was no loss."""
    drops, packets = picture.parts.drops, picture.parts.packets
    if drops is None and packets is None:
        return []
    lost: Counter[str] = Counter()
    moving = set()
    for row in rows:
        if not row.expected and row.where != "before":
            lost[row.where] += row.count
            moving |= {row.where} if row.rate else set()
    if packets is None:
        return [f"{lost.total()} dropped by listeners: SYNs and final ACKs of handshakes"]
    cells = [f"{one} {lost[one]}{'!' if one in moving else ''}" for one in PATH]
    cells = [*(f"{cell} >" for cell in cells[:-1]), cells[-1]]
    if lost["-"]:
        cells.append(f"  elsewhere {lost['-']}")
    return [
        *flow("", cells, width, gap=" "),
        f"before a packet: {packets.before}",
        _losses(packets, lost.total(), rows, picture.expected),
    ]


def _losses(packets: PacketsPicture, lost: int, rows: list[DropRow], shown: bool) -> str:
    expected = sum(row.count for row in rows if row.expected)
    text = f"{lost} lost in {duration(packets.span_ns)}; {expected} expected ones"
    text += " shown too (A hides)" if shown else " hidden: nothing is lost with them (A shows)"
    return text + (f"; {packets.unsent} more have no record" if packets.unsent else "")


def _missing(picture: Picture) -> list[str]:
    """Of what nothing is known, why, and what it would cost to look."""
    parts = picture.parts
    there = {"syn_drop": parts.drops is not None, "drop": parts.packets is not None}
    what = {"syn_drop": "what listeners drop", "drop": "packets"}
    found = []
    for name in (name for name, known in there.items() if not known):
        if picture.recorded:
            why = "not in this recording"
        elif parts.why_off.get(name):
            why = parts.why_off[name]
        else:
            cost = picture.costs.get(name)
            why = "not attached yet" + (f"; it costs {cost}" if cost else "")
        found.append(f"{what[name]}: {why}")
    return found


DROPS = Pane(
    5,
    "Drops",
    [column.heading for column in COLUMNS],
    _table,
    attaches=("syn_drop", "drop"),
    below=_below,
    order="path",
    share=1 / 2,
)
