"""The kernel's own counters as they are read: how fast they move, and how far they have moved."""

from __future__ import annotations

from tracer.flows.drops import Counters, minus
from tracer.views.live.picture import Counter

LEAST_NS = 250_000_000  # readings closer together than that, as at both ends, give no rate
# counters that grow only where something is wrong
TROUBLE = ("ListenOverflows", "ListenDrops", "TCPReqQFullDrop", "TCPSynRetrans", "AttemptFails")


class Readings:
    """Rates are of the last interval between two readings; there are none before it is over."""

    def __init__(self) -> None:
        self._first: Counters | None = None
        self._since: Counters = {}  # what the next rates are counted from
        self._since_ns = 0
        self._now: Counters = {}
        self._moved: dict[str, float] | None = None  # a second

    def read(self, counters: Counters, now_ns: int) -> None:
        """Take a reading made at this moment."""
        self._now = counters
        if self._first is None:
            self._first = counters
        elif now_ns - self._since_ns >= LEAST_NS:
            moved = _summed(minus(counters, self._since))
            seconds = (now_ns - self._since_ns) / 1e9
            self._moved = {name: count / seconds for name, count in moved.items()}
        elif self._moved is not None:
            return  # what came meanwhile is of the interval that goes on
        self._since, self._since_ns = counters, now_ns

    def moved(self) -> list[Counter]:
        """Those that moved since the first reading, the fastest first."""
        if self._first is None:
            return []
        span, rates = _summed(minus(self._now, self._first)), self._moved
        found = [
            Counter(name, None if rates is None else rates.get(name, 0.0), count, name in TROUBLE)
            for name, count in span.items()
            if count
        ]
        return sorted(found, key=lambda one: -(one.rate or 0.0))

    @property
    def are_rated(self) -> bool:
        """Whether an interval has passed between two of them."""
        return self._moved is not None


def _summed(counters: Counters) -> dict[str, int]:
    found: dict[str, int] = {}
    for names in counters.values():
        for name, count in names.items():
            found[name] = found.get(name, 0) + count
    return found
