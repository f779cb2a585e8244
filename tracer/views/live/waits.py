"""The strip of waits: how long handshakes take, and finished connections wait for accept()."""

from __future__ import annotations

from tracer.flows.transitions import Spread
from tracer.views.handshake_words import FIRST_RTO_NS
from tracer.views.live.draw import flow
from tracer.views.live.losses import Share
from tracer.views.live.picture import Picture
from tracer.views.spreads import quantile
from tracer.views.text import duration

KINDS = ("handshake", "accept")


def lines(picture: Picture, width: int) -> list[str]:
    """p50, p99 and the longest of each, in the last minute or so; `!`: longer than a SYN's RTO."""
    minute = picture.parts.minute
    if minute is None:
        return []
    found = (
        ("handshake out", minute.handshakes("ACTIVE")),
        ("handshake in", minute.handshakes("PASSIVE")),
        ("accept wait", minute.waits.accepted()),
    )
    cells = [f"{name} {_spans(spread)}" for name, spread in found]
    shares = [picture.parts.shares[kind] for kind in KINDS if kind in picture.parts.shares]
    lost = "".join(f", {share}" for share in sorted(shares, key=_part)[:1])
    return flow("WAITS  ", [*cells, f"(p50 p99 max of {duration(minute.span_ns)}{lost})"], width)


def _part(share: Share) -> float:
    return share.came / (share.came + share.lost)


def _spans(spread: Spread) -> str:
    known = int(spread.weights.sum())
    if not known:
        return "- - -"
    most = _marked(duration(spread.most), spread.most)
    tail = _marked(quantile(spread, 0.99), spread.quantile(0.99) or 0)
    return f"{quantile(spread, 0.5)} {tail} {most}"


def _marked(text: str, ns: float) -> str:
    return f"{text}!" if ns >= FIRST_RTO_NS else text
