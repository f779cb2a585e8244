"""Events kept for whoever asks what became of one connection: whole batches, within a bound.

What is older than there is room for is kept on for sockets that are still open, within a bound of
its own; the rest is dropped, and it is said since when that has been so.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tracer.wire.layout import Records

RECENT_BYTES = 16 << 20
OLDER_BYTES = 8 << 20
SMALL = 4096  # records: below that, batches are put together
KINDS = (
    *("state", "accept", "handshake", "connection", "retransmit", "reset", "error", "syn_drop"),
    "drop",
)

IsOpen = Callable[[NDArray[np.uint64]], NDArray[np.bool_]]


class History:
    """Records by kind, oldest first. Filled by one thread and asked by another.

    `dropped` counts those that are gone; `whole_since` is the moment (CLOCK_MONOTONIC, ns) from
    which on none is, 0 where all that came are here.
    """

    def __init__(self, recent_bytes: int = RECENT_BYTES, older_bytes: int = OLDER_BYTES) -> None:
        self._recent = _Ring(recent_bytes)
        self._older = _Ring(older_bytes)
        self._lock = threading.Lock()
        self.dropped = 0
        self.whole_since = 0
        self.open_since = 0  # the same, of sockets that have been open all the while

    def add(self, kinds: dict[str, Records], is_open: IsOpen) -> None:
        """Take a batch; `is_open` tells which cookies are those of open sockets."""
        with self._lock:
            for kind in KINDS:
                if kind in kinds:
                    self._recent.add(kind, kinds[kind])
            while self._recent.is_over:
                self._fold(*self._recent.pop(), is_open)

    def _fold(self, kind: str, records: Records, is_open: IsOpen) -> None:
        kept = records[is_open(records["cookie"])]
        self.whole_since = max(self.whole_since, int(records["mono_ns"][-1]) + 1)
        self.dropped += len(records) - len(kept)
        self._older.add(kind, kept)
        while self._older.is_over:
            _, gone = self._older.pop()
            self.dropped += len(gone)
            self.open_since = max(self.open_since, int(gone["mono_ns"][-1]) + 1)

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

    def chunks(self) -> list[tuple[str, Records]]:
        return [(kind, chunk) for kind, chunks in self._kinds.items() for chunk in chunks]
