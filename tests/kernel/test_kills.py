"""Killed at any moment, a tracer leaves nothing of its own in the kernel.

The witness is the kernel's own list of BPF objects: their ids before and after are the same.
"""

from __future__ import annotations

import ctypes as C
import errno
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Tracer, namespace, states, wait_until
from tests.kernel.bpf_objects import linked_program, map_info
from tests.kernel.endings import Ending
from tracer.kernel.libbpf import lib, program_info

pytestmark = pytest.mark.kernel

KINDS = ("prog", "map", "link")
# Parts of the time it takes to be ready, the last ones after it.
STARTING = range(20)
STARTING_PARTS = 17
RUNNING_MS = range(0, 300, 20)
# After the first SIGINT; an end takes some 10 ms to 30 ms.
ENDING_MS = (0, 0.2, 0.5, 1, 1.5, 2, 3, 4, 5, 7, 10, 14, 18, 24, 32)
PRIME = 1009

with_each_signal = pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name
)


def bpf_objects() -> dict[str, set[int]]:
    """Ids of the machine's BPF objects that no process holds, by kind.

    Tracers of other runs hold theirs; those of one that was killed are held by nobody.
    """
    found: dict[str, set[int]] = {kind: set(ids(kind)) for kind in KINDS}
    if any(found.values()):
        held = held_by(*filter(str.isdecimal, os.listdir("/proc")))
        found = {kind: found[kind] - held[kind] for kind in KINDS}
    return found


def held_by(*pids: str) -> dict[str, set[int]]:
    """Ids that descriptors of these processes stand for, by kind."""
    found: dict[str, set[int]] = {kind: set() for kind in KINDS}
    for text in descriptors(*pids):
        for kind, number in re.findall(r"^(prog|map|link)_id:\s+(\d+)", text, re.MULTILINE):
            found[kind].add(int(number))
    return found


def descriptors(*pids: str) -> Iterator[str]:
    """What the kernel tells of each descriptor of processes that may end meanwhile."""
    for pid in pids:
        with suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fdinfo"):
                with suppress(OSError):
                    yield Path(f"/proc/{pid}/fdinfo/{name}").read_text()


def ids(kind: str) -> Iterator[int]:
    """Ids of all BPF objects of a kind."""
    following = getattr(lib(), f"bpf_{kind}_get_next_id")
    number = C.c_uint32(0)
    while (result := following(number, C.byref(number))) == 0:
        yield number.value
    assert -result == errno.ENOENT


def is_a_tracers(kind: str, number: int) -> bool:
    """Tell by its name whether an object is a tracer's, a link by its program's; or being freed."""
    fd = getattr(lib(), f"bpf_{kind}_get_fd_by_id")(C.c_uint32(number))
    if fd < 0:
        return True
    try:
        if kind == "link":
            return is_a_tracers("prog", linked_program(fd))
        name: bytes = program_info(fd).name if kind == "prog" else map_info(fd).name
    finally:
        os.close(fd)
    return name.startswith((b"tt_", b"tcptrace"))


@pytest.fixture
def before() -> dict[str, set[int]]:
    """What is there before: the kernel frees an earlier tracer's objects with a delay."""

    def settled() -> dict[str, set[int]] | None:
        found = bpf_objects()
        ours = [n for kind in KINDS for n in found[kind] if is_a_tracers(kind, n)]
        return None if ours else found

    found: dict[str, set[int]] = wait_until(settled, "an earlier tracer's objects to be freed")
    return found


def expect_the_same_as(before: dict[str, set[int]]) -> None:
    """Wait until the objects are the same as before; fail with the difference."""
    after: dict[str, set[int]] = {}

    def same() -> bool:
        after.update(bpf_objects())
        return after == before

    with suppress(AssertionError):
        wait_until(same, "the same objects as before")
    assert after == before


@contextmanager
def traffic() -> Iterator[None]:
    """More connections than can be made while this lasts, in a namespace of their own."""
    with namespace() as space, Ending(space, "linger", 5_000_000) as ending:
        yield
        assert ending.process.poll() is None, "the traffic ended before the tracer did"


@dataclass
class Started:
    """A tracer from the moment of its exec on, ready or not."""

    process: subprocess.Popen[bytes]
    ready: Path
    errors: Path
    began: float

    def wait_for(self, moment: float) -> None:
        """Wait until a moment of the monotonic clock: finer than any sleep."""
        while time.monotonic() < moment:
            pass

    def status(self) -> int:
        """Exit status as a shell tells it: 128 + N for signal N. Nobody goes on in its name."""
        code = self.process.wait(timeout=30)
        with pytest.raises(ProcessLookupError):
            os.killpg(self.process.pid, 0)
        return 128 - code if code < 0 else code

    def was_the_interpreter(self) -> bool:
        """Tell whether Python itself gave up, before any line of ours: it exits with 1 then."""
        return "init_import_site" in self.errors.read_text()


