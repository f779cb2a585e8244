"""A tracer in a PID namespace of its own: what runs outside is called what it is called."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, TRANSITIONS, Namespace, Tracer, namespace, wait_until
from tests.programs.driver import Process, Program
from tests.programs.places import ADDRESS, PORT, server_in
from tests.programs.reading import stop_after, tally
from tests.schemas import checked

pytestmark = pytest.mark.kernel
# traces those of one name; looks over all processes when it is told to; says what matched
TRACING = """
import sys
from tracer.kernel.live import LiveSource
from tracer.kernel.settings import Settings
from tracer.wire.filters import Filters

source = LiveSource(Settings(filters=Filters(comms=("tt-outside",))))
print("ready", flush=True)
sys.stdin.readline()
source.look_at_holders()
print("looked", flush=True)
sys.stdin.readline()
matched = source._account._read_stats()["matched"]
print(int(matched[:, source.layout.enums["kind"]["HANDSHAKE"]].sum()), flush=True)
source.close()
"""


def test_a_look_from_inside_does_not_forget_the_names_of_processes_outside() -> None:
    with namespace() as ns, server_in(ns):
        tracing = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", TRACING],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert tracing.stdin
        assert tracing.stdout
        try:
            assert tracing.stdout.readline() == "ready\n"
            with Program("tt-outside", ns.enter) as caller:
                tracing.stdin.write("look\n")
                tracing.stdin.flush()
                assert tracing.stdout.readline() == "looked\n"
                caller.do("connect", name="c", address=ADDRESS, port=PORT)
                said, _ = tracing.communicate("tell\n", timeout=30)
        finally:
            tracing.kill()
            tracing.wait()
    assert said == "1\n"


INSIDE = ("unshare", "--pid", "--fork", "--mount-proc", *COMMAND)


def test_whom_nobody_inside_can_see_is_unknown_and_not_the_kernel(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with (
        namespace() as ns,
        server_in(ns) as server,
        Program("tt-outside", ns.enter) as caller,
        subprocess.Popen(
            [
                *(*INSIDE, "events", "-j", "--netns", ns.name, "--kind", "handshake,accept"),
                *("-c", "3", "--ready-file", str(ready)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        ) as tracing,
    ):
        wait_until(ready.exists, "the tracer to be ready")
        caller.do("connect", name="c", address=ADDRESS, port=PORT)
        server.do("accept", name="s", listener="l")
        said, notices = tracing.communicate(timeout=60)
        told = {
            (r["kind"], r.get("role")): (r["owner_is"], r["comm"], r["pid"])
            for r in checked(said.splitlines())
        }
        # who acts is seen, and has no PID in there; who held the listener before is not
        assert told == {
            ("handshake", "active"): ("process", "tt-outside", None),
            ("handshake", "passive"): ("unknown", None, None),
            ("accept", None): ("process", f"tt-server-{PORT}", None),
        }
        assert "processes outside it have no PID here" in notices


def test_a_look_from_inside_says_what_it_cannot_see() -> None:
    with namespace() as ns, server_in(ns), Program("tt-outside", ns.enter) as caller:
        caller.do("connect", name="c", address=ADDRESS, port=PORT)
        done = subprocess.run(
            [*INSIDE, "connections", "--open", "-j", "--netns", ns.name],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=True,
        )
    told = checked(done.stdout.splitlines())
    assert len(told) == 2
    assert {(r["owner_is"], r["comm"], r["pid"]) for r in told} == {("unknown", None, None)}
    assert "processes outside it have no PID here" in done.stderr


def only_child(pid: int) -> int:
    (found,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(found)


@contextmanager
def inside(ns: Namespace) -> Iterator[tuple[Program, Process, int, int]]:
    """The first process of a PID namespace, a child of its, and their PIDs out here."""
    enter = [*ns.enter, "unshare", "--pid", "--fork", "--mount-proc"]
    with Program("tt-inside", enter) as first:
        here = only_child(first.starter)
        second = first.fork()
        assert (first.pid, second.pid) == (1, 2)
        yield first, second, here, only_child(here)


def call_from_each(*callers: Process) -> None:
    for caller in callers:
        caller.do("connect", name="c", address=ADDRESS, port=PORT)


OPENED = ("CLOSE SYN_SENT", "SYN_SENT ESTABLISHED")


def test_pid_of_a_process_in_a_pid_namespace_is_the_one_it_has_here() -> None:
    """So are those of the records, its descendants' too; who has that PID in there is another."""
    with (
        namespace() as ns,
        server_in(ns),
        Program("tt-other", ns.enter) as other,
        inside(ns) as (first, second, first_here, second_here),
        Tracer(*TRANSITIONS, "--pid", str(first_here)) as tracer,
    ):
        third = first.fork()
        call_from_each(first, other, second, third)
        children = Path(f"/proc/{first_here}/task/{first_here}/children").read_text().split()
        records = stop_after(tracer, 3 * len(OPENED))
    third_here = int(children[-1])
    assert len({first_here, second_here, third_here} - {first.pid, second.pid, third.pid}) == 3
    pids = (first_here, second_here, third_here)
    assert tally(records) == {(name, pid): 1 for name in OPENED for pid in pids}
    assert {(r["comm"], r["owner_is"]) for r in records} == {("tt-inside", "process")}


def test_pid_is_of_the_namespace_that_the_tracer_runs_in(tmp_path: Path) -> None:
    """1 is the first process in there and not the machine's, and its descendants are followed."""
    ready = tmp_path / "ready"
    with (
        namespace() as ns,
        server_in(ns),
        Program("tt-other", ns.enter) as other,
        inside(ns) as (first, second, first_here, _),
        subprocess.Popen(
            [
                *("nsenter", "--target", str(first_here), "--pid", "--mount"),
                *(*COMMAND, *TRANSITIONS, "-j", "--pid", "1", "--ready-file", str(ready)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        ) as entering,
    ):
        try:
            wait_until(ready.exists, "the tracer to be ready")
            third = first.fork()
            call_from_each(first, other, second, third)
            os.kill(only_child(entering.pid), signal.SIGINT)
            said, notices = entering.communicate(timeout=60)
        finally:
            if entering.poll() is None:
                os.kill(only_child(entering.pid), signal.SIGKILL)
        records = checked(said.splitlines())
        pids = (first.pid, second.pid, third.pid)
    assert entering.returncode == 0, notices
    assert pids[:2] == (1, 2)
    assert tally(records) == {(name, pid): 1 for name in OPENED for pid in pids}
    assert {(r["comm"], r["owner_is"]) for r in records} == {("tt-inside", "process")}
    assert " 0 lost in " in notices.splitlines()[-1]
