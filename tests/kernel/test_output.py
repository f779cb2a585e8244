"""What is printed, where, and when; and that a recording prints the same again."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import select
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, server_in

pytestmark = pytest.mark.kernel

SPAN = r"[0-9.]+(?:ns|us|ms|s|m|h|d)"
CLOSING = re.compile(
    rf"(\d+) seen, (\d+) matched, (\d+) lost in ({SPAN})(?:, \d+ limited)?(?:, \d+ late)?"
)
NOTICE = re.compile(r"\w+( and \w+)*: by \w+, .* turns it off")
SUDO = ["env", "SUDO_UID=65534", "SUDO_GID=65534"]
FORMS = ("table", "json", "csv")


class Talk:
    """Whole connections within this process, on a port of their own."""

    # ten transitions, an accept, and on each side a handshake and the whole connection
    RECORDS = 15

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = str(self._server.getsockname()[1])

    def once(self) -> None:
        with socket.create_connection(self._server.getsockname()) as client:
            accepted, _ = self._server.accept()
            client.shutdown(socket.SHUT_WR)
            accepted.recv(1)
            accepted.close()
            client.recv(1)

    def times(self, count: int) -> None:
        for _ in range(count):
            self.once()

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def talk() -> Iterator[Talk]:
    made = Talk()
    yield made
    made.close()


@pytest.fixture(scope="module")
def room() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


def converse(room: Namespace, count: int, name: str = "caller") -> None:
    """Connections in a namespace, by a server and a client that come and go meanwhile."""
    with server_in(room) as server:
        server.tell("serve", listener="l")
        with Program(name, room.enter) as caller:
            caller.do("call", address=ADDRESS, port=PORT, count=count, half=True)
        server.stop()


def run(
    *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        env=os.environ | (environment or {}),
    )


def closing(stderr: str) -> tuple[int, int, int]:
    """seen, matched and lost of the last line, which has to have its form."""
    found = CLOSING.fullmatch(stderr.splitlines()[-1])
    assert found, stderr
    return int(found[1]), int(found[2]), int(found[3])


# --- forms ----------------------------------------------------------------------


@pytest.mark.parametrize("command", ["events", "states"])
def test_every_line_of_json_is_a_record_to_jq(talk: Talk, command: str) -> None:
    with Tracer(command) as tracer:
        talk.times(5)
    lines = tracer.stdout.splitlines()
    assert len(lines) > 0
    for line in lines[:20]:
        subprocess.run(
            ["jq", "-e", ".kind"], input=line, text=True, check=True, capture_output=True
        )
    done = subprocess.run(
        ["jq", "-ec", "."], input=tracer.stdout, text=True, check=True, capture_output=True
    )
    assert len(done.stdout.splitlines()) == len(lines)


@pytest.mark.parametrize("command", ["events", "states"])
def test_every_row_of_csv_has_a_cell_for_every_column(
    room: Namespace, tmp_path: Path, command: str
) -> None:
    """A name that would break a row is escaped as in every other form, then quoted as CSV is."""
    with Tracer(command, "--netns", room.name, "-f", "csv", json=False) as tracer:
        converse(room, 3, name='a,"b"\nc')
    header, *rows = csv.reader(io.StringIO(tracer.stdout, newline=""))
    assert {len(row) for row in rows} == {len(header)}
    assert len(set(header)) == len(header)
    assert len(tracer.stdout.splitlines()) == len(rows) + 1
    assert 'a,"b"\\x0ac' in {row[header.index("comm")] for row in rows}


def test_json_csv_and_the_table_tell_of_the_same_records(room: Namespace, tmp_path: Path) -> None:
    path = str(tmp_path / "a.rec")
    with Tracer("record", path, "--netns", room.name, json=False):
        converse(room, 5)
    table, text, comma = (run("events", "-r", path, "-f", form).stdout for form in FORMS)
    records = [json.loads(line) for line in text.splitlines()]
    rows = list(csv.DictReader(io.StringIO(comma, newline="")))
    assert len(records) == len(rows) == len(table.splitlines()) - 2
    for record, row in zip(records, rows, strict=True):
        told = {name: _cell(value) for name, value in record.items()}
        assert told.items() <= row.items()


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ";".join(f"{name}={part}" for name, part in value.items())
    return "" if value is None else str(value)


# --- pipes ----------------------------------------------------------------------


def test_lines_reach_a_pipe_while_tracing_goes_on(talk: Talk, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with subprocess.Popen(
        [*COMMAND, "events", "-j", "--port", talk.port, "--ready-file", str(ready)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as process:
        assert process.stdout
        wait_until(ready.exists, "the tracer to be ready")
        talk.once()
        said = b""
        while said.count(b"\n") < talk.RECORDS:
            assert select.select([process.stdout], [], [], 20)[0], "nothing came"
            said += os.read(process.stdout.fileno(), 1 << 16)
        assert process.poll() is None
        assert said.endswith(b"\n")
        assert [json.loads(line)["kind"] for line in said.splitlines()].count("accept") == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("options", "quiet"),
    [("", False), ("-q", True), ("-j", False), ("-q -j", True), ("-q -f csv", True)],
)
def test_a_pipe_that_closes_ends_it_quietly_with_0(
    talk: Talk, tmp_path: Path, options: str, quiet: bool
) -> None:
    ready = tmp_path / "ready"
    line = [*COMMAND, "events", *options.split(), "--port", talk.port, "--ready-file", str(ready)]
    with subprocess.Popen(
        ["bash", "-c", '"$@" | head -1; echo "${PIPESTATUS[0]}"', "bash", *line],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        wait_until(ready.exists, "the tracer to be ready")

        def ended() -> bool:
            talk.once()
            return process.poll() is not None

        wait_until(ended, "the tracer to notice that its reader has gone")
        stdout, stderr = process.communicate()
    first, status = stdout.splitlines()
    assert first
    assert status == "0"
    notices = stderr.splitlines()
    assert not notices if quiet else all(NOTICE.fullmatch(notice) for notice in notices)


def test_a_closed_pipe_for_notices_changes_nothing(talk: Talk, tmp_path: Path) -> None:
    ready, kept = tmp_path / "ready", tmp_path / "kept"
    line = [*COMMAND, "events", "-j", "-o", str(kept), "--port", talk.port]
    line += ["--ready-file", str(ready), "-c", str(talk.RECORDS)]
    with subprocess.Popen(
        ["bash", "-c", '"$@" 2>&1 | true; exit "${PIPESTATUS[0]}"', "bash", *line],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        wait_until(ready.exists, "the tracer to be ready")
        talk.once()
        assert process.wait(20) == 0
        assert process.communicate() == ("", "")
    assert len(kept.read_text().splitlines()) == talk.RECORDS


# --- notices and the closing line -----------------------------------------------


@pytest.mark.parametrize("line", ["events", "states", "-j", "record {}/a.rec", "events --port 9"])
def test_quiet_leaves_nothing_on_standard_error(tmp_path: Path, line: str) -> None:
    done = run(*line.replace("{}", str(tmp_path)).split(), "-q", "-d", "200ms")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("form", FORMS)
def test_results_go_to_standard_output_and_all_else_does_not(talk: Talk, form: str) -> None:
    with Tracer("events", "--port", talk.port, "-f", form, json=False) as tracer:
        talk.once()
    headers = {"table": 2, "json": 0, "csv": 1}[form]
    assert len(tracer.stdout.splitlines()) == talk.RECORDS + headers
    assert "seen" not in tracer.stdout
    closing(tracer.stderr)


def test_the_closing_line_counts_what_was_printed(talk: Talk) -> None:
    with Tracer("events", "--port", talk.port) as tracer:
        talk.times(3)
    seen, matched, lost = closing(tracer.stderr)
    assert matched == len(tracer.records) == 3 * talk.RECORDS
    assert seen >= matched
    assert lost == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_0_and_what_was_gathered(talk: Talk, number: int) -> None:
    with Tracer("events", "--port", talk.port) as tracer:
        talk.once()
        tracer.stop(number)
    assert tracer.status == 0
    assert len(tracer.records) == talk.RECORDS
    closing(tracer.stderr)


@pytest.mark.parametrize(
    ("given", "removers"),
    [
        (["--port", "9"], ["--port"]),
        (["-6", "--port", "9"], ["-6", "--port"]),
        (["--kind", "accept", "--lport", "9"], ["--kind", "--lport"]),
        (["--addr", "203.0.113.0/24"], ["--addr"]),
        (["--state", "closing", "--pid", str(os.getpid())], ["--state", "--pid"]),
    ],
)
@pytest.mark.parametrize("replayed", [False, True], ids=["live", "replayed"])
def test_with_nothing_matched_each_filter_says_how_many_it_removed(
    room: Namespace, tmp_path: Path, given: list[str], removers: list[str], replayed: bool
) -> None:
    path = str(tmp_path / "a.rec")
    with Tracer(*(["record", path] if replayed else ["events", *given]), json=False) as tracer:
        converse(room, 2)
    stderr = run("events", "-r", path, *given).stderr if replayed else tracer.stderr
    seen, matched, _ = closing(stderr)
    assert (seen >= 2 * 11, matched) == (True, 0), "all transitions and accepts, before filters"
    told = re.findall(r"^nothing matched: (\S+).* removed (\d+) of (\d+)$", stderr, re.MULTILINE)
    assert {option for option, _, _ in told} <= set(removers)
    assert removers[0] in {option for option, _, _ in told}
    assert {int(of) for _, _, of in told} == {seen}
    assert sum(int(count) for _, count, _ in told) == seen


def test_nothing_to_see_at_all_is_no_filters_fault(tmp_path: Path) -> None:
    kept = str(tmp_path / "a.rec")
    assert (
        run("record", kept, "--kind", "accept", "--no-accept-hook", "-d", "100ms").returncode == 0
    )
    done = run("events", "-r", kept)
    assert done.returncode == 0
    assert "0 matched" in done.stderr.splitlines()[-1]


# --- when it ends ---------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_a_count_of_3_prints_exactly_3(talk: Talk, form: str) -> None:
    line = ["events", "--port", talk.port, "-c", "3", "-f", form]
    with Tracer(*line, json=False) as tracer:
        talk.times(5)
        assert tracer.process.wait(20) == 0
    headers = {"table": 2, "json": 0, "csv": 1}[form]
    assert len(tracer.stdout.splitlines()) == 3 + headers
    closing(tracer.stderr)


@pytest.mark.parametrize("count", [1, 3, 11, 1000])
def test_a_count_holds_for_a_recording_too(talk: Talk, tmp_path: Path, count: int) -> None:
    path = str(tmp_path / "a.rec")
    with Tracer("record", path, "--port", talk.port, json=False):
        talk.times(2)
    done = run("events", "-j", "-r", path, "-c", str(count))
    assert len(done.stdout.splitlines()) == min(count, 2 * talk.RECORDS)
    assert done.returncode == 0
    closing(done.stderr)


@pytest.mark.parametrize("command", ["events", "states", "handshakes"])
def test_a_duration_ends_it_by_itself(command: str) -> None:
    done = run(command, "-d", "500ms", "-j", "--port", "9")
    assert done.returncode == 0
    found = CLOSING.fullmatch(done.stderr.splitlines()[-1])
    assert found
    unit = 1000 if found[4].endswith("ms") else 1
    assert 0.5 <= float(re.sub(r"[a-z]", "", found[4])) / unit < 2


# --- clocks ---------------------------------------------------------------------


def test_times_are_local_unless_utc_is_asked_for(talk: Talk, tmp_path: Path) -> None:
    path = str(tmp_path / "a.rec")
    with Tracer("record", path, "--port", talk.port, json=False):
        talk.once()
    tokyo = {"TZ": "Asia/Tokyo"}
    local = run("events", "-r", path, environment=tokyo).stdout.splitlines()
    utc = run("events", "-r", path, "--utc", environment=tokyo).stdout.splitlines()
    assert " JST " in local[0]
    assert " UTC " in utc[0]
    here, there = (int(lines[2][:2]) for lines in (local, utc))
    assert (here - there) % 24 == 9
    assert [line[2:] for line in local[2:]] == [line[2:] for line in utc[2:]]


def test_json_is_in_utc_whatever_the_zone(talk: Talk, tmp_path: Path) -> None:
    path = str(tmp_path / "a.rec")
    with Tracer("record", path, "--port", talk.port, json=False):
        talk.once()
    told = {
        run("events", "-j", "-r", path, *options, environment={"TZ": zone}).stdout
        for zone in ("Asia/Tokyo", "UTC")
        for options in ([], ["--utc"])
    }
    (text,) = told
    for line in text.splitlines():
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", json.loads(line)["ts"])


# --- files ----------------------------------------------------------------------


def owner_and_mode(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


@pytest.mark.parametrize("line", ["events -j -o {}", "events -o /dev/null -w {}", "record {}"])
@pytest.mark.parametrize(("prefix", "owner"), [([], 0), (SUDO, 65534)], ids=["by root", "by sudo"])
def test_a_file_is_for_nobody_but_who_asked_for_it(
    talk: Talk, tmp_path: Path, line: str, prefix: list[str], owner: int
) -> None:
    path = tmp_path / "made"
    open_mask = ["sh", "-c", 'umask 0; exec "$@"', "sh"]
    arguments = line.format(path).split()
    with Tracer(*arguments, "--port", talk.port, prefix=[*prefix, *open_mask], json=False):
        talk.once()
    assert owner_and_mode(path) == (owner, owner, 0o600)
    assert path.stat().st_size > 0


def test_a_file_written_over_is_for_nobody_else_either(talk: Talk, tmp_path: Path) -> None:
    path = tmp_path / "made"
    path.write_text("something older that is long\n" * 1000)
    path.chmod(0o644)
    line = ["events", "-o", str(path), "--force", "--port", talk.port]
    with Tracer(*line, prefix=SUDO) as tracer:
        talk.once()
    assert tracer.stdout == ""
    assert len(path.read_text().splitlines()) == talk.RECORDS
    assert owner_and_mode(path) == (65534, 65534, 0o600)


def test_a_device_stays_whose_it_was(talk: Talk) -> None:
    before = owner_and_mode(Path("/dev/null"))
    with Tracer("events", "-o", "/dev/null", "--force", "--port", talk.port, prefix=SUDO):
        talk.once()
    assert owner_and_mode(Path("/dev/null")) == before


def test_a_file_holds_what_standard_output_would_have(talk: Talk, tmp_path: Path) -> None:
    recording, made = str(tmp_path / "a.rec"), tmp_path / "made"
    with Tracer("record", recording, "--port", talk.port, json=False):
        talk.times(3)
    printed = run("events", "-r", recording).stdout
    assert run("events", "-r", recording, "-o", str(made)).stdout == ""
    assert made.read_text() == printed
    assert run("events", "-r", recording, "-o", "-").stdout == printed


def test_a_file_without_results_is_there_and_empty(tmp_path: Path) -> None:
    made = tmp_path / "made"
    assert run("events", "-j", "--port", "9", "-d", "100ms", "-o", str(made)).returncode == 0
    assert made.read_text() == ""


def test_the_ready_file_is_made_once_all_is_attached(talk: Talk, tmp_path: Path) -> None:
    ready = tmp_path / "a file that says so"
    line = [*COMMAND, "events", "-jq", "--port", talk.port, "-c", str(talk.RECORDS)]
    with subprocess.Popen(
        [*line, "--ready-file", str(ready)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        wait_until(ready.exists, "the ready file")
        talk.once()
        stdout, _ = process.communicate(timeout=20)
    records = [json.loads(line) for line in stdout.splitlines()]
    assert (records[0]["old"], records[0]["new"]) == ("CLOSE", "SYN_SENT")
    assert [record["kind"] for record in records].count("accept") == 1


# --- a recording prints what the run that made it printed ------------------------

SHOWN = [
    *(["events", "-f", form] for form in FORMS),
    ["events", "--utc"],
    ["-j"],
    ["states"],
    ["states", "-j"],
    ["states", "-f", "csv"],
    ["handshakes"],
    ["handshakes", "-j"],
    ["handshakes", "-f", "csv"],
]


@pytest.mark.parametrize("shown", SHOWN, ids=" ".join)
def test_a_recording_prints_byte_for_byte_what_its_run_printed(
    room: Namespace, tmp_path: Path, shown: list[str]
) -> None:
    path = str(tmp_path / "a.rec")
    with Tracer(*shown, "-w", path, "--netns", room.name, json=False) as tracer:
        converse(room, 31)
    again = run(*shown, "-r", path)
    assert again.returncode == 0
    assert again.stdout == tracer.stdout != ""
    if len(shown) > 1 or shown == ["-j"]:  # tables of sums end with the closing line
        assert again.stderr.splitlines()[-1] == tracer.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", ["states", "handshakes"])
@pytest.mark.parametrize("form", ["table", "json"])
def test_a_recording_prints_the_blocks_its_run_printed(
    room: Namespace, tmp_path: Path, form: str, command: str
) -> None:
    path = str(tmp_path / "a.rec")
    shown = [command, "-f", form]
    line = [*shown, "-i", "100ms", "-w", path, "--netns", room.name]
    with Tracer(*line, json=False) as tracer:
        converse(room, 200)
        out = tracer.path / "out"
        wait_until(lambda: out.stat().st_size, "the first block")
        converse(room, 100)
    again = run(*shown, "-r", path)
    assert again.stdout == tracer.stdout != ""


def test_a_recording_cut_off_by_its_count_prints_as_many(talk: Talk, tmp_path: Path) -> None:
    path = str(tmp_path / "a.rec")
    with Tracer("events", "-w", path, "--port", talk.port, "-c", "5", json=False) as tracer:
        talk.times(3)
        assert tracer.process.wait(20) == 0
    again = run("events", "-r", path, "-c", "5")
    assert again.stdout == tracer.stdout
    assert closing(again.stderr) == closing(tracer.stderr)


@pytest.mark.parametrize("form", FORMS)
def test_a_recording_with_losses_prints_them_where_its_run_did(
    talk: Talk, tmp_path: Path, form: str
) -> None:
    path = str(tmp_path / "a.rec")
    shown = ["events", "-f", form]
    line = [*shown, "-w", path, "--port", talk.port, "--buffer-pages", "1"]
    with Tracer(*line, json=False) as tracer:
        talk.times(2)
        tracer.process.send_signal(signal.SIGSTOP)
        talk.times(300)
        tracer.process.send_signal(signal.SIGCONT)
        talk.times(2)
    _, matched, lost = closing(tracer.stderr)
    assert lost > 100
    assert matched == 304 * talk.RECORDS
    again = run(*shown, "-r", path)
    assert again.stdout == tracer.stdout
    assert closing(again.stderr) == closing(tracer.stderr)
    if form == "json":
        records = [json.loads(line) for line in tracer.stdout.splitlines()]
        told = sum(record["count"] for record in records if record["kind"] == "lost")
        assert told == lost
        assert sum(record["kind"] != "lost" for record in records) + lost == matched
    if form == "csv":
        header, *rows = csv.reader(io.StringIO(tracer.stdout, newline=""))
        assert {len(row) for row in rows} == {len(header)}
    if form == "table":
        check_colors(path, *shown)


def check_colors(path: str, *shown: str) -> None:
    """What is lost stands out where colours are wanted: on a terminal, or whatever it goes to."""
    for on_terminal, option, no_color, colored in (
        (False, "auto", False, False),
        (False, "always", False, True),
        (True, "auto", False, True),
        (True, "auto", True, False),
        (True, "never", False, False),
    ):
        line = [*COMMAND, *shown, "-r", path, "--color", option]
        environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        environment |= {"NO_COLOR": "1"} if no_color else {}
        said = _on_terminal(line, environment) if on_terminal else _into_pipe(line, environment)
        assert ("\x1b[" in said) == colored, (on_terminal, option, no_color)


def _into_pipe(line: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, env=environment)
    return done.stdout


def _on_terminal(line: list[str], environment: dict[str, str]) -> str:
    master, slave = pty.openpty()
    with subprocess.Popen(
        line, stdin=subprocess.DEVNULL, stdout=slave, cwd=ROOT, env=environment
    ) as process:
        os.close(slave)
        said = b""
        with suppress(OSError):  # EIO: nobody has the terminal any more
            while piece := os.read(master, 1 << 16):
                said += piece
    os.close(master)
    assert process.returncode == 0
    return said.decode()