@contextmanager
def started(directory: Path) -> Iterator[Started]:
    """Start a tracer and do not wait for it."""
    ready = directory / "ready"
    ready.unlink(missing_ok=True)
    arguments = [*COMMAND, "events", "-j", "--ready-file", str(ready)]
    errors = directory / "errors"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            arguments, stdout=subprocess.DEVNULL, stderr=stderr, cwd=ROOT, process_group=0
        )
    try:
        yield Started(process, ready, errors, time.monotonic())
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def start_s(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Seconds from exec to ready, the median of three."""
    taken = []
    for _ in range(3):
        with started(tmp_path_factory.mktemp("start")) as tracer:
            wait_until(tracer.ready.exists, "the tracer to be ready")
            taken.append(time.monotonic() - tracer.began)
    return median(taken)


def test_the_points_are_50() -> None:
    assert len(STARTING) + len(RUNNING_MS) + len(ENDING_MS) == 50


def test_the_witness_knows_what_a_tracer_has_while_it_runs() -> None:
    with Tracer("events") as tracer:
        held = held_by(str(tracer.process.pid))
        for kind in KINDS:
            assert held[kind]
            assert held[kind] <= set(ids(kind))
            assert all(is_a_tracers(kind, number) for number in held[kind])


@with_each_signal
@pytest.mark.parametrize("part", STARTING)
def test_nothing_is_left_of_one_killed_while_it_starts(
    before: dict[str, set[int]], start_s: float, tmp_path: Path, part: int, number: signal.Signals
) -> None:
    with started(tmp_path) as tracer:
        tracer.wait_for(tracer.began + start_s * part / STARTING_PARTS)
        tracer.process.send_signal(number)
        status = tracer.status()
        was_ready = tracer.ready.exists()
        expected = 1 if tracer.was_the_interpreter() else 128 + number
    expect_the_same_as(before)
    ended_by_itself = was_ready and number != signal.SIGKILL
    assert status == (0 if ended_by_itself else expected)


@with_each_signal
@pytest.mark.parametrize("after_ms", RUNNING_MS)
def test_nothing_is_left_of_one_killed_while_it_runs(
    before: dict[str, set[int]], tmp_path: Path, after_ms: float, number: signal.Signals
) -> None:
    with traffic(), started(tmp_path) as tracer:
        wait_until(tracer.ready.exists, "the tracer to be ready")
        tracer.wait_for(time.monotonic() + after_ms / 1000)
        tracer.process.send_signal(number)
        status = tracer.status()
    expect_the_same_as(before)
    assert status == (137 if number == signal.SIGKILL else 0)


@with_each_signal
@pytest.mark.parametrize("after_ms", ENDING_MS)
def test_nothing_is_left_of_one_killed_while_it_ends(
    before: dict[str, set[int]], tmp_path: Path, after_ms: float, number: signal.Signals
) -> None:
    with traffic(), started(tmp_path) as tracer:
        wait_until(tracer.ready.exists, "the tracer to be ready")
        tracer.process.send_signal(signal.SIGINT)
        tracer.wait_for(time.monotonic() + after_ms / 1000)
        tracer.process.send_signal(number)
        status = tracer.status()
    expect_the_same_as(before)
    # it may have ended by the first signal, or not yet have looked at it
    assert status in (0, 128 + number)


# --- two at once ------------------------------------------------------------


def lost_here(tracer: Tracer) -> int:
    """Records lost for want of room; runs that the kernel skips are of the whole machine."""
    return sum(r["count"] for r in tracer.records if r["kind"] == "lost" and r["why"] != "missed")


def opened_and_accepted(tracer: Tracer) -> tuple[int, int]:
    """Connections as a tracer's records have them, at the client's side and at the server's."""
    records = tracer.stop()
    opened = states(records, old="CLOSE", new="SYN_SENT")
    return len(opened), sum(record["kind"] == "accept" for record in records)


def make_connections(space: Namespace) -> None:
    with Ending(space, "close", PRIME) as ending:
        assert ending.finish().endings == PRIME


def test_two_tracers_at_once_see_the_same_connections() -> None:
    with namespace() as space:
        arguments = ("events", "--netns", space.name)
        with Tracer(*arguments) as first, Tracer(*arguments) as second:
            make_connections(space)
            assert opened_and_accepted(first) == (PRIME, PRIME)
            assert opened_and_accepted(second) == (PRIME, PRIME)
    assert first.counts["matched"] == second.counts["matched"]
    assert lost_here(first) == lost_here(second) == 0


def test_one_tracer_sees_everything_while_another_comes_and_is_killed(tmp_path: Path) -> None:
    with namespace() as space, Tracer("events", "--netns", space.name) as tracer:
        with started(tmp_path) as other, Ending(space, "close", PRIME) as ending:
            wait_until(other.ready.exists, "the other tracer to be ready")
            other.process.send_signal(signal.SIGKILL)
            assert other.status() == 137
            assert ending.finish().endings == PRIME
        make_connections(space)
        assert opened_and_accepted(tracer) == (2 * PRIME, 2 * PRIME)
    assert lost_here(tracer) == 0
