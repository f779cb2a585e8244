"""Sockets by owner and state as they are now: kept up from transitions, set right by passes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracer.wire.layout import Layout, Records

Key = tuple[int, int, int]  # tgid, start time, state


class Present:
    """Counts by (tgid, start, state). What leaves TIME_WAIT is not told: a pass shows it."""

    def __init__(self, layout: Layout) -> None:
        self._states = layout.enums["tcp_state"]
        self._counts: dict[Key, int] = {}

    def set_right(self, rows: Records) -> None:
        """Take a pass over the sockets: what was counted before is forgotten."""
        keys, counts = np.unique(_keys(rows, rows["state"]), axis=0, return_counts=True)
        self._counts = dict(zip(map(tuple, keys.tolist()), counts.tolist(), strict=True))

    def move(self, states: Records) -> None:
        """Take a batch of transitions."""
        listen, closed = self._states["LISTEN"], self._states["CLOSE"]
        # a mini-socket in FIN_WAIT2 mostly goes on to TIME_WAIT untold
        became = np.where(states["timewait"], self._states["TIME_WAIT"], states["new"])
        old = states["old"]
        # a child comes from a listener, which stays one
        born = (old == listen) & (became != closed)
        left = _keys(states, old)[(old != closed) & ~born]
        self._change(left, _keys(states, became)[became != closed])

    def pass_on(self, accepts: Records) -> None:
        """Take a batch of accepts: what they took was its listener's owner's."""
        taken = accepts[(accepts["error"] == 0) & (accepts["listener_pid"] > 0)]
        before = [taken[name] for name in ("listener_pid", "listener_start", "state")]
        left = np.stack([column.astype(np.int64) for column in before], axis=1)
        self._change(left, _keys(taken, taken["state"]))

    def _change(self, left: NDArray[np.int64], entered: NDArray[np.int64]) -> None:
        """What a batch comes to: many sockets enter and leave a state within one."""
        keys, place = np.unique(np.concatenate([left, entered]), axis=0, return_inverse=True)
        signs = np.repeat([-1, 1], [len(left), len(entered)])
        sums = np.bincount(place.reshape(-1), signs, len(keys)).astype(np.int64)
        for key, change in zip(map(tuple, keys[sums != 0].tolist()), sums[sums != 0], strict=True):
            self._counts[key] = self._counts.get(key, 0) + int(change)

    def by_owner(self) -> dict[tuple[int, int], dict[int, int]]:
        """Counts by state, for each (tgid, start)."""
        found: dict[tuple[int, int], dict[int, int]] = {}
        for (pid, start, state), count in self._counts.items():
            if count > 0:  # below 0 is one whose begin was not told
                found.setdefault((pid, start), {})[state] = count
        return found

    def by_state(self) -> dict[int, int]:
        """Counts by state, of all owners."""
        found: dict[int, int] = {}
        for (_, _, state), count in self._counts.items():
            found[state] = found.get(state, 0) + max(0, count)
        return found


def _keys(records: Records, states: NDArray[np.generic]) -> NDArray[np.int64]:
    columns = [records["pid"], records["start"], states]
    return np.stack([column.astype(np.int64) for column in columns], axis=1)
