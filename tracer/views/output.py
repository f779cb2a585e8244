"""Where results go: standard output or a file, whole lines at a time; and notices, to stderr."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tracer.errors import TracerError
from tracer.wire.recording import create


class PipeClosed(Exception):
    """The reader of our output has gone: nothing is wrong, there is just no one left to tell."""


class Output:
    """Whole lines to a file or to standard output, flushed a batch at a time.

    A batch never ends inside a line. Errors: PipeClosed; TracerError when a file cannot be made
    or its disk is full.
    """

    def __init__(self, path: Path | None = None, force: bool = False) -> None:
        self.path = path
        self._fd = create(path, force) if path else 1
        self.is_terminal = os.isatty(self._fd)

    def write(self, lines: list[str]) -> None:
        """Write lines, each given without its end."""
        if not lines:
            return
        data = memoryview(("\n".join(lines) + "\n").encode("utf-8", "backslashreplace"))
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except BrokenPipeError:
            raise PipeClosed from None
        except OSError as error:
            where = self.path or "standard output"
            raise TracerError(
                f"cannot write to {where}: {error.strerror}",
                "what was written before is there; give more room or another place",
            ) from error

    def close(self) -> None:
        """Close a file of ours."""
        if self.path:
            os.close(self._fd)


class Notices:
    """What is told beside the results, on standard error; nothing when quiet."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._progress = False

    def say(self, text: str) -> None:
        """One line."""
        if not self.quiet:
            self._clear()
            print(text, file=sys.stderr, flush=True)

    def progress(self, text: str) -> None:
        """One line that the next one replaces; on terminals only."""
        if not self.quiet and sys.stderr.isatty():
            self._clear()
            print(text, end="", file=sys.stderr, flush=True)
            self._progress = True

    def _clear(self) -> None:
        if self._progress:
            print("\r\x1b[K", end="", file=sys.stderr)
            self._progress = False
