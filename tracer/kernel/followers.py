"""When a traced program is over: it, all it started, and what their sockets still had to do."""

from __future__ import annotations

import time
from collections.abc import Callable

from tracer.kernel.live import LiveSource

SHARE = 100  # a walk over all processes may take 1/100 of a CPU
# A peer's answer to the last FIN comes within a round trip; one that never closes is not awaited.
LINGER_S = 0.5


class Followers:
    """The processes of --pid, once the program among them, which we started, has ended."""

    def __init__(self, source: LiveSource, has_ended: Callable[[], bool]) -> None:
        self._source, self._has_ended = source, has_ended
        self._next = 0.0
        self._until: float | None = None

    def have_gone(self) -> bool:
        """Whether none lives and no socket of theirs is on its way to its end, or not for long."""
        began = time.monotonic()
        if not self._has_ended() or began < self._next:
            return False
        self._source.walk_processes()
        now = time.monotonic()
        self._next = now + (now - began) * SHARE
        if not self._source.all_ended:
            self._until = None
            return False
        if self._until is None:
            self._until = now + LINGER_S
        return now >= self._until or not self._source.has_sockets_of_targets()
