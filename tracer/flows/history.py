"""Events kept for whoever asks what became of one connection: whole batches, within a bound.

What is older than there is room for is kept on for sockets that are still open, within a bound of
its own. Where that is not enough, those go first that have ended since, then those that no two
looks have seen, as their end may have been lost, then those with which nothing is wrong, oldest
first; it is known of which sockets something is missing.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tracer.flows.sockets import GONE, SURE, TROUBLED, WELL
from tracer.wire.layout import Records

RECENT_BYTES = 16 << 20
OLDER_BYTES = 8 << 20
LEFT = 3 / 4  # of the older ones, once room was made: to do it at every batch would cost too much
OPENED = TROUBLED + SURE + 1  # somebody reads it
SMALL = 4096  # records: below that, batches are put together
TROUBLES = ("retransmit", "reset", "error", "syn_drop", "drop")
KINDS = ("state", "accept", "handshake", "connection", *TROUBLES)

Cookies = NDArray[np.uint64]
# how sockets stood at that moment or later, as in flows/sockets.py
Standing = Callable[[Cookies, int], NDArray[np.uint8]]


class History:
    """Records by kind, oldest first. Filled by one thread and asked by another.

    `dropped` counts those that are gone; `whole_since` is the moment (CLOCK_MONOTONIC, ns) from
    which on none is, 0 where all that came are here.
    """

    def __init__(self, recent_bytes: int = RECENT_BYTES, older_bytes: int = OLDER_BYTES) -> None:
        self._recent = _Ring(recent_bytes)
        self._older = _Ring(older_bytes)
        self._room = int(older_bytes * LEFT)
        self._lock = threading.Lock()
        self._opened = (0, False)
        self._cut = np.zeros(0, np.uint64)  # open sockets that lack something
        self.dropped = 0
        self.whole_since = 0

    def open(self, cookie: int, is_open: bool) -> None:
        """Let go of this socket's events last: somebody reads them. 0: nobody reads any."""
        with self._lock:
            self._opened = (cookie, is_open)

    def add(self, kinds: dict[str, Records], standing: Standing) -> None:
        """Take a batch."""
        with self._lock:
            for kind in KINDS:
                if kind in kinds:
                    self._recent.add(kind, kinds[kind])
            while self._recent.is_over:
                self._fold(*self._recent.pop(), standing)
            if self._older.is_over:
                self._make_room(standing)

    def _fold(self, kind: str, records: Records, standing: Standing) -> None:
        last_ns = int(records["mono_ns"][-1])
        stands = standing(records["cookie"], last_ns)
        kept = records[(stands > GONE) | self._is_read(records["cookie"])]
        self.whole_since = max(self.whole_since, last_ns + 1)
        self.dropped += len(records) - len(kept)
        self._older.add(kind, kept)

    def _make_room(self, standing: Standing) -> None:
        troubled = self._with_troubles()

        def stands(records: Records) -> NDArray[np.uint8]:
            cookies = records["cookie"]
            found = standing(cookies, 0)
            well = (found == WELL) | (found == WELL + SURE)
            found[well & np.isin(cookies, troubled)] += TROUBLED - WELL
            found[self._is_read(cookies)] = OPENED
            return found

        self.dropped += self._older.sift(lambda records: stands(records) > GONE)
        self._cut = self._cut[standing(self._cut, 0) > GONE]
        for least in range(TROUBLED, OPENED + 2):
            self._cut_down(lambda records, of=least: stands(records) >= of)  # type: ignore[misc]

    def _is_read(self, cookies: Cookies) -> NDArray[np.bool_]:
        # without a socket it is 0, as where nobody reads any
        read: NDArray[np.bool_] = (cookies == self._opened[0]) & (cookies > 0)
        return read

    def _cut_down(self, stays: Callable[[Records], NDArray[np.bool_]]) -> None:
        gone = self._older.shrink(self._room, stays)
        self.dropped += len(gone)
        self._cut = np.union1d(self._cut, gone)

    def _with_troubles(self) -> Cookies:
        found = [
            records["cookie"]
            for ring in (self._older, self._recent)
            for kind, records in ring.chunks()
            if kind in TROUBLES
        ]
        return np.unique(np.concatenate(found)) if found else np.zeros(0, np.uint64)

    def of(self, cookie: int) -> dict[str, Records]:
        """All that is kept of one socket, by kind, in time order."""
        with self._lock:
            chunks = [*self._older.chunks(), *self._recent.chunks()]
        found: dict[str, list[Records]] = {}
        for kind, records in chunks:
            chosen = records["cookie"] == cookie
            if chosen.any():
                found.setdefault(kind, []).append(records[chosen])
        return {kind: np.concatenate(parts) for kind, parts in found.items()}

    def is_whole(self, cookie: int, since_ns: int, is_open: bool) -> bool:
        """Whether all that came of a socket since then is here."""
        with self._lock:
            if since_ns >= self.whole_since:
                return True
            kept_on = is_open or self._opened == (cookie, True)
            return kept_on and cookie not in self._cut

    @property
    def nbytes(self) -> int:
        """What it takes, without the lists themselves."""
        return self._recent.nbytes + self._older.nbytes


class _Ring:
    """Chunks of records by kind, and how many bytes they are."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._kinds: dict[str, deque[Records]] = {kind: deque() for kind in KINDS}
        self.nbytes = 0

    def add(self, kind: str, records: Records) -> None:
        if not len(records):
            return
        chunks = self._kinds[kind]
        if chunks and len(chunks[-1]) + len(records) <= SMALL:
            last = chunks.pop()
            self.nbytes -= last.nbytes
            records = np.concatenate([last, records])
        else:
            records = records.copy()  # it may be a view of more than itself
        chunks.append(records)
        self.nbytes += records.nbytes

    @property
    def is_over(self) -> bool:
        return self.nbytes > self._bound

    def pop(self) -> tuple[str, Records]:
        """The chunk whose last record is the oldest."""
        kind = min(
            (kind for kind, chunks in self._kinds.items() if chunks),
            key=lambda kind: int(self._kinds[kind][0]["mono_ns"][-1]),
        )
        records = self._kinds[kind].popleft()
        self.nbytes -= records.nbytes
        return kind, records

    def sift(self, stays: Callable[[Records], NDArray[np.bool_]]) -> int:
        """Keep those alone; how many are gone."""
        gone = 0
        before, self._kinds = self._kinds, {kind: deque() for kind in KINDS}
        self.nbytes = 0
        for kind, chunks in before.items():
            for records in chunks:
                kept = records[stays(records)]
                gone += len(records) - len(kept)
                self.add(kind, kept)
        return gone

    def shrink(self, nbytes: int, stays: Callable[[Records], NDArray[np.bool_]]) -> Cookies:
        """Let go of the oldest that may go, until it takes no more than that; whose they were."""
        gone = [np.zeros(0, np.uint64)]
        aside: dict[str, list[Records]] = {}
        held = 0
        while self.nbytes and self.nbytes + held > nbytes:
            kind, records = self.pop()
            stay = stays(records)
            gone.append(records["cookie"][~stay])
            if stay.any():
                aside.setdefault(kind, []).append(records[stay])
                held += aside[kind][-1].nbytes
        for kind, parts in aside.items():
            chunk = np.concatenate(parts)  # without what lies between fields: it may take less
            self._kinds[kind].appendleft(chunk)
            self.nbytes += chunk.nbytes
        return np.concatenate(gone)

    def chunks(self) -> list[tuple[str, Records]]:
        return [(kind, chunk) for kind, chunks in self._kinds.items() for chunk in chunks]
