"""`q` on the keyboard ends what is shown on a terminal."""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_WAIT_S = 0.2


@contextmanager
def quits_by_key(stop: Callable[[str], None], wanted: bool) -> Iterator[None]:
    """While the block runs, `q` calls `stop`; the terminal is as it was when it is over."""
    if not wanted or not sys.stdin.isatty():
        yield
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    over = threading.Event()
    reader = threading.Thread(target=_read, args=(fd, stop, over))
    tty.setcbreak(fd, termios.TCSANOW)  # keys come one by one; Ctrl-C stays what it is
    reader.start()
    try:
        yield
    finally:
        over.set()
        reader.join()
        termios.tcsetattr(fd, termios.TCSANOW, before)


def _read(fd: int, stop: Callable[[str], None], over: threading.Event) -> None:
    while not over.is_set():
        if not select.select([fd], [], [], _WAIT_S)[0]:
            continue
        keys = os.read(fd, 64)
        if not keys or b"q" in keys or b"\x04" in keys:
            stop("quit")
            return
