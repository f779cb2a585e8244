"""A tool under measurement: started, attached, drained, ended with Ctrl-C, and what it printed."""

from __future__ import annotations

import ctypes as C
import os
import re
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tests.bench import machine
from tests.bench.peers import headers
from tests.bench.peers.tools import Tool
from tests.bench.traced import PATIENCE_S, RECORDING, SHARED_MEMORY
from tests.harness import ROOT

INTERRUPTS = 4
LOOK_S, CALM_SHARE, DRAIN_PATIENCE_S = 0.1, 0.05, 10.0
# classic tracepoints are found in tracefs: where it is not mounted, in a mount namespace of its own
MOUNTS = """
[ -e /sys/kernel/tracing/events ] || mount -t tracefs tracefs /sys/kernel/tracing
[ -e /sys/kernel/debug/tracing/events ] || {
	mount -t debugfs debugfs /sys/kernel/debug
	mount -t tracefs tracefs /sys/kernel/debug/tracing
} 2>/dev/null
exec "$@"
"""
IN_MOUNTS = ["unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNTS, "sh"]


class UnableError(Exception):
    """A tool that cannot run here, and why."""


class Running:
    """A process of a tool, attached when the `with` block begins. Errors: UnableError."""

    def __init__(self, tool: Tool, command: list[str] | None = None) -> None:
        self.tool = tool
        place = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
        self._directory = tempfile.TemporaryDirectory(prefix="tcptrace-bench-", dir=place)
        path = Path(self._directory.name)
        self._ready, self._stdout, self._stderr = path / "ready", path / "stdout", path / "stderr"
        self.kept = path / "kept"
        words = [str(self.kept) if w == RECORDING else w for w in command or tool.command]
        self._command = launch(tool, words)
        if tool.ours:
            self._command += ["--ready-file", str(self._ready)]
        self.stdout = self.stderr = ""
        self.cpu_since_ready_ns = 0

    def __enter__(self) -> Running:
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=environment(self.tool),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        self._pidfd = os.pidfd_open(self.process.pid)
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self._cpu_at_ready_ns = self.cpu_ns()
        return self

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + PATIENCE_S
        while not self._is_ready():
            if self._ends_within(0.01):
                raise UnableError(self._last_words())
            if time.monotonic() > end:
                raise UnableError(f"not attached within {PATIENCE_S} s")

    def _is_ready(self) -> bool:
        if self.tool.ours:
            return self._ready.exists()
        return is_attached(self.process.pid) and _is_asleep(self.process.pid)

    def _last_words(self) -> str:
        """Its last line that speaks of an error, or its last one."""
        lines = [line for line in self._stderr.read_text(errors="replace").splitlines() if line]
        errors = [line for line in lines if "error" in line.lower()]
        return (errors or lines or ["ended without a word"])[-1]

    def _ends_within(self, seconds: float) -> bool:
        return bool(select.select([self._pidfd], [], [], seconds)[0])

    def cpu_ns(self) -> int:
        """CPU time of all its threads up to now."""
        return machine.cpu_ns(self.process.pid)

    def resident_mb(self) -> float:
        """VmRSS, in MB of 10**6 bytes."""
        return machine.resident_mb(self.process.pid)

    def kernel_ns(self) -> int:
        """What all its programs took while the kernel's statistics were on."""
        found = {}
        for text in _fdinfo(self.process.pid):
            program = re.search(r"^prog_id:\t(\d+)$", text, re.MULTILINE)
            took = re.search(r"^run_time_ns:\t(\d+)$", text, re.MULTILINE)
            if program and took:
                found[program[1]] = int(took[1])
        return sum(found.values())

    def drain(self) -> None:
        """Wait until it has worked off what it was sent, for so long at most."""
        end = time.monotonic() + DRAIN_PATIENCE_S
        while time.monotonic() < end:
            before = self.cpu_ns()
            assert not self._ends_within(LOOK_S), self._last_words()
            if self.cpu_ns() - before < CALM_SHARE * LOOK_S * 1e9:
                return

    def end(self) -> None:
        """Send Ctrl-C and read what it printed."""
        self.cpu_since_ready_ns = self.cpu_ns() - self._cpu_at_ready_ns
        interrupt(self.process, self._ends_within)
        self.stdout = self._stdout.read_text(errors="replace")
        self.stderr = self._stderr.read_text(errors="replace")

    @property
    def text(self) -> str:
        """All it said, once it has ended."""
        return self.stdout + "\n" + self.stderr

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


def interrupt(process: subprocess.Popen[bytes], ends_within: Callable[[float], bool]) -> None:
    """Send Ctrl-C, and again after long: a Python callback that C called loses one.

    Not soon: some tools give up at the second what they still had to print.
    """
    for _ in range(INTERRUPTS):
        process.send_signal(signal.SIGINT)
        if ends_within(PATIENCE_S / INTERRUPTS):
            process.wait()
            return
    raise AssertionError(f"does not end: {process.args!r}")


def launch(tool: Tool, words: list[str]) -> list[str]:
    """The command line: others' tools see tracefs wherever they look for it."""
    return words if tool.ours else [*IN_MOUNTS, *words]


def environment(tool: Tool) -> dict[str, str]:
    """With what it needs to know. Errors: UnableError."""
    try:
        return {**os.environ, **(headers.environment() if tool.needs_headers else {})}
    except RuntimeError as error:
        raise UnableError(f"no kernel headers: {error}") from error


def is_attached(pid: int) -> bool:
    """Whether a program is attached to a trace event that the process has open."""
    query = C.CDLL("libbpf.so.1").bpf_task_fd_query
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        buffer, length = C.create_string_buffer(256), C.c_uint32(256)
        program, kind = C.c_uint32(), C.c_uint32()
        offset, address = C.c_uint64(), C.c_uint64()
        out = [C.byref(one) for one in (length, program, kind, offset, address)]
        if not query(pid, int(fd.name), 0, buffer, *out) and program.value:
            return True
    return False


def _is_asleep(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(") ")[2].startswith("S")


def _fdinfo(pid: int) -> list[str]:
    texts = []
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            texts.append(path.read_text())
        except FileNotFoundError:  # closed meanwhile
            continue
    return texts
