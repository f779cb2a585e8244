"""Several tracers over one workload: a recording, and `states` of all and of one process each."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType

from tests.harness import COMMAND, ROOT, TRANSITIONS, Record, Tracer, wait_until
from tests.programs.reading import step, stop_after
from tests.schemas import checked


class Watch:
    """Tracers of what goes to or from a port; `states` has one for all and one for each PID."""

    def __init__(self, directory: Path, port: int, *pids: int, netns: str = "all") -> None:
        self._file = directory / "recording"
        only = ["--port", str(port), "--netns", netns]
        self._events = Tracer(*TRANSITIONS, *only)
        self._recorder = Tracer("record", str(self._file), *only, json=False)
        # with one that goes on, as a session ends with the processes it is of
        lives_on = os.getpid()
        self.states = {
            pid: Tracer(
                "states", *only, *(["--pid", f"{pid},{lives_on}", "--no-follow"] if pid else [])
            )
            for pid in (0, *pids)
        }
        self._all = ExitStack()

    def __enter__(self) -> Watch:
        for tracer in (self._recorder, *self.states.values(), self._events):
            self._all.enter_context(tracer)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._all.close()

    def look(self, expected: dict[int, dict[str, int]]) -> None:
        """Have all of them look who holds what; `expected`: sockets by owner's PID and state."""
        marks, before = self._marks(), len(self.states[0].so_far())
        others = [(tracer, len(tracer.so_far())) for pid, tracer in self.states.items() if pid]
        for tracer in (self._recorder, *self.states.values()):
            tracer.process.send_signal(signal.SIGQUIT)
        wait_until(lambda: self._marks() > marks, "the recording's look")
        for tracer, told in others:
            wait_until(partial(_has_more, tracer, told), "an interim summary")

        def now() -> dict[int, dict[str, int]]:
            return {r["pid"]: r["now"] for r in self.states[0].so_far()[before:] if r["now"]}

        try:
            wait_until(lambda: now() == expected, "who has what", 5)
        except AssertionError as error:
            raise AssertionError(f"{error}: {now()}, not {expected}") from None

    def _marks(self) -> int:
        return self._file.read_bytes().count(b"MARK\0")

    def stop(self, count: int) -> None:
        """End them all, once so many transitions and accepts have been told."""
        stop_after(self._events, count)
        for tracer in (self._recorder, *self.states.values()):
            tracer.stop()
            assert ", 0 lost in " in tracer.stderr, tracer.stderr

    def records(self, *filters: str) -> list[Record]:
        """What the recording has, as `events` shows it."""
        return self._replay(*TRANSITIONS, *filters)

    def replayed_states(self) -> list[Record]:
        """The last block of `states` over the recording."""
        return self._replay("states")

    def _replay(self, *arguments: str) -> list[Record]:
        command = [*COMMAND, *arguments, "-r", str(self._file), "-j"]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        return checked(done.stdout.splitlines())

    def counted(self, pid: int = 0) -> dict[tuple[str, int | None], int]:
        """Transitions by step and owner, as the last summary of `states` has them."""
        return counted(self.states[pid].records)


def _has_more(tracer: Tracer, told: int) -> bool:
    return len(tracer.so_far()) > told


def counted(summaries: list[Record]) -> dict[tuple[str, int | None], int]:
    """Transitions by step and owner's PID, of the last block of summaries."""
    last = [r for r in summaries if r["ts"] == summaries[-1]["ts"]] if summaries else []
    return {
        (step(t | {"kind": "state"}), r["pid"]): t["count"] for r in last for t in r["transitions"]
    }
