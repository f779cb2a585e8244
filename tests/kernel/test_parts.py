"""A part of a recording, and a recording that ended as its disk ran full."""

from __future__ import annotations

import datetime
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, server_in

pytestmark = pytest.mark.kernel

FEW, MANY = 3, 17


@pytest.fixture(scope="module")
def room() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


def converse(room: Namespace, count: int) -> None:
    with server_in(room) as server:
        server.tell("serve", listener="l")
        with Program("caller", room.enter) as caller:
            caller.do("call", address=ADDRESS, port=PORT, count=count, half=True)
        server.stop()


@dataclass
class Kept:
    """A recording of FEW connections before a moment and MANY after it."""

    path: Path
    began_ns: int
    between_ns: int

    def show(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        line = [*COMMAND, *arguments, "-r", str(self.path)]
        return subprocess.run(line, capture_output=True, text=True, cwd=ROOT)

    def records(self, *arguments: str) -> list[dict[str, object]]:
        done = self.show(*arguments, "-j")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def between(self, form: str) -> str:
        moment = datetime.datetime.fromtimestamp(self.between_ns / 1e9, datetime.UTC)
        if form == "relative":
            return f"+{(self.between_ns - self.began_ns) / 1e9:.6f}s"
        text = moment.isoformat() if form == "absolute" else moment.astimezone().time().isoformat()
        return text.replace("+00:00", "Z")


@pytest.fixture(scope="module")
def kept(room: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    path = tmp_path_factory.mktemp("kept") / "a.rec"
    with Tracer("record", str(path), "--netns", room.name, json=False):
        converse(room, FEW)
        between = time.time_ns()
        converse(room, MANY)
    head = json.loads(path.read_bytes().split(b"HEAD", 1)[1][12:].split(b"TASK\0", 1)[0])
    return Kept(path, head["started_ns"] + head["offset_ns"], between)


@pytest.mark.parametrize("form", ["absolute", "time of day", "relative"])
@pytest.mark.parametrize(("option", "count"), [("--since", MANY), ("--until", FEW)])
def test_a_part_has_the_connections_made_in_it(
    kept: Kept, form: str, option: str, count: int
) -> None:
    part = (option, kept.between(form))
    records = kept.records("events", "--kind", "handshake", *part)
    assert len(records) == 2 * count
    done = kept.show("events", "--kind", "handshake", *part)
    assert f" {2 * count} matched, 0 lost" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(("option", "count"), [("--since", MANY), ("--until", FEW)])
def test_sums_of_a_part_are_of_that_part_alone(kept: Kept, option: str, count: int) -> None:
    part = (option, kept.between("absolute"))
    (accepts,) = kept.records("accepts", *part)
    assert accepts["accepts"] == count
    found = kept.records("handshakes", *part)
    assert {r["kind"] for r in found} == {"handshake_summary"}, "the kernel counted the whole"
    assert [r["attempts"] for r in found] == [count, count]
    states = kept.records("states", *part)
    assert sum(int(str(r["opened"])) for r in states) == 2 * count


def test_a_part_before_the_last_look_does_not_tell_what_there_is_now(kept: Kept) -> None:
    part = ("--until", kept.between("absolute"))
    assert all(not r["now"] for r in kept.records("states", *part))
    (accepts,) = kept.records("accepts", *part)
    assert (accepts["waiting"], accepts["never_accepted"]) == (None, None)


def test_both_ends_leave_what_lies_between_and_the_span_says_so(kept: Kept) -> None:
    done = kept.show("handshakes", "--since", "+1ms", "--until", kept.between("relative"))
    assert "--since +1ms --until +" in done.stdout.splitlines()[0]
    (span,) = re.findall(r"lost in ([0-9.]+)(ms|s)$", done.stdout, re.MULTILINE)
    shown = float(span[0]) / (1000 if span[1] == "ms" else 1)
    assert shown == pytest.approx((kept.between_ns - kept.began_ns) / 1e9 - 0.001, rel=0.01)


def test_a_part_with_nothing_in_it_says_which_option_left_out_how_many(kept: Kept) -> None:
    done = kept.show("events", "--kind", "accept", "--until", "+1us")
    assert "nothing matched: --until +1us removed " in done.stderr
    assert f"removed {FEW + MANY} of" in done.stderr or " 0 matched" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "cause"),
    [
        ("events --since +2s --until +1s", 2, "nothing lies between"),
        ("listeners --since +1s", 1, "this recording keeps no listeners"),
    ],
)
def test_a_part_that_cannot_be_shown_is_refused(
    kept: Kept, arguments: str, status: int, cause: str
) -> None:
    done = kept.show(*arguments.split())
    assert (done.returncode, done.stdout) == (status, "")
    assert cause in done.stderr


def test_a_recording_of_sums_has_no_parts(room: Namespace, tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    with Tracer("states", "-w", str(path), "--netns", room.name, json=False):
        converse(room, FEW)
    done = Kept(path, 0, 0).show("states", "--since", "+1ms")
    assert done.returncode == 1
    assert "keeps sums only" in done.stderr


# --- the disk --------------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """32 MB, of which somewhat more than half, what is held in reserve, is free."""
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "none", place], check=True)
    try:
        (place / "full").write_bytes(bytes(15 << 20))
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("line", ["record {}", "states -w {}", "events -o /dev/null -w {}"])
def test_a_recording_ends_before_its_disk_is_full_and_shows_what_it_holds(
    room: Namespace, disk: Path, line: str
) -> None:
    path = disk / "a.rec"
    arguments = line.format(path).split()
    with Tracer(*arguments, "--netns", room.name, json=False) as tracer:
        if arguments[0] == "states":
            (disk / "more").write_bytes(bytes(1 << 20))  # its own recording does not grow

        def ended() -> bool:
            converse(room, 200)
            return tracer.process.poll() is not None

        wait_until(ended, "the recording to end by itself", 60)
        tracer.stop()
    assert tracer.status == 0
    assert tracer.stderr.count("nearly full: recording ends") == 1
    left = os.statvfs(disk)
    assert left.f_bavail * left.f_frsize > 4 << 20
    command = "states" if arguments[0] == "states" else "events"
    done = Kept(path, 0, 0).show(command)
    assert done.returncode == 0
    assert "ends early" not in done.stderr
    assert "CLOSE" in done.stdout
