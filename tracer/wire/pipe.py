"""Standard input that can be told to wait no longer: a pipe whose other end may never end."""

from __future__ import annotations

import io
import os
import select
import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 3.0  # whoever writes is stopped by the same Ctrl-C, and has its end to write


class Pipe(io.RawIOBase):
    """Reads a descriptor until its end, or until some time after `is_stopped` came true.

    `wake_fd` becomes readable when that may have happened.
    """

    def __init__(self, fd: int, is_stopped: Callable[[], bool], wake_fd: int) -> None:
        self._fd, self._is_stopped, self._wake_fd = fd, is_stopped, wake_fd
        self._until: float | None = None

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Wait for some bytes; 0 at the end."""
        while True:
            left = self._patience()
            if left is not None and left <= 0:
                return 0
            watched = [self._fd] if self._until else [self._fd, self._wake_fd]
            if self._fd in select.select(watched, [], [], left)[0]:
                return os.readv(self._fd, [buffer])

    def _patience(self) -> float | None:
        """Seconds left to wait; None while nothing asks for an end."""
        if self._until is None:
            if not self._is_stopped():
                return None
            self._until = time.monotonic() + PATIENCE_S
        return self._until - time.monotonic()
