"""The test's end of tests/programs/peer.py: start it, tell it what to do, hear what it did."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.harness import PATIENCE

PEER = Path(__file__).with_name("peer.py")
PATIENCE_S = 20 * PATIENCE
Facts = dict[str, Any]


class Failed(AssertionError):
    """A program could not do what it was told, or went silent."""


class Process:
    """One process that obeys: the program itself, or a child it forked."""

    def __init__(self, channel: Channel, pid: int, comm: str, to: int = 0) -> None:
        self._channel, self._to = channel, to
        self.pid, self.comm = pid, comm

    def tell(self, what: str, **arguments: Any) -> None:
        """Say what to do without waiting for it."""
        command = {"do": what, **arguments}
        self._channel.write(command | ({"to": self._to} if self._to else {}))

    def answer(self) -> Facts:
        """The next thing it did."""
        return self._channel.answer(self.pid)

    def do(self, what: str, **arguments: Any) -> Facts:
        """Have it do something; returns what it says of it. A failed call fails the test."""
        found = self.attempt(what, **arguments)
        if "errno" in found:
            raise Failed(f"{what} {arguments}: {found['errno']}")
        return found

    def attempt(self, what: str, **arguments: Any) -> Facts:
        """Have it try something that may fail: `errno` says how."""
        self.tell(what, **arguments)
        found = self.answer()
        if found["did"] != what:
            raise Failed(f"was told to {what}, did {found}")
        return found

    def stop(self) -> Facts:
        """End what goes on until it is stopped; returns what it says of it."""
        self.tell("stop")
        found = self.answer()
        self.answer()
        return found

    def kill(self) -> None:
        """End it by SIGKILL, with whatever it has open."""
        os.kill(self.pid, signal.SIGKILL)

    def fork(self) -> Process:
        """A child with everything that is open here. Only a program forks, not its children."""
        return self._hear_of(self.do("fork")["child"])

    def fork_as(self, pid: int) -> Process:
        """The same, with a PID that is free by now."""
        return self._hear_of(self.do("fork_as", pid=pid)["child"])

    def _hear_of(self, child: int) -> Process:
        made = Process(self._channel, child, self.comm, child)
        made.answer()
        return made

    def exec_as(self, comm: str) -> None:
        """Have it exec() under another name, with all that is open."""
        self.tell("exec_as", comm=comm)
        said = self.answer()
        if said["did"] != "hello":
            raise Failed(f"was told to exec, did {said}")
        self.comm = comm


class Channel:
    """Lines to a program, and lines from it and its children, sorted by the PID they carry."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin
        assert process.stdout
        self._input, self._output = process.stdin, process.stdout.fileno()
        self._rest = b""
        self._heard: list[Facts] = []

    def write(self, command: Facts) -> None:
        self._input.write(json.dumps(command).encode() + b"\n")
        self._input.flush()

    def answer(self, pid: int = 0) -> Facts:
        while True:
            for found in self._heard:
                if pid in (0, found["pid"]):
                    self._heard.remove(found)
                    return found
            self._hear()

    def _hear(self) -> None:
        if not select.select([self._output], [], [], PATIENCE_S)[0]:
            raise Failed(f"said nothing for {PATIENCE_S} s")
        piece = os.read(self._output, 65536)
        if not piece:
            raise Failed("ended without an answer")
        *whole, self._rest = (self._rest + piece).split(b"\n")
        self._heard += [json.loads(line) for line in whole]


class Program(Process):
    """A process of its own, called `comm`, from the `with` to its end."""

    def __init__(self, comm: str, enter: Sequence[str] = ()) -> None:
        self._process = subprocess.Popen(
            [*enter, sys.executable, str(PEER), comm],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        channel = Channel(self._process)
        super().__init__(channel, channel.answer()["pid"], comm)

    @property
    def starter(self) -> int:
        """PID of what was started: the program itself, or what stays between it and the test."""
        return self._process.pid

    def kill(self) -> None:
        super().kill()
        self._process.wait(PATIENCE_S)

    def end(self) -> None:
        """Let it come to its end: it closes what it has open."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
        self._process.wait(PATIENCE_S)

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.end()
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        finally:
            if self._process.stdout:
                self._process.stdout.close()
