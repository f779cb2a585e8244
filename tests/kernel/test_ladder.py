"""Each way to attach a subject that this kernel takes counts right; the others are refused.

How a session was attached is read from its recording, so that no test proves another rung than
the one it names.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Tracer, wait_until
from tests.programs import laddered
from tests.programs.laddered import Seen
from tracer.kernel.features import lacking, why_not
from tracer.kernel.ladder import ATTACH
from tracer.kernel.live import LiveSource, Settings
from tracer.kernel.maps import possible_cpus
from tracer.probes import ACCEPT, HANDSHAKE, PROBES, SYN_DROP, TASK, Rung
from tracer.wire.recording import read

pytestmark = [pytest.mark.kernel, pytest.mark.guest]

ANY = "auto"


def named(rung: Rung) -> str:
    """What --attach calls it."""
    return next((name for name, how in ATTACH.items() if how == rung.how), ANY)


def every(name: str) -> pytest.MarkDecorator:
    """A test for each rung of a subject that this kernel takes."""
    subject = next(subject for subject in PROBES if subject.name == name)
    return pytest.mark.parametrize(
        ("how", "rung"),
        [
            pytest.param(
                named(rung), rung.how, id=rung.how, marks=pytest.mark.guest(name, rung.how)
            )
            for rung in subject.rungs
            if not why_not(rung)
        ],
    )


def kinds(how: str) -> str:
    """All, but for dropped SYNs where this kernel takes none of their rungs that are asked for."""
    asked = [rung for rung in SYN_DROP.rungs if named(rung) == how]
    if not any(map(why_not, asked)):
        return "all"
    names = {kind for subject in PROBES for kind in subject.kinds}
    return ",".join(sorted(names - {*TASK.kinds, *SYN_DROP.kinds}))


@cache
def seen(how: str, folder: Path) -> tuple[Seen, dict[str, str]]:
    """A session with this --attach: one for all tests that ask; and how it was attached."""
    kept = folder / f"{how}.rec"

    def tracing(ns: Namespace) -> Tracer:
        options = ["--netns", ns.name, "--kind", kinds(how), "--attach", how, "-w", str(kept)]
        return Tracer("events", *options)

    told = laddered.see(tracing, laddered.has_late_ones)
    with kept.open("rb") as file:
        head = json.loads(bytes(next(read(file, str(kept))).data))
    return told, head["attached"]


def told_by(subject: str, how: str, rung: str, folder: Path) -> Seen:
    told, attached = seen(how, folder)
    assert attached[subject] == rung
    return told


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ladder")


@every("state")
def test_every_transition_is_told_once(folder: Path, how: str, rung: str) -> None:
    laddered.check_every_transition(told_by("state", how, rung, folder))


@every("owners")
def test_children_of_a_listener_older_than_the_tracer_are_its_owners(
    folder: Path, how: str, rung: str
) -> None:
    laddered.check_older_listeners(seen(how, folder)[0])


@every("task")
def test_a_process_born_while_tracing_is_named(folder: Path, how: str, rung: str) -> None:
    laddered.check_names(told_by("task", how, rung, folder))


@every("accept")
def test_every_accept_and_every_failed_one_belongs_to_who_called_it(
    folder: Path, how: str, rung: str
) -> None:
    laddered.check_every_accept(told_by("accept", how, rung, folder))


@every("handshake")
def test_every_connect_that_sends_no_syn_is_told(folder: Path, how: str, rung: str) -> None:
    laddered.check_every_attempt(told_by("handshake", how, rung, folder))


@every("synack")
def test_a_handshake_whose_syn_ack_was_sent_again_is_timed_from_the_first(
    folder: Path, how: str, rung: str
) -> None:
    laddered.check_late_handshakes(told_by("synack", how, rung, folder))


@every("syn_drop")
def test_every_dropped_syn_and_final_ack_is_told_of_its_listener(
    folder: Path, how: str, rung: str
) -> None:
    laddered.check_every_dropped(told_by("syn_drop", how, rung, folder))


# --- what is missed -------------------------------------------------------------------

WAITING = """
import socket, sys, threading
listener = socket.create_server(("127.0.0.1", 0))
for _ in range(int(sys.argv[1])):
    threading.Thread(target=listener.accept, daemon=True).start()
sys.stdin.read()
"""


def in_accept4(pid: int) -> int:
    """How many of its threads are in that system call."""
    number = {"x86_64": "288", "aarch64": "242"}[platform.machine()]
    tasks = Path(f"/proc/{pid}/task").glob("*/syscall")
    return sum(path.read_text().split()[0] == number for path in tasks)


def check_calls_beyond_the_places_of_a_kretprobe() -> None:
    """The kernel keeps places for so many calls at once, and says how many found none."""
    more = 7
    many = max(10, 2 * possible_cpus()) + more
    source = LiveSource(Settings(attach="kprobe"))
    command = [sys.executable, "-c", WAITING, str(many)]
    try:
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            try:
                wait_until(lambda: in_accept4(process.pid) == many, "all to wait")
                # calls of others on this machine take places, too
                assert more <= source._object.skipped("tt_accept4_kret") <= many
                # a call that waits is no record that was lost
                assert "tt_accept4_kret" not in source.missed()
            finally:
                process.kill()
    finally:
        source.close()


# no kprobes, nothing to miss: the rung's own tests above are not there either
if not any(why_not(rung) for rung in ACCEPT.rungs if rung.how == "kprobe"):

    @pytest.mark.guest("accept", "kprobe")
    def test_calls_that_wait_beyond_the_places_of_a_kretprobe_are_counted_by_the_kernel() -> None:
        check_calls_beyond_the_places_of_a_kretprobe()


# --- what this kernel does not take ---------------------------------------------------


def test_a_rung_that_this_kernel_refuses_ends_with_69_and_the_cause() -> None:
    for how in ATTACH:
        refused = [
            (subject.name, why)
            for subject in (ACCEPT, HANDSHAKE, SYN_DROP)
            for rung in subject.rungs
            if named(rung) == how and (why := why_not(rung))
        ]
        if not refused:
            continue  # then it is among the rungs above
        name, why = refused[0]
        command = [*COMMAND, "events", "--kind", "all", "--attach", how, "-d", "10ms"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        cause, hint = done.stderr.splitlines()
        assert done.returncode == 69
        assert cause == f"tcptrace: --attach {how}: {name} cannot be attached so: {why}"
        assert "tcptrace doctor" in hint


def test_doctor_tells_what_a_session_stands_on(folder: Path) -> None:
    done = subprocess.run([*COMMAND, "doctor", "-j"], capture_output=True, text=True, cwd=ROOT)
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    probes = {d["subject"]: d for d in documents if d["kind"] == "probe"}
    for name, how in seen(ANY, folder)[1].items():
        if how == "off":
            assert (probes[name]["attach"], probes[name]["status"]) == ("-", "impossible")
            continue
        assert probes[name]["attach"].partition(":")[0] == how
        (rung,) = (r for s in PROBES if s.name == name for r in s.rungs if r.how == how)
        refused = any(" refused: " in reason for reason in probes[name]["why"].split("; "))
        # another way that costs no more is as good
        worse = (refused and probes[name]["costs"]) or lacking(rung)
        assert probes[name]["status"] == ("degraded" if worse else "works")
        assert lacking(rung) in probes[name]["why"]
