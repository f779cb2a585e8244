"""`-- PROGRAM ARGS…`: a process that waits until all is attached, and then becomes the program.

It is forked while this process has one thread and nothing open but what it was given, so nothing
of ours is handed on; being there before anything is attached, its PID is one more of --pid.
"""

from __future__ import annotations

import errno
import os
import shlex
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from tracer.cli.identity import Identity, given_environment, invoker
from tracer.errors import NotPermittedError, TracerError
from tracer.kernel.privileges import drop_ambient

NOT_FOUND, NOT_EXECUTABLE = 127, 126
_HINTS = {
    NOT_FOUND: "check its name, and PATH",
    NOT_EXECUTABLE: "it must be a file with the x bit and, if a script, a first line with #!",
}


class Program:
    """A program to run and trace. `pid` is known once `fork` has been called."""

    def __init__(self, words: list[str], on_interrupt: signal.Handlers | None = None) -> None:
        self.words = words
        self._on_interrupt = on_interrupt or signal.SIG_DFL  # as this process was given it
        self.pid = 0
        self.started = False
        self._status: int | None = None
        self._lock = threading.Lock()
        self._waiter: threading.Thread | None = None

    def describe(self) -> str:
        """As a shell would be given it, at a length that fits a line."""
        text = shlex.join(self.words)
        return "-- " + (text if len(text) <= 60 else text[:57] + "...")

    # --- start ----------------------------------------------------------------------

    def fork(self) -> None:
        """Make the process, which waits. Errors: TracerError."""
        user = invoker()
        answer, self._say = os.pipe()
        self._answer, go = answer, self._say
        told, tell = os.pipe()
        try:
            self.pid = os.fork()
        except OSError as error:
            raise TracerError(
                f"no process can be made for the program: {error.strerror}",
                "see: ulimit -u, and pids.max of the control group",
            ) from error
        if self.pid == 0:
            _become(self.words, user, self._on_interrupt, told, go, close=(answer, tell))
        os.close(go)
        os.close(told)
        self._go = tell

    def check(self) -> None:
        """Wait until it can be started. Errors: TracerError."""
        answer = os.read(self._answer, 64)
        if not answer:
            status = self._wait()
            raise _failure(f"{self.words[0]!r} was ended before it began", "start it again", status)
        self._judge(answer)

    def start(self, on_end: Callable[[], None]) -> None:
        """Let it begin; `on_end` is called on a thread of its own. Errors: TracerError."""
        with suppress(BrokenPipeError):  # ended meanwhile, which its status says
            os.write(self._go, b"\n")
        # nothing more is said by one that runs: the pipe closes as it is executed
        self._judge(os.read(self._answer, 64) or b"ready")
        self.started = True
        self._waiter = threading.Thread(target=self._await, args=(on_end,), daemon=True)
        self._waiter.start()

    def _judge(self, answer: bytes) -> None:
        if answer == b"ready":
            return
        step, number = answer.split()
        name, cause = repr(self.words[0]), os.strerror(int(number))
        if step == b"user":
            raise NotPermittedError(
                f"{name} cannot be run as the user behind sudo: {cause}",
                "it takes CAP_SETUID and CAP_SETGID",
            )
        missing = int(number) in (errno.ENOENT, errno.ENOTDIR)
        status = NOT_FOUND if missing else NOT_EXECUTABLE
        raise _failure(f"{name} cannot be run: {cause}", _HINTS[status], status)

    # --- while it runs, and after ---------------------------------------------------

    @property
    def has_ended(self) -> bool:
        """Whether it is over; what it started may go on."""
        return self._status is not None

    def send(self, number: int) -> None:
        """Pass a signal on. Errors: PermissionError, where it has become another user's."""
        with self._lock:  # or its PID might be another's by now
            if self._status is None:
                os.kill(self.pid, number)

    def finish(self, status: int) -> int:
        """Wait for its end; returns its exit status, or `status` where it was never started.

        Where tracing failed, which `status` says then, and the program did not, the failure counts.
        """
        if not self.started:
            self._abandon()
            return status
        if self._waiter:
            self._waiter.join()
        return self._status or status

    def _abandon(self) -> None:
        if self.pid and self._status is None:
            os.close(self._go)  # what waits for it ends
            self._wait()

    def _await(self, on_end: Callable[[], None]) -> None:
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        self._wait()
        on_end()

    def _wait(self) -> int:
        with self._lock:
            code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            self._status = code if code >= 0 else 128 - code
        return self._status


def _failure(message: str, hint: str, status: int) -> TracerError:
    error = TracerError(message, hint)
    error.exit_code = status
    return error


# --- the process that waits ---------------------------------------------------------


def _become(
    words: list[str],
    user: Identity | None,
    on_interrupt: signal.Handlers,
    told: int,
    say: int,
    close: tuple[int, ...],
) -> NoReturn:
    """Prepare, say so, wait to be told, and become the program. Errors: none; it exits."""
    step = b"user"
    try:
        for fd in close:
            os.close(fd)
        signal.signal(signal.SIGINT, on_interrupt)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)  # Python ignores them
        environment = given_environment()
        if user is not None:
            user.assume()
            environment |= user.environment
        elif os.geteuid() != 0:
            drop_ambient()
        step = b"exec"
        path = _find(os.fsencode(words[0]), environment.get(b"PATH"))
        os.write(say, b"ready")
        if os.read(told, 1):
            os.execve(path, words, environment)
        os._exit(0)  # tcptrace could not start, or is gone
    except OSError as error:
        with suppress(OSError):
            os.write(say, step + b" %d" % (error.errno or 0))
    finally:
        os._exit(NOT_EXECUTABLE)


def _find(name: bytes, search: bytes | None) -> bytes:
    """The file that a shell would run. Errors: OSError."""
    if b"/" in name:
        places = [name]
    else:
        listed = os.fsencode(os.defpath) if search is None else search
        places = [os.path.join(place or b".", name) for place in listed.split(b":")]
    found = errno.ENOENT
    for place in places if name else ():
        if os.path.isfile(place) and os.access(place, os.X_OK):
            return place
        if os.path.lexists(place):
            found = errno.EACCES
    raise OSError(found, "")
