"""Where results go: standard output or a file, whole lines at a time; and notices, to stderr."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
from pathlib import Path

from tracer.errors import TracerError
from tracer.wire.recording import create


class PipeClosed(Exception):
    """The reader of our output has gone: nothing is wrong, there is just no one left to tell."""


class Output:
    """Whole lines to a file or to standard output (`fd`), flushed a batch at a time.

    A batch never ends inside a line. The file is made when the session has started, so that one
    that cannot start leaves neither an empty file nor an emptied one. Errors: PipeClosed;
    TracerError when a file cannot be made or its disk is full.
    """

    def __init__(self, path: Path | None = None, force: bool = False, fd: int = 1) -> None:
        self.path, self._force = path, force
        self._fd: int | None = None if path else fd
        self.is_terminal = path is None and os.isatty(fd)

    @property
    def width(self) -> int:
        """Columns of the terminal; 0 where it is none, and nothing need fit."""
        if not self.is_terminal or self._fd is None:
            return 0
        if self._fd == 1:
            return shutil.get_terminal_size((80, 24)).columns
        return os.get_terminal_size(self._fd).columns or 80

    def open(self) -> int:
        """Make the file, if it is not made yet; returns its descriptor. Errors: TracerError."""
        if self._fd is None:
            assert self.path
            self._fd = create(self.path, self._force)
        return self._fd

    def write(self, lines: list[str]) -> None:
        """Write lines, each given without its end."""
        if not lines:
            return
        fd = self.open()
        data = ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")
        done = 0
        try:
            while done < len(data):
                done += os.write(fd, memoryview(data)[done:])
        except BrokenPipeError:
            raise PipeClosed from None
        except OSError as error:
            if error.errno == errno.EIO and self.is_terminal:
                raise PipeClosed from None  # it hung up
            if self.path and stat.S_ISREG(os.fstat(fd).st_mode):
                begun = done - data.rfind(b"\n", 0, done) - 1
                os.ftruncate(fd, os.lseek(fd, 0, os.SEEK_CUR) - begun)
            where = self.path or ("standard output" if fd == 1 else "standard error")
            raise TracerError(
                f"cannot write to {where}: {error.strerror}",
                "what was written before is there; give more room or another place",
            ) from error

    def close(self) -> None:
        """Close a file of ours, if it was made."""
        if self.path and self._fd is not None:
            os.close(self._fd)
            self._fd = None


def forget(*fds: int) -> None:
    """Point descriptors whose readers have gone at nothing: a late flush cannot fail then."""
    null = os.open(os.devnull, os.O_WRONLY)
    for fd in fds:
        os.dup2(null, fd)
    os.close(null)


class Notices:
    """What is told beside the results, on standard error; nothing when quiet."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self.shows_progress = sys.stderr.isatty()
        self._progress = False

    def say(self, text: str) -> None:
        """One line."""
        if not self.quiet:
            self._tell(text + "\n")

    def progress(self, text: str) -> None:
        """One line that the next one replaces; on terminals only. An empty one clears it."""
        if not self.quiet and self.shows_progress and (text or self._progress):
            self._tell(text)
            self._progress = bool(text)

    def _tell(self, text: str) -> None:
        clear = "\r\x1b[K" if self._progress else ""
        self._progress = False
        try:
            print(clear + text, end="", file=sys.stderr, flush=True)
        except OSError:
            self.quiet = True  # nobody is there to read it
            forget(2)
