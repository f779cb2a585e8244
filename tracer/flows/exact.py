"""Numbers from the kernel's own counts, which are exact whether records of them came or not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracer.wire.layout import Layout, Records

Owner = tuple[int, int]
# records that tell of no event
_NO_EVENTS = ("TASK", "LOST", "MAX")


@dataclass(frozen=True)
class Totals:
    """Counts by name since the session's begin, as they stood at this moment."""

    now_ns: int
    counts: dict[str, int]

    def rates(self, before: Totals) -> dict[str, float]:
        """A second, since then."""
        seconds = (self.now_ns - before.now_ns) / 1e9
        if seconds <= 0:
            return {}
        return {
            name: (count - before.counts.get(name, 0)) / seconds
            for name, count in self.counts.items()
        }


def totals(stats: Records, layout: Layout) -> dict[str, int]:
    """What `stats`, one row, says of the names of flows/pulse.py; all of them but by old kernels.

    A recording of an earlier version does not tell how many accepts failed.
    """
    states, kinds = layout.enums["tcp_state"], layout.enums["kind"]
    steps, matched = stats["transitions"], stats["matched"]
    began, closed = (states["SYN_SENT"], states["SYN_RECV"]), states["CLOSE"]
    failed = int(steps[began, closed].sum())
    ended = int(steps[:, closed].sum() - steps[states["LISTEN"], closed])
    found = {
        "opened_in": int(steps[states["LISTEN"], states["SYN_RECV"]]),
        "opened_out": int(steps[:, states["SYN_SENT"]].sum()),
        "failed": failed,
        "closed": ended - failed,
        "events": sum(int(matched[at]) for name, at in kinds.items() if name not in _NO_EVENTS),
    }
    if "accepts_failed" in (stats.dtype.names or ()):
        found["accepted"] = int(matched[kinds["ACCEPT"]] - stats["accepts_failed"])
    return found


class Moves:
    """Transitions by owner in one interval."""

    def __init__(self, keys: Records, values: Records, layout: Layout) -> None:
        self._states = layout.enums["tcp_state"]
        self._keys, self._counts = keys, values["count"].astype(np.int64)

    def opened(self) -> dict[Owner, int]:
        """Connections begun, by either side."""
        old, new = self._keys["old"], self._keys["new"]
        inward = (old == self._states["LISTEN"]) & (new == self._states["SYN_RECV"])
        return self._by_owner(np.where(inward | (new == self._states["SYN_SENT"]), 1, 0))

    def failed(self) -> dict[Owner, int]:
        """Attempts to begin one that came to nothing."""
        begun = np.isin(self._keys["old"], [self._states["SYN_SENT"], self._states["SYN_RECV"]])
        return self._by_owner(np.where(begun & (self._keys["new"] == self._states["CLOSE"]), 1, 0))

    def more_in(self, state: str) -> dict[Owner, int]:
        """How many more are in that state than before."""
        entered = (self._keys["new"] == self._states[state]).astype(np.int64)
        return self._by_owner(entered - (self._keys["old"] == self._states[state]))

    def _by_owner(self, steps: np.ndarray[tuple[int], np.dtype[np.int64]]) -> dict[Owner, int]:
        found: dict[Owner, int] = {}
        chosen = np.flatnonzero(steps)
        keys, counts = self._keys[chosen], (self._counts * steps)[chosen]
        told = (keys["pid"].tolist(), keys["start"].tolist(), counts.tolist())
        for pid, start, count in zip(*told, strict=True):
            found[pid, start] = found.get((pid, start), 0) + count
        return found
