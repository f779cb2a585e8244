"""Rows of `drops` from what was counted: of listeners by cause, of packets by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from tracer.flows.drops import DropTable, Place
from tracer.flows.packets import PacketTable, Spot
from tracer.views.columns import Facts
from tracer.views.drop_table import DECIDES, Row
from tracer.views.text import escape
from tracer.wire import reasons
from tracer.words.causes import MEANINGS


def rate_of(count: int, span_ns: int) -> float:
    """Packets a second."""
    return count * 1e9 / span_ns if span_ns else 0.0


def owner_text(facts: Facts, owner: tuple[int, int]) -> str | None:
    """`gunicorn[2207]`; None if nobody is known."""
    process = facts.process(*owner)
    return f"{escape(process.comm)}[{process.pid or '-'}]" if process else None


def of_listeners(found: DropTable, facts: Facts, span_ns: int) -> Iterator[Row]:
    """What listeners dropped; SYNs that were answered with a cookie are none."""
    for place, count in found.packets.items():
        if facts.answers[place.answer] == "cookie":
            continue
        yield _listener_row(place, count, found.owners.get(place, (0, 0)), facts, span_ns)


def _listener_row(
    place: Place, count: int, owner: tuple[int, int], facts: Facts, span_ns: int
) -> Row:
    cause, stage = facts.causes[place.cause], facts.stages[place.stage]
    answer = facts.answers[place.answer]
    return Row(
        layer="tcp",
        reason=f"{stage.upper()}: {cause}" + (", RST sent" if answer == "rst" else ""),
        at=DECIDES[stage],
        dev=None,
        owner=owner,
        owner_text=owner_text(facts, owner),
        port=place.port,
        netns=place.netns,
        count=count,
        rate=rate_of(count, span_ns),
        expected=False,
        why=(cause, MEANINGS[cause]),
        group=place.group,
        words={
            "reason": cause,
            "stage": stage,
            "answer": answer,
            "listener": f"{place.listener:x}" if place.listener else None,
            "layer": "tcp",
            "location": DECIDES[stage],
            "direction": "rx",
        },
    )


def of_packets(found: PacketTable, facts: Facts, span_ns: int, all_of_them: bool) -> Iterator[Row]:
    """What was dropped elsewhere; with `all_of_them` also what listeners' rows tell of."""
    stacks: dict[Spot, Counter[int]] = {}
    for (spot, number), packets in found.stacks.items():
        stacks.setdefault(spot, Counter())[number] = packets
    for spot, count in found.packets.items():
        if all_of_them or not spot.told:
            row = packet_row(spot, count, found.device(spot), facts, span_ns)
            known = stacks.get(spot, Counter())
            # what found no room among the places has no stack either: number 0
            yield replace(row, stacks=known + Counter({0: count - known.total()}))


def packet_row(spot: Spot, count: int, dev: str | None, facts: Facts, span_ns: int) -> Row:
    """Of one spot."""
    reason, function = facts.reason(spot.reason), facts.function(spot.location)
    told = reason, function, bool(spot.syn), spot.spent
    location = facts.code.get(spot.location)
    layer = reasons.layer_of(reason, function)
    owner = spot.pid, spot.start
    return Row(
        layer=layer,
        reason=reason,
        at=location,
        dev=dev and escape(dev),
        owner=owner,
        owner_text=owner_text(facts, owner),
        port=spot.port or None,
        netns=spot.netns or None,
        count=count,
        rate=rate_of(count, span_ns),
        expected=reasons.is_expected(*told),
        why=(reason, reasons.meaning_of(*told)),
        group=spot.group,
        words={
            "reason": reason,
            "layer": layer,
            "location": location,
            "dev": dev,
            "direction": facts.directions[spot.direction],
            "owner_from": facts.owners_from[spot.owner_from],
        },
    )
