"""When to look again: at each interval and at the end of a duration, until there is an end.

What counts and what looks have in common; a session, which empties buffers meanwhile, paces itself.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tracer.limits import Limits


@dataclass
class Rounds:
    """After a first look at `began_ns`: the moments of those that follow, none where one was all.

    A signal ends a wait early: `wake_fd` is readable then.
    """

    limits: Limits
    began_ns: int
    wake_fd: int | None = None

    def __iter__(self) -> Iterator[int]:
        """Wait, and give the moment that has come; the last look is that after a reason to end."""
        limits, now = self.limits, self.began_ns
        going = bool(limits.interval or limits.seconds)
        while going:
            self._wait(self._next(now))
            now = time.monotonic_ns()
            if limits.seconds and now >= self.began_ns + round(limits.seconds * 1e9):
                limits.stop = limits.stop or "duration"
            yield now
            going = not limits.stop

    def close_block(self) -> bool:
        """Whether a block ends with this look: at each interval, and where one is asked for."""
        closes = bool(self.limits.interval or self.limits.interim)
        self.limits.interim = False
        return closes

    def _next(self, now: int) -> int:
        """When to look again; an interval that was missed is not made up for."""
        moments = []
        if self.limits.interval:
            every = round(self.limits.interval * 1e9)
            moments.append(now + every - (now - self.began_ns) % every)
        if self.limits.seconds:
            moments.append(self.began_ns + round(self.limits.seconds * 1e9))
        return min(moments)

    def _wait(self, due_ns: int) -> None:
        left = max(0.0, (due_ns - time.monotonic_ns()) / 1e9)
        fds = [self.wake_fd] if self.wake_fd is not None else []
        if select.select(fds, [], [], left)[0] and fds:
            os.read(fds[0], 4096)
