"""Where the sockets of a finding were made, as rules see it: how many at which place."""

from __future__ import annotations

from collections import Counter

from tracer.advice.evidence import MadeAt
from tracer.views.text import escape
from tracer.wire.layout import Layout, Records
from tracer.wire.made import Made, Place
from tracer.wire.stacks import CUT

MOST = 6  # frames that are told: the innermost
_DONE = {"ACTIVE": "connected", "PASSIVE": "accepted"}


def places(rows: Records, made: Made, layout: Layout) -> tuple[MadeAt, ...]:
    """Those of these sockets that are known, the most frequent first."""
    found = Counter(made.of(cookie) for cookie in rows["cookie"].tolist())
    names = layout.names["role"]
    known = [
        MadeAt(count, _DONE.get(names.get(place.role, ""), "made"), _way(place))
        for place, count in found.items()
        if place is not None
    ]
    together = Counter[tuple[str, str]]()
    for one in known:
        together[one.how, one.way] += one.count
    ordered = sorted(together.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(MadeAt(count, how, way) for (how, way), count in ordered)


def _way(place: Place) -> str:
    """`function+0x1f (/its/file) <- its caller+0x2c`, from who called the C library on.

    A file is named where it is another one than before.
    """
    frames = list(place.frames)
    # connect() or accept() themselves say nothing, but if who called them is not known
    if len(frames) > 1 and frames[1] != CUT:
        del frames[0]
    # what comes before main() is the C library's
    mains = [i for i, frame in enumerate(frames) if frame.startswith("main+")]
    frames = frames[: mains[0] + 1] if mains else frames
    told, before = [], ""
    for frame in frames[:MOST]:
        name, _, file = frame.partition(" (")
        told.append(escape(name if file and file == before else frame))
        before = file or before
    if len(frames) > MOST and told[-1] != CUT:
        told.append(CUT)
    return " <- ".join(told)
