"""Sockets and transitions, process by process."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tracer.flows.rows import sort
from tracer.flows.transitions import Spread, TransitionTable
from tracer.wire.layout import Layout, Records


@dataclass
class Holding:
    """What one owner has: sockets by state, the oldest in each, and what happened to them.

    `untaken` are those of `now` that no accept() has taken yet; `oldest` is (ns, whether that is
    exact) by state; `opened` counts attempts and children, `failed` those that never were
    ESTABLISHED, `closed` the ends of the others.
    """

    pid: int
    start: int
    owner_is: int = 0
    now: dict[int, int] = field(default_factory=dict)
    untaken: dict[int, int] = field(default_factory=dict)
    oldest: dict[int, tuple[int, bool]] = field(default_factory=dict)
    transitions: dict[tuple[int, int, int], Spread] = field(default_factory=dict)
    opened: int = 0
    closed: int = 0
    failed: int = 0


def holdings(sockets: Records | None, table: TransitionTable, layout: Layout) -> list[Holding]:
    """One entry for each owner that has sockets now or had transitions, by tgid."""
    found: dict[tuple[int, int], Holding] = {}
    if sockets is not None and len(sockets):
        _add_sockets(found, sockets, layout)
    names = layout.enums["tcp_state"]
    for pid, start in table.owners():
        holding = found.setdefault((pid, start), Holding(pid, start))
        if not pid:
            holding.owner_is = holding.owner_is or table.owner_is((pid, start))
        holding.transitions = table.transitions((pid, start))
        for (old, new, _), spread in holding.transitions.items():
            if new == names["SYN_SENT"] or (old == names["LISTEN"] and new == names["SYN_RECV"]):
                holding.opened += spread.count
            if new == names["CLOSE"] and old in (names["SYN_SENT"], names["SYN_RECV"]):
                holding.failed += spread.count
            elif new == names["CLOSE"] and old != names["LISTEN"]:
                holding.closed += spread.count
    return [found[key] for key in sorted(found)]


def _add_sockets(found: dict[tuple[int, int], Holding], sockets: Records, layout: Layout) -> None:
    exact = layout.enums["dwell_is"]["EXACT"]
    waits = layout.enums["owner_is"]["LISTENER"]
    half_open = layout.enums["tcp_state"]["NEW_SYN_RECV"]
    keys = [sockets[name].astype(np.int64) for name in ("pid", "start", "state")]
    order, starts = sort(keys, len(sockets))
    groups = zip(*(key[order[starts]].tolist() for key in keys), strict=True)
    # whole rows are long: of tens of thousands only what is asked for is put in order
    asked = np.stack([sockets[name][order] for name in ("owner_is", "age_ns", "age_is")], axis=1)
    parts = np.split(asked, starts[1:])
    for (pid, start, state), chosen in zip(groups, parts, strict=True):
        holding = found.setdefault((pid, start), Holding(pid, start))
        kinds, ages, bounds = chosen.T
        holding.owner_is = int(kinds[0])
        holding.now[state] = len(chosen)
        untaken = int((kinds == waits).sum())
        if untaken and state != half_open:
            holding.untaken[state] = untaken
        oldest = int(ages.argmax())
        holding.oldest[state] = int(ages[oldest]), bool(bounds[oldest] == exact)
