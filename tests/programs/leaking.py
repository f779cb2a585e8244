"""A program that leaks the sockets that it makes in one function, and not those of another."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness import Namespace, wait_until

FLAGS = ("-g", "-Wall", "-Werror", "-pthread")


def build_leak(path: Path, *flags: str) -> Path:
    """Compile it into a new file."""
    source = Path(__file__).with_name("leak.c")
    subprocess.run(["gcc", *FLAGS, *flags, "-o", path, source], check=True)
    return path


class Leaking:
    """It runs, and does what tests/programs/leak.c says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdin
        assert process.stdout
        self._stdin, self._stdout = process.stdin, process.stdout
        assert self._stdout.readline() == "ready\n"
        self.pid = process.pid

    def tell(self, word: str, count: int) -> None:
        """Have it begin."""
        self._stdin.write(f"{word} {count}\n")
        self._stdin.flush()

    def hear(self) -> None:
        """It has done what it was told."""
        assert self._stdout.readline() == "done\n"

    def do(self, word: str, count: int) -> None:
        """Both."""
        self.tell(word, count)
        self.hear()


@contextmanager
def leaking(
    ns: Namespace, program: Path, address: str, *ports: int, more: str = ""
) -> Iterator[Leaking]:
    """Start it in a namespace: where it listens, and where it connects to."""
    command = [*ns.enter, str(program), address, *map(str, ports), *([more] if more else [])]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        made = Leaking(process)
        try:
            yield made
        finally:
            assert process.stdin
            process.stdin.close()
            wait_until(lambda: process.poll() is not None, "its end")
