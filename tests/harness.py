"""What kernel tests stand on: a tracer that is ready, a namespace of their own, conditions.

Nothing here sleeps for a fixed time: everything waits for a condition, with a limit.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.schemas import checked

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, "-m", "tracer"]
# how much longer than usual to wait for a condition: a guest in emulation is slow
PATIENCE = float(os.environ.get("TCPTRACE_PATIENCE", "1"))
# through which the tests that it serves are to trace: see test_bcc.py
BACKEND = os.environ.get("TCPTRACE_BACKEND", "")
Record = dict[str, Any]
# what becomes of each socket and who has it, without the summing up of its handshake
TRANSITIONS = ("events", "--kind", "state,accept")


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 20.0) -> Any:
    """Wait for a condition to hold and return its value; fail saying what never came."""
    seconds *= PATIENCE
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:.0f} s in vain for: {what}")
        time.sleep(0.01)


class Tracer:
    """A tcptrace of its own process, attached when the `with` block begins.

    `arguments` begin with the command; `records` is what it printed as JSON, once it has ended.
    """

    def __init__(
        self,
        *arguments: str,
        prefix: list[str] | None = None,
        command: list[str] = COMMAND,
        json: bool = True,
    ) -> None:
        self._directory = tempfile.TemporaryDirectory()
        self.path = Path(self._directory.name)
        ready = self.path / "ready"
        self.arguments = [*(prefix or []), *command, *arguments, "--ready-file", str(ready)]
        if json:
            self.arguments.append("-j")
        if BACKEND:
            self.arguments += ["--backend", BACKEND]
        self._json = json
        self._ready = ready
        self.records: list[Record] = []
        self.stdout = self.stderr = ""
        self.status: int | None = None

    def __enter__(self) -> Tracer:
        self._out = (self.path / "out").open("w+")
        self._err = (self.path / "err").open("w+")
        self.process = subprocess.Popen(
            self.arguments, stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._err, cwd=ROOT
        )

        def ready() -> bool:
            assert self.process.poll() is None, f"ended early: {self._text(self._err)}"
            return self._ready.exists()

        # BCC compiles for seconds first, more of them on a busy machine
        try:
            wait_until(ready, "the tracer to be ready", seconds=60)
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        return self

    @staticmethod
    def _text(file: Any) -> str:
        file.seek(0)
        return str(file.read())

    def so_far(self) -> list[Record]:
        """Records printed up to now, whole lines only."""
        text = (self.path / "out").read_text()
        return checked(line for line in text.splitlines(keepends=True) if line.endswith("\n"))

    def stop(self, number: int = signal.SIGINT) -> list[Record]:
        """End it as Ctrl-C does and read what it printed."""
        if self.status is None:
            if self.process.poll() is None:
                self.process.send_signal(number)
            self.status = self.process.wait(timeout=30 * PATIENCE)
            self.stdout, self.stderr = self._text(self._out), self._text(self._err)
            if self._json:
                self.records = checked(self.stdout.splitlines())
        return self.records

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self._out.close()
            self._err.close()
            self._directory.cleanup()

    @property
    def counts(self) -> dict[str, int]:
        """seen, matched and lost of the closing line."""
        words = self.stderr.strip().splitlines()[-1].replace(",", "").split()
        return {words[i + 1]: int(words[i]) for i in (0, 2, 4)}


class Namespace:
    """A network namespace with its loopback up, and its own counters starting from 0."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.enter = ["ip", "netns", "exec", name]

    @property
    def inode(self) -> int:
        return os.stat(f"/run/netns/{self.name}").st_ino

    def run(self, *command: str) -> str:
        """Run a command inside and return what it printed."""
        done = subprocess.run([*self.enter, *command], check=True, capture_output=True, text=True)
        return done.stdout

    def counters(self) -> dict[str, int]:
        """Every counter of /proc/net/snmp and /proc/net/netstat, by the names nstat uses."""
        found: dict[str, int] = {}
        lines = self.run("cat", "/proc/net/snmp", "/proc/net/netstat").splitlines()
        for names, values in zip(lines[::2], lines[1::2], strict=True):
            prefix, *keys = names.split()
            found.update(
                zip((prefix[:-1] + k for k in keys), map(int, values.split()[1:]), strict=True)
            )
        return found


@contextmanager
def namespace(name: str = "") -> Iterator[Namespace]:
    """Make a namespace and take it away again."""
    name = name or f"tt{os.getpid()}-{time.monotonic_ns() % 10**9}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        made = Namespace(name)
        made.run("ip", "link", "set", "lo", "up")
        yield made
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def states(records: list[Record], **wanted: Any) -> list[Record]:
    """The state records that have these values."""
    return [
        r for r in records if r["kind"] == "state" and all(r[k] == v for k, v in wanted.items())
    ]
