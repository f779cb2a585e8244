"""A recording whose maker was killed shows what was gathered, and says that it ends early."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Record, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, server_in
from tracer.wire.recording import MAGIC, Writer, read

pytestmark = pytest.mark.kernel
CONNECTIONS = 23


def replay(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [*COMMAND, *arguments, "-r", str(path)]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=60)


def accepts_in(path: Path) -> int:
    """Accepts among what is in the file by now."""
    return sum(r["kind"] == "accept" for r in records(replay(path, "events", "-j")))


def records(done: subprocess.CompletedProcess[str]) -> list[Record]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A recording of so many connections, made by one that got SIGKILL."""
    path = tmp_path_factory.mktemp("killed") / "a.rec"
    arguments = ("record", str(path), "--kind", "state,accept,handshake")
    with namespace() as ns, server_in(ns) as server, Program("tt-client", ns.enter) as client:
        with Tracer(*arguments, "--netns", ns.name, json=False) as tracer:
            server.tell("accept_some", listener="l", count=CONNECTIONS)
            client.do("hold", address=ADDRESS, port=PORT, count=CONNECTIONS)
            server.answer()
            # what is in the file is what was read and handed on by then
            wait_until(lambda: accepts_in(path) == CONNECTIONS, "the records to be written")
            tracer.process.send_signal(signal.SIGKILL)
            tracer.process.wait()
        yield path


@pytest.mark.parametrize("form", ["json", "table"])
@pytest.mark.parametrize("command", ["events", "states", "accepts", "handshakes"])
def test_what_was_gathered_is_shown_and_that_it_ends_early(
    killed: Path, command: str, form: str
) -> None:
    done = replay(killed, command, "-f", form)
    assert done.returncode == 0, done.stderr
    assert "a.rec ends early" in done.stderr
    assert done.stdout
    assert re.search(r"[1-9]\d* seen, [1-9]\d* matched, 0 lost", done.stdout + done.stderr)


def test_its_sums_are_those_of_what_happened(killed: Path) -> None:
    (row,) = records(replay(killed, "accepts", "-j"))
    assert row["accepts"] == CONNECTIONS
    rows = records(replay(killed, "handshakes", "-j"))
    ends = {r["role"]: r["outcomes"] for r in rows if r["kind"] == "handshake_summary"}
    assert ends == {"active": {"ok": CONNECTIONS}, "passive": {"ok": CONNECTIONS}}
    assert sum(r["opened"] for r in records(replay(killed, "states", "-j"))) == 2 * CONNECTIONS


def test_one_cut_before_it_says_where_it_was_made_is_an_error(killed: Path, tmp_path: Path) -> None:
    path = tmp_path / "b.rec"
    path.write_bytes(MAGIC)
    done = replay(path, "events")
    assert (done.returncode, done.stdout) == (1, "")
    assert "b.rec holds nothing yet" in done.stderr


def test_one_cut_in_the_middle_shows_no_more_than_there_is(killed: Path, tmp_path: Path) -> None:
    with killed.open("rb") as file:
        frames = list(read(file, "a.rec"))
    path = tmp_path / "c.rec"
    half = Writer(path)
    for frame in frames[: len(frames) // 2]:
        half.write(frame)
    half.close()
    # the next one has begun, and no more
    path.write_bytes(killed.read_bytes()[: half.size + 1])
    with path.open("rb") as file:
        assert 0 < len(list(read(file, "c.rec"))) < len(frames)
    done = replay(path, "accepts", "-j")
    assert done.returncode == 0
    assert "c.rec ends early" in done.stderr
    assert sum(row["accepts"] for row in records(done)) <= CONNECTIONS
