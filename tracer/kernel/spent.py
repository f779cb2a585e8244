"""CPU that a thread took, with what those took that worked for it while it waited."""

from __future__ import annotations

import threading
import time


class _Helped(threading.local):
    seconds = 0.0


_helped = _Helped()


def spent_s() -> float:
    """CPU seconds of this thread and its helpers so far."""
    return time.thread_time() + _helped.seconds


def add_helper(seconds: float) -> None:
    """A thread that worked for this one has ended, and took so much."""
    _helped.seconds += seconds
