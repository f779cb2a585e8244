"""What signals do to a session; with `-- PROGRAM`, most are the program's."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from types import FrameType

from tracer.cli.program import Program
from tracer.limits import Limits

TWICE_S = 0.1  # timeout(1) sends its signal twice, to the process and to its group
AGAIN_S = 3.0
# Ctrl-C and a hang-up reach all processes in the foreground; from elsewhere they reach only us
PASSED_ON = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}


class Signals:
    """Ctrl-C, SIGTERM and a terminal that hangs up end a session; a second one, at once.

    Before anything is attached they end the process, with 128 + the signal's number. `fd` becomes
    readable with each signal, so that no wait outlasts one.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._attached = False
        self._ended_at = 0.0
        self.fd, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # started by nohup, a hang-up is not for us; a shell's `&` ignores SIGINT, which
            # scripts send all the same
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._end)
        signal.signal(signal.SIGQUIT, self._interim)

    def _end(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self._attached:
            os._exit(128 + number)
        if self._limits.stop:
            # timeout(1) sends its signal twice, to the process and to its group
            if now - self._ended_at > TWICE_S:
                os._exit(128 + number)
            return
        self._ended_at = now
        self._limits.stop = signal.Signals(number).name

    def _interim(self, number: int, frame: FrameType | None) -> None:
        self._limits.interim = True

    def wake(self) -> None:
        """Have the session look at its limits now."""
        os.write(self._writer, b"\0")

    def attached(self) -> None:
        """From here on there is something to end cleanly."""
        self._attached = True


class NoSignals:
    """Of a session that others end: `fd` becomes readable when there is something to look at."""

    def __init__(self) -> None:
        self.fd, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def wake(self) -> None:
        """Have the session look at its limits now."""
        with suppress(BlockingIOError):  # it has not looked yet
            os.write(self._writer, b"\0")

    def attached(self) -> None:
        """Nothing comes of that."""

    def close(self) -> None:
        """Nobody waits for it any more."""
        os.close(self._writer)
        os.close(self.fd)


class PassedSignals:
    """While the program lives, signals that were sent to us alone are passed on to it.

    A second Ctrl-C within AGAIN_S ends tcptrace at once. Once the program has ended, and only what
    it left behind is traced, they end the session. `fd` becomes readable when there is something
    to look at.
    """

    def __init__(self, limits: Limits, program: Program) -> None:
        self._limits, self._program = limits, program
        self._attached = False
        self._last: dict[int, float] = {}
        self.fd, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        wanted = PASSED_ON | {signal.SIGQUIT}
        # started by nohup, a hang-up is for nobody
        if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
            wanted -= {signal.SIGHUP}
        # one thread takes them all: it is told who sent each, which a handler is not
        signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
        threading.Thread(target=self._listen, args=(wanted,), daemon=True).start()

    def _listen(self, wanted: set[signal.Signals]) -> None:
        while True:
            found = signal.sigwaitinfo(wanted)
            # above 0: by the kernel, for a terminal; include/uapi/asm-generic/siginfo.h
            self._take(found.si_signo, by_terminal=found.si_code > 0)
            self.wake()

    def _take(self, number: int, by_terminal: bool) -> None:
        if number == signal.SIGQUIT:
            self._limits.interim = True
            return
        if not self._attached:
            os._exit(128 + number)
        now = time.monotonic()
        since = now - self._last.get(number, -AGAIN_S)
        if since < TWICE_S:
            return
        self._last[number] = now
        if number == signal.SIGINT and since < AGAIN_S:
            os._exit(128 + number)
        if self._program.has_ended:
            self._limits.stop = self._limits.stop or signal.Signals(number).name
        elif not by_terminal:
            try:
                self._program.send(number)
            except PermissionError:
                # it runs as somebody else by now: what is left to end is the session
                self._limits.stop = self._limits.stop or signal.Signals(number).name

    def wake(self) -> None:
        """Have the session look at its limits now."""
        with suppress(BlockingIOError):  # it has not looked yet
            os.write(self._writer, b"\0")

    def attached(self) -> None:
        """From here on there is something to end cleanly."""
        self._attached = True
