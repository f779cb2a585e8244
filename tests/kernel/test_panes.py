"""What a pane needs is attached when it is opened, counts exactly, and is gone after it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.harness import Namespace, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, server_in
from tests.programs.screen import Screen, screen

pytestmark = pytest.mark.kernel
BACKLOG, SOONEST_S, ROUNDS = 2, 10.0, 5
SIZE = (110, 32)
ATTACHED = r"syn_drop attached in ([\d.]+)(us|ms|s)\b"
Ids = set[tuple[str, int]]


@pytest.fixture
def lazy() -> Iterator[tuple[Namespace, Program, Program]]:
    """A server with a short queue that it does not look after, and a client."""
    with namespace() as ns, server_in(ns) as server, Program("tt-client", ns.enter) as client:
        server.do("listen", name="l", backlog=BACKLOG)
        yield ns, server, client


def _held(pid: int) -> Ids:
    """Ids of programs, maps and links that a process holds, by the kernel's own account."""
    found = set()
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        with suppress(OSError):
            for kind, number in re.findall(
                r"^(prog|map|link)_id:\s*(\d+)$", path.read_text(), re.M
            ):
                found.add((kind, int(number)))
    return found


def _is_there(kind: str, number: int) -> bool:
    shown = subprocess.run(["bpftool", kind, "show", "id", str(number)], capture_output=True)
    return shown.returncode == 0


def _open(shown: Screen, number: int) -> None:
    shown.press(str(number))
    shown.wait_for(ATTACHED, "the pane's probes")


def test_opening_a_pane_attaches_within_three_tenths_of_a_second(
    lazy: tuple[Namespace, Program, Program], tmp_path: Path
) -> None:
    """One round of some: others may keep the machine busy."""
    ns, _, _ = lazy
    took = []
    for number in range(ROUNDS):
        (path := tmp_path / str(number)).mkdir()
        with screen(path, SIZE, "--netns", ns.name) as shown:
            shown.wait_for(r"up 0:0[3-9][^$]*off: syn_drop", "a picture")
            began = time.monotonic()
            shown.press("3")
            value, unit = shown.wait_for(ATTACHED, "the pane's probes").groups()
            seen = time.monotonic() - began
            assert re.search(r"on: .*syn_drop", shown.text())
            took.append(float(value) * {"us": 1e-6, "ms": 1e-3, "s": 1}[unit])
            assert took[-1] <= seen
            shown.press("q")
            assert shown.exit_status() == 0
        if took[-1] <= 0.3:
            return
    raise AssertionError(f"seconds: {took}")


@pytest.mark.parametrize(("number", "what"), [(3, "syn_drop"), (5, "syn_drop drop")])
def test_what_a_pane_attached_is_gone_ten_seconds_after_it_was_left_and_nothing_else(
    lazy: tuple[Namespace, Program, Program], tmp_path: Path, number: int, what: str
) -> None:
    ns, _, _ = lazy
    with screen(tmp_path, SIZE, "--netns", ns.name) as shown:
        shown.wait_for(r"off: syn_drop", "the first picture")
        pid = shown.tracer_pid()
        before = _held(pid)
        shown.press(str(number))
        shown.wait_for(rf"{what} attached in ", "the pane's probes")
        assert re.search(rf"on: .* {what}(  off: drop)?$", shown.text(), re.M)
        more = _held(pid) - before
        assert {kind for kind, _ in more} == {"prog", "map", "link"}
        shown.press("1")
        left = time.monotonic()
        shown.wait_for(rf"{what} detached", "it to be detached")
        assert time.monotonic() - left >= SOONEST_S
        wait_until(lambda: not [one for one in more if _is_there(*one)], "all of it to be gone")
        assert _held(pid) == before
        shown.press("q")
        assert shown.exit_status() == 0


