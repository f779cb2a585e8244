"""Recordings through pipes: what comes out is what would have come out of a file."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Namespace, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, server_in

pytestmark = pytest.mark.kernel

CONNECTIONS = 13


@pytest.fixture(scope="module")
def room() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


def converse(room: Namespace, count: int = CONNECTIONS) -> None:
    with server_in(room) as server:
        server.tell("serve", listener="l")
        with Program("caller", room.enter) as caller:
            caller.do("call", address=ADDRESS, port=PORT, count=count, half=True)
        server.stop()


def start(
    *line: str, stdin: int | None = None, stdout: int = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        line, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, cwd=ROOT, start_new_session=True
    )


@contextmanager
def recorder(
    room: Namespace, place: Path, *options: str, stdout: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[bytes]]:
    """`tcptrace record -`, attached."""
    ready = place / "ready"
    line = [*COMMAND, "record", "-", "--netns", room.name, "--ready-file", str(ready), *options]
    process = start(*line, stdout=stdout)
    try:
        wait_until(lambda: ready.exists() or process.poll() is not None, "the recorder")
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def shown(path: Path, *arguments: str) -> bytes:
    line = [*COMMAND, *arguments, "-r", str(path)]
    return subprocess.run(line, capture_output=True, cwd=ROOT, check=True).stdout


@pytest.mark.parametrize(
    "arguments",
    ["states", "states -j", "events", "events -f csv", "handshakes", "accepts", "listeners"],
)
def test_through_a_pipe_comes_byte_for_byte_what_comes_through_a_file(
    room: Namespace, tmp_path: Path, arguments: str
) -> None:
    kept = tmp_path / "a.rec"
    with recorder(room, tmp_path, "--kind", "all") as recording:
        assert recording.stdout
        tee = start("tee", str(kept), stdin=recording.stdout.fileno())
        assert tee.stdout
        recording.stdout.close()
        reader = start(*COMMAND, "-r", "-", *arguments.split(), stdin=tee.stdout.fileno())
        tee.stdout.close()
        converse(room)
        recording.send_signal(signal.SIGINT)
        out, err = reader.communicate(timeout=30)
        assert (recording.wait(10), tee.wait(10), reader.returncode) == (0, 0, 0), err
    assert out == shown(kept, *arguments.split()) != b""
    assert b"ends early" not in err


def test_events_come_through_a_pipe_while_recording_goes_on(
    room: Namespace, tmp_path: Path
) -> None:
    with recorder(room, tmp_path) as recording:
        assert recording.stdout
        reader = start(*COMMAND, "-r", "-", "events", "-j", stdin=recording.stdout.fileno())
        assert reader.stdout
        recording.stdout.close()
        converse(room)
        said = b""
        while said.count(b'"kind":"accept"') < CONNECTIONS:
            assert select.select([reader.stdout], [], [], 20)[0], "nothing came"
            said += os.read(reader.stdout.fileno(), 1 << 16)
        assert (recording.poll(), reader.poll()) == (None, None)
        recording.send_signal(signal.SIGINT)
        reader.communicate(timeout=30)
        assert reader.returncode == 0


def test_ctrl_c_at_both_ends_of_a_pipe_still_tells_of_everything(
    room: Namespace, tmp_path: Path
) -> None:
    with recorder(room, tmp_path) as recording:
        assert recording.stdout
        line = [*COMMAND, "-r", "-", "events", "-jq", "--kind", "accept"]
        reader = start(*line, stdin=recording.stdout.fileno())
        assert reader.stdout
        recording.stdout.close()
        converse(room)
        assert select.select([reader.stdout], [], [], 20)[0], "nothing came"
        converse(room)
        reader.send_signal(signal.SIGINT)
        recording.send_signal(signal.SIGINT)
        out, err = reader.communicate(timeout=30)
    assert (reader.returncode, err) == (0, b"")
    assert out.count(b"\n") == 2 * CONNECTIONS


def test_ctrl_c_ends_a_reader_whose_pipe_does_not_end(room: Namespace, tmp_path: Path) -> None:
    """The begin of a recording, then nothing, from somebody who lives on."""
    kept = tmp_path / "a.rec"
    with kept.open("wb") as file, recorder(room, tmp_path, stdout=file.fileno()) as recording:
        converse(room)
        recording.send_signal(signal.SIGINT)
        assert recording.wait(20) == 0
    data = kept.read_bytes()
    end = data.rindex(b"LAST")
    reading, writing = os.pipe()
    reader = start(*COMMAND, "-r", "-", "events", "-j", stdin=reading)
    assert reader.stdout
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(data[:end])
        pipe.flush()
        assert select.select([reader.stdout], [], [], 20)[0], "nothing came"
        reader.send_signal(signal.SIGINT)
        out, err = reader.communicate(timeout=30)
    assert reader.returncode == 0
    assert out.count(b'"kind":"accept"') == CONNECTIONS
    assert b"standard input ends early: it was left" in err


def test_a_pipe_that_closes_ends_a_recording_quietly(room: Namespace, tmp_path: Path) -> None:
    with recorder(room, tmp_path) as recording:
        assert recording.stdout
        os.read(recording.stdout.fileno(), 1)
        recording.stdout.close()
        converse(room)
        assert recording.wait(20) == 0
        assert recording.stderr
        assert b"cannot write" not in recording.stderr.read()


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("record -", b"a recording is not for a terminal"),
        ("-r - states", b"standard input is a terminal"),
    ],
)
def test_a_terminal_is_no_place_for_a_recording(line: str, cause: bytes) -> None:
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [*COMMAND, *line.split()],
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            timeout=20,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 2
    first, hint = done.stderr.splitlines()
    assert cause in first
    assert b"tcptrace record - | tcptrace -r - states" in hint


def test_what_is_no_recording_is_told_of_by_its_name() -> None:
    line = [*COMMAND, "-r", "-", "states"]
    done = subprocess.run(line, input=b"hello", capture_output=True, cwd=ROOT, timeout=20)
    assert done.returncode == 1
    assert done.stderr.startswith(b"tcptrace: standard input is not a recording of tcptrace")
