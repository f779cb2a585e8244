"""What the programs take of the kernel: measured while `K` asks for it, as bpftool counts it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.bench import bulk
from tests.harness import Namespace, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, server_in
from tests.programs.screen import screen
from tracer.kernel.live import LiveSource
from tracer.kernel.pricing import LEAST_NS
from tracer.kernel.settings import Settings
from tracer.wire.cost import KernelCost

pytestmark = pytest.mark.kernel
SIZE, CALLS = (100, 30), 37
MEASURED = r"kernel: [\d.]+% of a CPU, \d+ ns a run, \d+ ns an event; \d+ runs/s"
Taken = tuple[int, int]  # runs, ns
STATISTICS = "anon_inode:bpf-stats"  # what such a descriptor is called


def _has_statistics_on(pid: int) -> bool:
    """Whether this process holds the descriptor that keeps them on."""
    found = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found.add(os.readlink(path))
    return STATISTICS in found


def _programs(pid: int) -> dict[str, int]:
    """Ids of the programs that a process holds, by name, by the kernel's own account."""
    found = {}
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        with suppress(OSError):
            for number in re.findall(r"^prog_id:\s*(\d+)$", path.read_text(), re.M):
                found[str(_shown(int(number))["name"])] = int(number)
    return found


def _shown(number: int) -> dict[str, object]:
    command = ["bpftool", "-j", "prog", "show", "id", str(number)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def _taken(number: int) -> Taken:
    """Runs and ns that bpftool shows of a program; none where nothing was ever measured."""
    found = _shown(number)
    return int(str(found.get("run_cnt", 0))), int(str(found.get("run_time_ns", 0)))


def test_k_measures_the_programs_until_it_is_pressed_again(tmp_path: Path) -> None:
    with (
        namespace() as ns,
        server_in(ns),
        Program("tt-client", ns.enter) as client,
        screen(tmp_path, SIZE, "--netns", ns.name) as shown,
    ):
        shown.wait_for(r"MB \(kernel: -\)", "the cost, without the kernel's")
        pid = shown.tracer_pid()
        state = _programs(pid)["tt_state"]
        assert not _has_statistics_on(pid)
        shown.press("K")
        wait_until(lambda: _has_statistics_on(pid), "the kernel to measure")
        before = _taken(state)
        client.do("hold", address=ADDRESS, port=PORT, count=CALLS)
        after = _taken(state)
        assert after[0] - before[0] >= 4 * CALLS  # SYN_SENT, SYN_RECV and ESTABLISHED twice
        assert after[1] > before[1]
        shown.wait_for(MEASURED, "what it comes to")
        assert "(kernel: -)" not in shown.text()
        shown.press("K")
        shown.wait_for(r"MB \(kernel: -\)", "it to be over")
        assert not _has_statistics_on(pid)
        shown.press("q")
        assert shown.exit_status() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_kernel_measures_no_more_once_the_screen_has_ended(
    tmp_path: Path, number: signal.Signals
) -> None:
    with namespace() as ns, screen(tmp_path, SIZE, "--netns", ns.name) as shown:
        shown.wait_for(r"NOW ", "the first picture")
        pid = shown.tracer_pid()
        shown.press("K")
        wait_until(lambda: _has_statistics_on(pid), "the kernel to measure")
        os.kill(pid, number)
        shown.exit_status()
        assert not Path(f"/proc/{pid}").exists()


def test_the_summary_has_what_the_programs_took(tmp_path: Path) -> None:
    with namespace() as ns, screen(tmp_path, SIZE, "--netns", ns.name) as shown:
        shown.wait_for(r"NOW ", "the first picture")
        shown.press("K")
        shown.wait_for(r"kernel: [\d.]+% of a CPU", "what it comes to")
        shown.press("q")
        assert shown.exit_status() == 0
        assert re.search(r"kernel: [\d.]+% of a CPU", shown.text())


def test_the_help_names_the_key(tmp_path: Path) -> None:
    with namespace() as ns, screen(tmp_path, (80, 24), "--netns", ns.name) as shown:
        shown.wait_for(r"NOW ", "the first picture")
        shown.press("?")
        shown.wait_for(r"K what our programs take of the kernel", "the help")
        shown.press("?")
        shown.wait_for(r"NOW ", "the picture again")
        shown.press("q")
        assert shown.exit_status() == 0


def test_a_cost_is_what_bpftool_counts_in_that_time() -> None:
    """Programs of the whole machine run all the time: bpftool looks before and after each look."""
    with namespace() as ns, server_in(ns), Program("tt-client", ns.enter) as client:
        source = LiveSource(Settings())
        try:
            own = {number for account in source._accounts() for number in account.taken()}

            def counted() -> Taken:
                runs, spent = zip(*map(_taken, own), strict=True)
                return sum(runs), sum(spent)

            def look() -> tuple[KernelCost, Taken, Taken] | None:
                before, found = counted(), source.cost()
                return (found, before, counted()) if found.span_ns else None

            source.price(True)
            _, before, began = wait_until(look, "a first span")
            client.do("hold", address=ADDRESS, port=PORT, count=CALLS)
            cost, ended, after = wait_until(look, "the next one to be over")
        finally:
            source.close()
    assert cost.span_ns >= LEAST_NS
    assert cost.seen >= 4 * CALLS
    for at, value in enumerate((cost.runs, cost.run_ns)):
        assert ended[at] - began[at] <= value <= after[at] - before[at]


# --- what a transfer pays -------------------------------------------------------------


def _transfer(ns: Namespace) -> int:
    """Two gigabytes over one connection; how many segments that took, by the kernel's account."""
    with bulk.server(ns):
        ns.run("iperf3", "-c", bulk.ADDRESS, "-n", "2G", "-C", "reno")
    return ns.counters()["TcpOutSegs"]


@pytest.mark.parametrize(
    "kinds", ["retransmit,reset,connection", "state,accept,handshake,connection,error"]
)
def test_a_bulk_transfer_runs_no_program_a_segment(kinds: str) -> None:
    """Runs are counted for all of the machine: while others open connections, it is tried again."""
    found: list[tuple[int, dict[str, int]]] = []
    end = time.monotonic() + 90
    while time.monotonic() < end:
        asked = ("events", "--kind", kinds, "--kernel-cost")
        with namespace() as ns, Tracer(*asked, "--netns", ns.name) as tracer:
            segments = _transfer(ns)
            tracer.stop()
        told = re.findall(r"kernel cost: (\w+) \d+ ns a run, (\d+) runs", tracer.stderr)
        runs = {name: int(count) for name, count in told}
        assert runs["tt_state"] >= 10, "its two connections' ends"
        if sum(runs.values()) < segments // 20:
            return
        found.append((segments, runs))
    raise AssertionError(found)
