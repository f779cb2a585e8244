"""Connections that end in a way asked for: programs_c/endings.c, and what it says it did."""

from __future__ import annotations

import os
import re
import subprocess
from functools import cache
from pathlib import Path

from tests.harness import ROOT, Namespace

PORT = 7  # of its listeners


@cache
def build() -> Path:
    """Compile the program; returns where it is."""
    sources = sorted((Path(__file__).parent / "programs_c").glob("*.c"))
    target = ROOT / "tests" / "build" / "endings"
    target.parent.mkdir(exist_ok=True)
    made = target.with_suffix(f".{os.getpid()}")
    warnings = ["-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", *warnings, "-o", made, *sources], check=True)
    made.rename(target)
    return target


class Ending:
    """One run of endings.c in a namespace: connections that end in one way."""

    def __init__(self, space: Namespace, way: str, count: int) -> None:
        self.space, self.count = space, count
        program = "with-process" if way == "namespace" else way
        self.process = subprocess.Popen(
            [*space.enter, str(build()), program, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.connects = self.endings = 0

    def await_open(self) -> None:
        """Return once all connections are open; `finish` lets it go on."""
        assert self.process.stdout
        assert self.process.stdout.readline() == f"open {self.count}\n"

    def finish(self) -> Ending:
        """Let it end and take its counts."""
        text, _ = self.process.communicate()
        assert self.process.returncode == 0
        words = text.split()
        self.connects, self.endings = int(words[1]), int(words[3])
        return self

    def __enter__(self) -> Ending:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def sockets_in_use(space: Namespace) -> int:
    """TCP sockets of a namespace, without those in TIME_WAIT."""
    text = space.run("cat", "/proc/net/sockstat", "/proc/net/sockstat6")
    return sum(int(found) for found in re.findall(r"TCP6?: inuse (\d+)", text))
