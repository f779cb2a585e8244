"""Ports without a listener as rules see them: from looks at listeners, and RSTs of that time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tracer.advice.lasting import Unheard
from tracer.advice.owner import Owner
from tracer.flows.gaps import Gap, Gaps
from tracer.flows.listeners import Listener
from tracer.wire.layout import Layout, Records

MOST = 1 << 16  # RSTs that are kept: beyond it the oldest are forgotten
_NAMES = ("mono_ns", "netns", "lport", "by", "answers")


class TurnedAway:
    """RSTs sent to who called a port where nobody listened, until there is a look at listeners."""

    def __init__(self, layout: Layout, owner: Callable[[int, int], Owner]) -> None:
        self._layout, self._owner = layout, owner
        enums = layout.enums
        # a recording of an earlier version has no RSTs
        by = enums.get("reset_by", {})
        self._nobody, self._queued = by.get("NO_SOCKET"), by.get("LISTENER_CLOSED")
        self._syn = enums.get("answers", {}).get("SYN")
        self._kept: list[Records] = []

    def add(self, resets: Records) -> None:
        """Take a batch of `reset` records."""
        refused = (resets["by"] == self._nobody) & (resets["answers"] == self._syn)
        found = resets[refused | (resets["by"] == self._queued)]
        if not len(found):
            return
        self._kept.append(np.array(found[list(_NAMES)], copy=True))
        while len(self._kept) > 1 and sum(map(len, self._kept)) > MOST:
            del self._kept[0]

    def told(self, listeners: Sequence[Listener]) -> list[Unheard]:
        """One for each port where somebody was turned away while nobody listened."""
        if not self._kept:
            return []
        gaps = Gaps(self._layout)
        resets = np.concatenate(self._kept)
        gaps.add(self._moments(listeners), resets[np.argsort(resets["mono_ns"], kind="stable")])
        found: dict[tuple[int, int], list[Gap]] = {}
        for gap in gaps.felt():
            found.setdefault((gap.netns, gap.port), []).append(gap)
        last_ns = int(resets["mono_ns"].max())
        return [self._unheard(ones, last_ns) for ones in found.values()]

    def _moments(self, listeners: Sequence[Listener]) -> Records:
        """When each began to listen, and ceased, as `state` records tell it."""
        states = self._layout.enums["tcp_state"]
        ways = (
            ("opened_ns", states["CLOSE"], states["LISTEN"]),
            ("closed_ns", states["LISTEN"], states["CLOSE"]),
        )
        turns = [
            (int(one.row[name]), old, new, one.row)
            for one in listeners
            for name, old, new in ways
            # one that was there before tracing opens the list
            if one.row[name] or name == "opened_ns"
        ]
        turns.sort(key=lambda turn: turn[0])
        made = np.zeros(len(turns), self._layout.dtypes["state"])
        for record, (mono_ns, old, new, row) in zip(made, turns, strict=True):
            record["mono_ns"], record["old"], record["new"] = mono_ns, old, new
            record["lport"] = row["port"]
            for name in ("cookie", "netns", "pid", "start"):
                record[name] = row[name]
        return made

    def _unheard(self, gaps: Sequence[Gap], last_ns: int) -> Unheard:
        longest = max(gaps, key=lambda gap: _span_ns(gap, last_ns))
        spans = [_span_ns(gap, last_ns) / 1e9 for gap in gaps]
        open_ones = [gap for gap in gaps if not gap.opened_ns]
        last = open_ones[0] if open_ones else longest
        return Unheard(
            longest.port,
            self._owner(*last.closed_by),
            None if open_ones else self._owner(*longest.opened_by),
            len(gaps),
            max(spans),
            sum(spans),
            sum(gap.refused for gap in gaps),
            sum(gap.reset_in_queue for gap in gaps),
            longest.netns,
        )


def _span_ns(gap: Gap, last_ns: int) -> int:
    """Of one that goes on: until the last who called, as nobody looks later."""
    return max(0, (gap.opened_ns or last_ns) - gap.closed_ns)
