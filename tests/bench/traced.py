"""A tracer under measurement: started, ready, ended with Ctrl-C, and what it said of itself.

Not tests.harness.Tracer: here the moments, the CPU time and the exit are what is measured.
"""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from tests.bench import machine
from tests.harness import ROOT, wait_until

COMMAND = str(Path(sys.executable).with_name("tcptrace"))
RECORDING = "{recording}"  # among the arguments: a file in memory that is gone after the round
SHARED_MEMORY = Path("/dev/shm")
PATIENCE_S = 60
TAIL_BYTES = 4096

CLOSING = re.compile(r"\b(\d+) seen, (\d+) matched, (\d+) lost in ")
COST = re.compile(r"^kernel cost: (\w+) (\d+) ns .*?(\d+) runs$", re.MULTILINE)


@dataclass(frozen=True)
class Told:
    """The closing line."""

    seen: int
    matched: int
    lost: int

    def raw(self) -> dict[str, int]:
        """What rounds.json keeps."""
        return asdict(self)


class Traced:
    """A tcptrace of its own process, ready when the `with` block begins."""

    def __init__(self, *arguments: str) -> None:
        place = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
        self._directory = tempfile.TemporaryDirectory(prefix="tcptrace-bench-", dir=place)
        path = Path(self._directory.name)
        self._ready, self._stdout, self._stderr = path / "ready", path / "stdout", path / "stderr"
        self.arguments = [COMMAND, *arguments, "--ready-file", str(self._ready)]
        self.arguments = [str(path / "kept") if a == RECORDING else a for a in self.arguments]
        self.ending_s = self.traced_s = 0.0
        self.cpu_since_ready_ns = 0
        self.stderr = self._tail = ""

    def __enter__(self) -> Traced:
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                self.arguments,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        self._pidfd = os.pidfd_open(self.process.pid)
        try:
            wait_until(self._is_ready, "the tracer to be ready")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self._ready_at = time.monotonic()
        self._cpu_at_ready_ns = self.cpu_ns()
        return self

    def _is_ready(self) -> bool:
        assert not self._ends_within(0), f"ended early: {self._stderr.read_text()}"
        return self._ready.exists()

    def _ends_within(self, seconds: float) -> bool:
        return bool(select.select([self._pidfd], [], [], seconds)[0])

    def run_for(self, seconds: float) -> None:
        """Let it trace for so long; it must not end."""
        assert not self._ends_within(seconds), f"ended early: {self._stderr.read_text()}"

    def cpu_ns(self) -> int:
        """CPU time of all its threads up to now."""
        return machine.cpu_ns(self.process.pid)

    def resident_mb(self) -> float:
        """VmRSS, in MB of 10**6 bytes."""
        return machine.resident_mb(self.process.pid)

    def end(self) -> None:
        """Send Ctrl-C; know how long it took to be gone, its CPU time and its last words."""
        begin = time.monotonic()
        self.traced_s = begin - self._ready_at
        self.process.send_signal(signal.SIGINT)
        assert self._ends_within(PATIENCE_S), f"does not end: {self.arguments}"
        self.ending_s = time.monotonic() - begin
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        used_ns = int((usage.ru_utime + usage.ru_stime) * 1e9)
        self.cpu_since_ready_ns = used_ns - self._cpu_at_ready_ns
        self.stderr = self._stderr.read_text()
        assert self.process.returncode == 0, self.stderr
        with self._stdout.open("rb") as stdout:
            stdout.seek(max(0, self._stdout.stat().st_size - TAIL_BYTES))
            self._tail = stdout.read().decode(errors="replace")

    @property
    def told(self) -> Told:
        """The closing line, once it has ended: below a table if there is one, or on stderr."""
        found = CLOSING.findall(self.stderr) or CLOSING.findall(self._tail)
        assert found, f"no closing line: {self.stderr!r}"
        return Told(*map(int, found[-1]))

    @property
    def costs(self) -> dict[str, tuple[int, int]]:
        """With --kernel-cost, once it has ended: ns a run, and runs, by program."""
        return {name: (int(ns), int(runs)) for name, ns, runs in COST.findall(self.stderr)}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()
        os.close(self._pidfd)
        self._directory.cleanup()
