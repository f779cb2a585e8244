"""Network namespaces as rules see them: counters that grew, settings, what is in TIME_WAIT."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tracer.advice.evidence import Owner, Space
from tracer.wire.distinct import distinct
from tracer.wire.layout import Records

Counters = dict[int, dict[str, int]]
CLOSERS = 3  # processes that are named


class Spaces:
    """What was told of them so far; `time_wait` is the number of that state."""

    def __init__(self, time_wait: int, owner: Callable[[int, int], Owner]) -> None:
        self._time_wait, self._owner = time_wait, owner
        self._first: Counters = {}
        self._last: Counters = {}
        self._settings: dict[int, dict[str, str]] = {}
        self._settings_first: dict[int, dict[str, str]] = {}
        self._waiting: dict[int, int] | None = None
        self._waited: dict[int, int] | None = None
        self._remains: Records | None = None

    def kernel(self, counters: Counters) -> None:
        """Take the kernel's own counters."""
        self._first = counters | self._first  # of one that came meanwhile, since it was seen
        self._last = self._last | counters

    def sysctls(self, found: dict[int, dict[str, str]]) -> None:
        """Take the settings."""
        self._settings |= found
        self._settings_first = found | self._settings_first

    def all_sockets(self, rows: Records, chosen: NDArray[np.bool_]) -> None:
        """Take a pass over all sockets: whose they are is no matter to a table that is full."""
        remains = rows[rows["state"] == self._time_wait]
        waiting = remains["netns"]
        if self._waited is None:
            self._waited = self._waiting
        self._waiting = {int(one): int((waiting == one).sum()) for one in distinct(waiting)}
        self._remains = remains

    @property
    def has(self) -> set[str]:
        """What there is to judge by."""
        return {name for name, there in self._there.items() if there}

    @property
    def _there(self) -> dict[str, bool]:
        return {"counters": bool(self._last), "settings": bool(self._settings)}

    def told(self) -> list[Space]:
        """All of them."""
        return [
            Space(
                netns,
                f"network namespace {netns}",
                self._grown(netns),
                self._settings.get(netns, {}),
                None if self._waiting is None else self._waiting.get(netns, 0),
                self._more_wait(netns),
                self._closers(netns),
                self._tracking(netns),
            )
            for netns in sorted(self._settings.keys() | self._last.keys())
        ]

    def _grown(self, netns: int) -> dict[str, int]:
        first = self._first.get(netns, {})
        return {
            name: value - first[name]
            for name, value in self._last.get(netns, {}).items()
            if name in first and value > first[name]
        }

    def _more_wait(self, netns: int) -> int | None:
        if self._waiting is None or self._waited is None:
            return None
        return self._waiting.get(netns, 0) - self._waited.get(netns, 0)

    def _closers(self, netns: int) -> tuple[tuple[str, int], ...]:
        """Names of who left them behind, whatever became of it: the most frequent."""
        if self._remains is None:
            return ()
        mine = self._remains[(self._remains["netns"] == netns) & (self._remains["pid"] > 0)]
        found = Counter(zip(mine["pid"].tolist(), mine["start"].tolist(), strict=True))
        return tuple((self._owner(*key).name, count) for key, count in found.most_common(CLOSERS))

    def _tracking(self, netns: int) -> dict[str, int]:
        """What connection tracking threw away meanwhile, by name."""
        last, first = self._settings.get(netns, {}), self._settings_first.get(netns, {})
        counted = {name: int(last[name]) for name in last if name.startswith("conntrack_")}
        return {name: value - int(first.get(name, value)) for name, value in counted.items()}
