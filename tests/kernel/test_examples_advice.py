"""The examples of leaks, of ports that run out and of small buffers yield the findings they show.

The command is the README's own, with the processes of this run; the witness is what the example
itself says at its end.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness import ROOT, Tracer, wait_until

pytestmark = pytest.mark.kernel
FEW, PORTS, FAILED = 11, 200, 17
PROCESS = re.compile(r"^PID (\d+)", re.M)


class Example:
    """One that runs, after its first lines: `pids` are those that it named."""

    def __init__(self, name: str, process: subprocess.Popen[str], lines: int) -> None:
        self._readme = (ROOT / "examples" / name / "README.md").read_text()
        self._process = process
        assert process.stdout
        told = "".join(process.stdout.readline() for _ in range(lines))
        self.pids = PROCESS.findall(told)
        self.said = ""

    def command(self) -> list[str]:
        """The README's `advise`, of these processes."""
        (told,) = re.findall(r"^\$ sudo tcptrace (advise .*)$", self._readme, re.M)
        words = shlex.split(told)
        of = {"--pid": ",".join(self.pids), "--netns": self.pids[0]}
        return [of.get(before, word) for before, word in zip(["", *words], words, strict=False)]

    def finish(self) -> str:
        """Until it has ended by itself; what it said then."""
        said, _ = self._process.communicate(timeout=60)
        assert self._process.returncode == 0
        return said


@contextmanager
def example(name: str, lines: int) -> Iterator[Example]:
    """Run it as its README says."""
    command = [sys.executable, str(Path("examples") / name / "run.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield Example(name, process, lines)
        finally:
            process.kill()


def left_open(pid: str) -> int:
    """How many of its sockets are in CLOSE_WAIT."""
    command = ["ss", "-Htnp", "state", "close-wait"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return told.count(f"pid={pid},")


def test_a_leak_is_told_and_a_server_that_is_only_slow_is_not() -> None:
    with example("close_wait_leak", 2) as made:
        leaky, slow = made.pids
        wait_until(lambda: left_open(leaky) >= FEW, "some to be left behind")
        with Tracer(*made.command()) as tracer:
            tracer.process.wait(30)
            found = tracer.stop()
        said = re.findall(r"(\d+) connections left behind", made.finish())
    # clients that give up on a busy machine may be worth a word
    (one,) = [one for one in found if one["severity"] != "info"]
    assert (one["id"], one["severity"], one["pid"]) == ("close-wait-leak", "warn", int(leaky))
    assert not [one for one in found if one["id"] == "close-wait-leak" and one["pid"] == int(slow)]
    numbers = one["evidence"]
    assert FEW <= numbers["kept"] <= numbers["close_wait"] <= int(said[0])
    assert numbers["left"] == 0
    assert numbers["per_minute"] > 0


def test_ports_that_run_out_are_told_with_what_each_remedy_would_bring() -> None:
    with example("port_exhaustion", 1) as made:
        (pid,) = made.pids
        with (
            Tracer(*made.command()[:3], "-d", "60") as tracer,
            Tracer("ports", "--netns", pid, "-i", "500ms") as ports,
        ):
            wait_until(
                lambda: sum(row["failures"] for row in ports.so_far()) >= FAILED, "failures", 30
            )
            found = tracer.stop()
        said = re.findall(r"(\d+) answered, (\d+) failed", made.finish())
    ((answered, failed),) = said
    (one,) = [one for one in found if one["id"] == "ephemeral-ports"]
    assert (one["severity"], one["pid"], int(answered)) == ("crit", int(pid), PORTS)
    numbers = one["evidence"]
    assert FAILED <= numbers["failures"] <= int(failed)
    assert (numbers["ports"], numbers["free"], numbers["tcp_tw_reuse"]) == (PORTS, 0, "0")
    assert numbers["lasting_per_s"] == 3.3
    assert {found["severity"] for found in found} == {"crit"}


def test_a_small_receive_buffer_is_told_and_one_that_the_kernel_sizes_is_not() -> None:
    with example("small_buffers", 2) as made:
        small, _ = made.pids
        with Tracer(*made.command()) as tracer:
            tracer.process.wait(30)
            (one,) = tracer.stop()
        said = re.findall(r"SO_RCVBUF \d+: ([\d.]+) MB/s", made.finish())
    assert (one["id"], one["severity"], one["pid"]) == ("receive-buffer", "warn", int(small))
    assert one["evidence"]["bytes_per_s"] / 1e6 == pytest.approx(float(said[0]), rel=0.3)
