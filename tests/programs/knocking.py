"""A program that connects by a known way of calls, built so that its stack can be followed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness import Namespace, wait_until
from tests.programs.places import NEAR

# of its functions, innermost first, those that have called another when it connects
WAY = ("knock_once", "go_around", "main")
FLAGS = ("-g", "-O0", "-fno-omit-frame-pointer", "-Wall", "-Werror")


def build_knock(path: Path, *flags: str) -> Path:
    """Compile it into a new file."""
    source = Path(__file__).with_name("knock.c")
    subprocess.run(["gcc", *FLAGS, *flags, "-o", path, source], check=True)
    return path


def only_there(program: Path, inside: Path) -> list[str]:
    """Words before its command that give it a mount namespace, where alone it is `inside`."""
    made = f'mount -t tmpfs none "{inside.parent}" && cp "{program}" "{inside}" && exec "$0" "$@"'
    return ["unshare", "-m", "sh", "-c", made]


class Knocker:
    """It runs; `said` is where its functions lie, and its PID."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdin
        assert process.stdout
        self._stdin, self._stdout = process.stdin, process.stdout
        self.said: dict[str, int] = json.loads(self._stdout.readline())
        self.pid = self.said["pid"]

    def knock(self, count: int) -> None:
        """Have it connect so many times, one after the other."""
        for _ in range(count):
            self._stdin.write("\n")
            self._stdin.flush()
            assert self._stdout.readline() == "done\n"

    def end(self) -> None:
        """Have it end, once it has done all."""
        self._stdin.close()
        assert self._process.wait(timeout=20) == 0


@contextmanager
def knocker(
    ns: Namespace, program: Path, port: int, *prefix: str, address: str = NEAR
) -> Iterator[Knocker]:
    """Start it in a namespace."""
    command = [*ns.enter, *prefix, str(program), address, str(port)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        made = Knocker(process)
        yield made
        if process.poll() is None:
            made.end()
        wait_until(lambda: process.poll() is not None, "its end")
