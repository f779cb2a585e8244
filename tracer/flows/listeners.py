"""What became of each listening socket over a span: two looks at its counters, subtracted."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tracer.wire.layout import Layout, Records

COUNTERS = (
    "finished",
    "accepts",
    "reset_in_queue",
    "never_accepted",
    "overflows",
    "cookies_sent",
    "full_ns",
)


LIMITS = ("accept_queue_max", "somaxconn", "reuseport", "defer_accept", "fastopen")


@dataclass
class Listener:
    """One listening socket: `row` as it stands, counters and peaks of the span alone."""

    row: np.void
    counted: dict[str, int]
    drops: dict[str, int]
    accept_queue_peak: int
    syn_queue_peak: int


@dataclass
class ListenerTable:
    """Looks at all listeners, each against the one before (`since_last`) or the first.

    A socket that listens again after shutdown() is the same listener: what it counted goes on.
    """

    layout: Layout
    _now: dict[int, np.void] = field(default_factory=dict)
    _gone: dict[int, np.void] = field(default_factory=dict)
    _past: dict[int, np.void] = field(default_factory=dict)  # of those that listen again
    _before: dict[int, np.void] = field(default_factory=dict)
    _peaks: dict[int, tuple[int, int]] = field(default_factory=dict)
    _highest: dict[int, tuple[int, int]] = field(default_factory=dict)
    _before_ns: int = 0

    def look(self, rows: Records) -> None:
        """Take all listeners as they stand, and those that closed since the last look."""
        earlier, self._now = self._now, {}
        # how it ended is told before how it began again
        for row in rows[np.argsort(rows["closed_ns"] == 0, kind="stable")]:
            cookie = int(row["cookie"])
            row = self._with_past(row, cookie)
            peaks = self._peak(row, cookie)
            self._peaks[cookie] = _higher(self._peaks.get(cookie, (0, 0)), peaks)
            self._highest[cookie] = _higher(self._highest.get(cookie, (0, 0)), peaks)
            if row["closed_ns"]:
                self._gone[cookie] = _with_limits(row, earlier.get(cookie))
            else:
                self._now[cookie] = row

    def _with_past(self, row: np.void, cookie: int) -> np.void:
        gone = self._gone.get(cookie)
        if gone is not None and row["opened_ns"] > gone["closed_ns"]:
            self._past[cookie] = self._gone.pop(cookie)
        past = self._past.get(cookie)
        return row if past is None else _added(row, past)

    def _peak(self, row: np.void, cookie: int) -> tuple[int, int]:
        """The deepest that is known: between the looks, or as it was found by one of them."""
        before = self._before.get(cookie)
        depths = [
            max(
                int(row[f"{queue}_queue_peak"]),
                int(row[f"{queue}_queue"]),
                int(before[f"{queue}_queue"]) if before is not None else 0,
            )
            for queue in ("accept", "syn")
        ]
        return depths[0], depths[1]

    def since_last(self, now_ns: int) -> list[Listener]:
        """Every listener of the span since the last call of this, the busiest first."""
        found = self._all(self._before, self._peaks, now_ns)
        self._before = dict(self._now)
        for cookie in self._gone:
            self._before[cookie] = self._gone[cookie]
        self._peaks, self._before_ns = {}, now_ns
        return found

    def so_far(self) -> list[Listener]:
        """The same up to the last look, and the span goes on."""
        return self._all(self._before, self._peaks, None)

    def in_all(self, now_ns: int) -> list[Listener]:
        """Every listener since tracing began, the busiest first."""
        return self._all({}, self._highest, now_ns)

    def _all(
        self, before: dict[int, np.void], peaks: dict[int, tuple[int, int]], now_ns: int | None
    ) -> list[Listener]:
        rows = self._now | {
            cookie: row
            for cookie, row in self._gone.items()
            if cookie not in before or before[cookie]["closed_ns"] != row["closed_ns"]
        }
        found = [
            self._subtract(row, before.get(cookie), peaks.get(cookie, (0, 0)), now_ns)
            for cookie, row in rows.items()
        ]
        return sorted(found, key=_trouble)

    def _subtract(
        self, row: np.void, before: np.void | None, peaks: tuple[int, int], now_ns: int | None
    ) -> Listener:
        def grown(name: str) -> int:
            return int(row[name]) - (int(before[name]) if before is not None else 0)

        causes = self.layout.names["cause"]
        earlier = before["drops"] if before is not None else np.zeros_like(row["drops"])
        drops = {
            causes[i].lower(): int(now) - int(then)
            for i, (now, then) in enumerate(zip(row["drops"], earlier, strict=True))
            if now > then
        }
        counted = {name: grown(name) for name in COUNTERS}
        if now_ns is not None:  # there was a look for that moment
            counted["full_ns"] += _still_full_ns(row, now_ns)
        if before is not None:
            counted["full_ns"] -= _still_full_ns(before, self._before_ns)
        return Listener(row, counted, drops, *peaks)


def _still_full_ns(row: np.void, now_ns: int) -> int:
    """From the look to this moment, of a queue that the look found full.

    A busy machine looks well before or after the moments that a span is between: below 0 after.
    """
    full = not row["closed_ns"] and row["accept_queue"] > row["accept_queue_max"]
    if not full or "looked_ns" not in (row.dtype.names or ()):  # a recording of before
        return 0
    return now_ns - int(row["looked_ns"]) if row["looked_ns"] else 0


def _added(row: np.void, past: np.void) -> np.void:
    """The row of one that listens again, with what it had counted before."""
    row = row.copy()
    row["opened_ns"] = past["opened_ns"]
    for name in (*COUNTERS, "drops"):
        row[name] = row[name] + past[name]
    return row


def _with_limits(closed: np.void, before: np.void | None) -> np.void:
    """A closed listener's row; what only a living one tells is as it was."""
    row = closed.copy()
    if before is not None:
        for name in LIMITS:
            row[name] = row[name] or before[name]
    return row


def _higher(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return max(one[0], other[0]), max(one[1], other[1])


def _trouble(one: Listener) -> tuple[int, int, int, int]:
    lost = sum(one.drops.values())
    return -lost, -one.counted["full_ns"], -one.counted["accepts"], int(one.row["port"])
