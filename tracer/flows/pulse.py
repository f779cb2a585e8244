"""What happened in each of the last seconds: rates, and the little curves beside them.

From records; and where the kernel's own counts are told, from these, as records may be lost.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from tracer.flows.exact import Moves, Totals
from tracer.wire.layout import Layout, Records

SECONDS = 60
NAMES = ("opened_in", "opened_out", "failed", "closed", "accepted", "events")
Owner = tuple[int, int]


class Pulse:
    """Counts of the second that goes on; `tick` makes it the last of those that are kept.

    With `counts_moves` owners' counts are those that `moves` is told, not those of records.
    """

    def __init__(self, layout: Layout, counts_moves: bool = False) -> None:
        self._counts_moves = counts_moves
        self._totals: Totals | None = None
        self._before: Totals | None = None  # as of the last tick
        self._states = layout.enums["tcp_state"]
        self._kept: dict[str, deque[float]] = {name: deque(maxlen=SECONDS) for name in NAMES}
        self._now = dict.fromkeys(NAMES, 0)
        self._opens: dict[Owner, int] = {}
        self._fails: dict[Owner, int] = {}
        self.opens: dict[Owner, float] = {}  # a second, by owner, in the last
        self.fails: dict[Owner, float] = {}

    def add(self, kind: str, records: Records) -> None:
        """Take a batch of one kind."""
        if self._totals is not None and len(self._totals.counts) == len(NAMES):
            return  # the kernel has counted all of it
        if kind == "state":
            self.add_states(records)
        elif kind == "accept":
            self.add_accepts(records)
        else:
            self._now["events"] += len(records)

    def add_states(self, states: Records) -> None:
        """Take a batch of transitions."""
        names = self._states
        old, new = states["old"], states["new"]
        inward = (old == names["LISTEN"]) & (new == names["SYN_RECV"])
        outward = new == names["SYN_SENT"]
        ended = (new == names["CLOSE"]) & (old != names["LISTEN"])
        failed = ended & ((old == names["SYN_SENT"]) | (old == names["SYN_RECV"]))
        for name, chosen in (
            ("opened_in", inward),
            ("opened_out", outward),
            ("failed", failed),
            ("closed", ended & ~failed),
        ):
            self._now[name] += int(chosen.sum())
        self._now["events"] += len(states)
        if not self._counts_moves:
            count_owners(self._opens, states, inward | outward)
            count_owners(self._fails, states, failed)

    def add_accepts(self, accepts: Records) -> None:
        """Take a batch of accepts."""
        self._now["accepted"] += int((accepts["error"] == 0).sum())
        self._now["events"] += len(accepts)

    def begin_totals(self, now_ns: int) -> None:
        """The kernel begins to count: nothing yet."""
        self._before = Totals(now_ns, {})

    def totals(self, found: Totals) -> None:
        """Take the kernel's counts as they stand."""
        self._totals = found

    def stand(self, now_ns: int) -> None:
        """No other counts than the last were told until now: they still stood so."""
        if self._totals is not None and now_ns > self._totals.now_ns:
            self._totals = Totals(now_ns, self._totals.counts)

    def moves(self, found: Moves, seconds: float) -> None:
        """Take what the kernel counted by owner in the last so many seconds."""
        self.opens = {owner: count / seconds for owner, count in found.opened().items()}
        self.fails = {owner: count / seconds for owner, count in found.failed().items()}

    def tick(self, seconds: float) -> None:
        """The time since the last tick is over: it took so many seconds."""
        rates = {name: count / seconds for name, count in self._now.items()}
        if self._totals is not None and self._before is not None:
            rates |= self._totals.rates(self._before)
        self._before = self._totals
        for name, rate in rates.items():
            self._kept[name].append(rate)
        self._now = dict.fromkeys(NAMES, 0)
        if self._counts_moves:
            return
        self.opens = {owner: count / seconds for owner, count in self._opens.items()}
        self.fails = {owner: count / seconds for owner, count in self._fails.items()}
        self._opens, self._fails = {}, {}

    def rate(self, name: str) -> float | None:
        """A second, in the last interval; None before there was one."""
        return self._kept[name][-1] if self._kept[name] else None

    def curve(self, name: str) -> list[float]:
        """The last 60, oldest first."""
        return list(self._kept[name])


def count_owners(
    into: dict[Owner, int], records: Records, chosen: NDArray[np.bool_], step: int = 1
) -> None:
    """Add those that are chosen, `step` for each, to the counts of their owners."""
    if not chosen.any():
        return
    found = records[chosen]
    keys = np.stack([found["pid"].astype(np.int64), found["start"].astype(np.int64)], axis=1)
    owners, counts = np.unique(keys, axis=0, return_counts=True)
    for (pid, start), count in zip(owners.tolist(), counts.tolist(), strict=True):
        into[pid, start] = into.get((pid, start), 0) + count * step
