"""A screen with nothing but the time on it, once a second: what any such screen takes here."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from textual.app import App, ComposeResult
from textual.widgets import Static

WORDS = 800  # about as much as is on a whole screen of the tracer's


class Clock(App[None]):
    """Draws all of it anew each second."""

    def compose(self) -> ComposeResult:
        """One widget."""
        yield Static("")

    def on_mount(self) -> None:
        """Begin."""
        self.set_interval(1, self._tick)

    def _tick(self) -> None:
        self.query_one(Static).update(f"{time.monotonic():.0f} " * WORDS)


@contextmanager
def clock(size: tuple[int, int]) -> Iterator[int]:
    """One that runs on a terminal of so many columns and lines; gives its PID."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    command = [sys.executable, "-m", "tests.programs.clock"]
    process = subprocess.Popen(command, stdin=its, stdout=its, stderr=its)
    os.close(its)
    threading.Thread(target=_drain, args=(ours,), daemon=True).start()
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _drain(fd: int) -> None:
    with suppress(OSError):
        while os.read(fd, 65536):
            pass


if __name__ == "__main__":
    Clock().run()