def test_a_pane_that_is_opened_again_soon_keeps_what_is_attached(
    lazy: tuple[Namespace, Program, Program], tmp_path: Path
) -> None:
    ns, _, _ = lazy
    with screen(tmp_path, SIZE, "--netns", ns.name) as shown:
        shown.wait_for(r"off: syn_drop", "the first picture")
        pid = shown.tracer_pid()
        _open(shown, 3)
        links = {one for one in _held(pid) if one[0] == "link"}
        shown.press("1")
        shown.wait_for(r"\[1 Proc", "the other pane")
        shown.press("3")
        shown.wait_for(r"\[3 List", "the pane again")
        assert links <= _held(pid)
        shown.press("q")
        assert shown.exit_status() == 0


@pytest.mark.parametrize("number", [3, 5])
@pytest.mark.parametrize("moment", ["attaching", "attached"])
def test_nothing_is_left_when_it_is_killed_with_a_pane_open(
    lazy: tuple[Namespace, Program, Program], tmp_path: Path, moment: str, number: int
) -> None:
    ns, _, _ = lazy
    with screen(tmp_path, SIZE, "--netns", ns.name) as shown:
        shown.wait_for(r"off: syn_drop", "the first picture")
        pid = shown.tracer_pid()
        shown.press(str(number))
        shown.wait_for("attached in" if moment == "attached" else "attaching|attached", moment)
        held = _held(pid)
        assert held
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not [one for one in held if _is_there(*one)], "all of it to be gone")


def test_until_it_is_attached_drops_are_unknown_not_none(
    lazy: tuple[Namespace, Program, Program], tmp_path: Path
) -> None:
    ns, _, client = lazy
    with screen(tmp_path, SIZE, "--netns", ns.name) as shown:
        shown.wait_for(r"off: syn_drop", "the first picture")
        client.do("hold", address=ADDRESS, port=PORT, count=BACKLOG + 1)
        shown.wait_for(r"accept queue FULL 3/2 \(limit", "the verdict, without a rate of drops")
        shown.press("3")
        row = rf"^{ADDRESS}:{PORT} +tt-server.* (\S+)$"
        first = wait_until(lambda: re.search(row, shown.text(), re.M), "the listener's row")
        assert first[1] == "-"
        wait_until(
            lambda: (found := re.search(row, shown.text(), re.M)) and found[1] == "0",
            "the rate to be known",
        )
        shown.press("q")
        assert shown.exit_status() == 0


def test_a_pane_that_needs_less_lets_go_of_the_rest_alone(
    lazy: tuple[Namespace, Program, Program], tmp_path: Path
) -> None:
    ns, _, _ = lazy
    with screen(tmp_path, SIZE, "--netns", ns.name) as shown:
        shown.wait_for(r"off: syn_drop drop", "the first picture")
        pid = shown.tracer_pid()
        _open(shown, 3)
        first = _held(pid)
        shown.press("5")
        shown.wait_for(r"syn_drop drop attached", "what the other pane needs besides")
        assert first < _held(pid)
        shown.press("3")
        shown.wait_for(r" drop detached", "that to be detached")
        assert re.search(r"on: .* syn_drop  off: drop$", shown.text(), re.M)
        wait_until(lambda: _held(pid) == first, "what is left")
        shown.press("q")
        assert shown.exit_status() == 0


def test_what_packets_would_cost_is_said_until_they_are_looked_at(
    lazy: tuple[Namespace, Program, Program], tmp_path: Path
) -> None:
    ns, _, _ = lazy
    with screen(tmp_path, (130, 40), "--netns", ns.name) as shown:
        shown.wait_for(r"off: syn_drop drop", "the first picture")
        os.kill(pid := shown.tracer_pid(), signal.SIGSTOP)
        shown.press("5")
        os.kill(pid, signal.SIGCONT)
        shown.wait_for(
            r"packets: not attached yet; it costs about [\d.]+ us on every packet", "the price"
        )
        shown.wait_for(r"(?m)^\d+ lost in [^;]*; \d+ expected ones hidden", "the packets")
        shown.press("q")
        assert shown.exit_status() == 0
