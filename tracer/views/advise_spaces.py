"""Network namespaces as rules see them: counters that grew, settings, what is in TIME_WAIT."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracer.advice.evidence import Space
from tracer.wire.distinct import distinct
from tracer.wire.layout import Records

Counters = dict[int, dict[str, int]]


class Spaces:
    """What was told of them so far; `time_wait` is the number of that state."""

    def __init__(self, time_wait: int) -> None:
        self._time_wait = time_wait
        self._first: Counters = {}
        self._last: Counters = {}
        self._settings: dict[int, dict[str, str]] = {}
        self._waiting: dict[int, int] | None = None

    def kernel(self, counters: Counters) -> None:
        """Take the kernel's own counters."""
        self._first = counters | self._first  # of one that came meanwhile, since it was seen
        self._last = self._last | counters

    def sysctls(self, found: dict[int, dict[str, str]]) -> None:
        """Take the settings."""
        self._settings |= found

    def all_sockets(self, rows: Records, chosen: NDArray[np.bool_]) -> None:
        """Take a pass over all sockets: whose they are is no matter to a table that is full."""
        waiting = rows["netns"][rows["state"] == self._time_wait]
        self._waiting = {int(one): int((waiting == one).sum()) for one in distinct(waiting)}

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
