"""The buffers, emptied in time whatever the session's thread is at.

That empties them when it comes round. While it walks many sockets, or is busy with what came, a
thread of its own takes out what is in a buffer that is half full: it sleeps until the kernel says
so, and costs nothing where little happens. What was taken waits here, in order and within a bound;
beyond that it is left in the buffers, and what they cannot hold is counted as lost.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from tracer.kernel.buffers import Buffers, Chunk

MOST_BYTES = 24 << 20  # that may wait: near half a second of the worst storm
NICE = -10  # a few us at a time; what waits for a CPU here may be lost


@dataclass(frozen=True)
class Drained:
    """What the buffers held: `began_ns` is the moment before it was taken out of them."""

    began_ns: int
    parts: list[tuple[str, list[Chunk]]]

    @property
    def nbytes(self) -> int:
        """What it takes."""
        return sum(chunk.nbytes for _, chunks in self.parts for chunk in chunks)


class Drains:
    """`take` is the session's thread's; `fd` is readable when something waits for it."""

    def __init__(self, buffers: dict[str, Buffers]) -> None:
        self._buffers = buffers
        self._waiting: deque[Drained] = deque()
        self._bytes = 0
        self._ends = False
        self._changed = threading.Condition()
        self._poll = select.epoll()
        self._polled: set[int] = set()
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._end_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._end_fd, select.EPOLLIN)
        self._watch()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        fds = {fd for buffers in self._buffers.values() for fd in buffers.fds}
        for fd in fds - self._polled:
            self._poll.register(fd, select.EPOLLIN | select.EPOLLET)
        self._polled |= fds

    def _run(self) -> None:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while True:
            self._poll.poll()
            with self._changed:
                self._changed.wait_for(lambda: self._ends or self._bytes < MOST_BYTES)
                if self._ends:
                    return
                self._empty()
            os.eventfd_write(self.fd, 1)

    def _empty(self) -> None:
        began_ns = time.monotonic_ns()
        drained = [(tag, buffers.drain()) for tag, buffers in self._buffers.items()]
        found = Drained(began_ns, [(tag, chunks) for tag, chunks in drained if chunks])
        self._waiting.append(found)
        self._bytes += found.nbytes

    @property
    def waiting(self) -> int:
        """Bytes that wait."""
        return self._bytes

    def take(self) -> Iterator[Drained]:
        """All that came since the last call, oldest first; the last is of now."""
        with suppress(BlockingIOError):
            os.eventfd_read(self.fd)
        with self._changed:
            self._empty()
            number = len(self._waiting)
        for _ in range(number):
            with self._changed:
                found = self._waiting.popleft()
                self._bytes -= found.nbytes
                self._changed.notify()
            yield found

    def add_cpus(self) -> None:
        """Open buffers for CPUs that have come. Errors: OSError."""
        with self._changed:
            for buffers in self._buffers.values():
                buffers.add_cpus()
            self._watch()

    def close(self) -> None:
        """End the thread; the buffers are left as they are."""
        with self._changed:
            self._ends = True
            self._changed.notify()
        os.eventfd_write(self._end_fd, 1)
        self._thread.join()
        self._poll.close()
        os.close(self.fd)
        os.close(self._end_fd)
