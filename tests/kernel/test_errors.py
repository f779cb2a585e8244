"""What goes wrong ends with its own status, one line of cause and one of what to do."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shlex
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Tracer, wait_until
from tests.programs.driver import Program

pytestmark = pytest.mark.kernel

TCPTRACE = str(Path(sys.executable).parent / "tcptrace")
TRACEFS = "/sys/kernel/tracing"
NOBODY = 65534

# what may stand before the command, and where it stands
IN_MOUNTS = ["unshare", "--mount", "sh", "-ec"]
MOUNTED = [
    *IN_MOUNTS,
    f'mountpoint -q {TRACEFS} || mount -t tracefs tracefs {TRACEFS}; exec "$@"',
    "sh",
]
NOT_MOUNTED = [
    *IN_MOUNTS,
    f'for at in {TRACEFS} /sys/kernel/debug; do umount -lq $at || true; done; exec "$@"',
    "sh",
]
NO_BTF = [*IN_MOUNTS, 'mount -t tmpfs none /sys/kernel/btf; exec "$@"', "sh"]

# the capabilities that tracing needs
NEEDED = {
    "mounted": {"CAP_BPF", "CAP_PERFMON", "CAP_DAC_READ_SEARCH"},
    "not mounted": {"CAP_BPF", "CAP_PERFMON", "CAP_DAC_READ_SEARCH", "CAP_SYS_ADMIN"},
}
PLACES = {"mounted": MOUNTED, "not mounted": NOT_MOUNTED}
IMPLIED = {"CAP_BPF", "CAP_PERFMON"}  # by CAP_SYS_ADMIN


def nobody(*capabilities: str) -> list[str]:
    """Run as a user without a name, with these capabilities and no other."""
    listed = ",".join(
        ["-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in sorted(capabilities))]
    )
    ids = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return ["setpriv", *ids, f"--inh-caps={listed}", f"--ambient-caps={listed}"]


def run(*arguments: str, prefix: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, as people start it."""
    return subprocess.run(
        [*(prefix or []), TCPTRACE, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def gone() -> str:
    """A PID that no process has."""
    process = subprocess.Popen(["true"])
    process.wait()
    return str(process.pid)


@dataclass(frozen=True)
class Case:
    """A command line, where it runs, and how it ends. `{}` is a directory of the test's own."""

    name: str
    line: str
    status: int
    cause: str
    hint: str
    prefix: Callable[[], list[str]] = list


def _lacking(place: str, *capabilities: str) -> Callable[[], list[str]]:
    """Start as nobody without these capabilities; without any if none is named."""
    left = NEEDED[place] - set(capabilities or NEEDED[place])
    return lambda: [*PLACES[place], *nobody(*left)]


CASES = [
    *(
        Case(
            f"nobody, tracefs {place}",
            "events",
            77,
            ".*".join(
                ["not permitted", "CAP_BPF", "CAP_PERFMON", *sorted(names - IMPLIED, reverse=True)]
            ),
            f"sudo {TCPTRACE} events",
            _lacking(place),
        )
        for place, names in (
            ("mounted", {"CAP_DAC_READ_SEARCH"}),
            ("not mounted", {"CAP_SYS_ADMIN"}),
        )
    ),
    *(
        Case(
            f"without {capability}, tracefs {place}",
            "events -d 100ms",
            77,
            f"not permitted: this needs {capability} ",
            f"sudo {TCPTRACE} events -d 100ms",
            _lacking(place, capability),
        )
        for place in PLACES
        for capability in sorted(NEEDED[place])
        if not (capability in IMPLIED and "CAP_SYS_ADMIN" in NEEDED[place])
    ),
    Case(
        "nobody, with a name to quote",
        "states --pid 1 -o '{}/my file'",
        77,
        "not permitted: this needs CAP_BPF",
        f"sudo {TCPTRACE} states --pid 1 -o '{{}}/my file'",
        lambda: [*MOUNTED, *nobody()],
    ),
    *(
        Case(
            f"{command}, without CAP_SYSLOG",
            command,
            77,
            r"not permitted: this needs CAP_SYSLOG \(",
            f"sudo {TCPTRACE} {command}",
            lambda: [*MOUNTED, *nobody(*NEEDED["mounted"])],
        )
        for command in ("drops --syn", "listeners")
    ),
    Case(
        "nobody, without the accept hook",
        "events --no-accept-hook",
        77,
        "not permitted: this needs CAP_BPF [^:]*, CAP_PERFMON [^:]*$",
        f"sudo {TCPTRACE} events --no-accept-hook",
        lambda: [*NOT_MOUNTED, *nobody()],
    ),
    Case("no BTF", "events", 69, "no BTF", "install linux-headers-", lambda: NO_BTF),
    Case("no BTF, states", "states", 69, "needs BTF", "CONFIG_DEBUG_INFO_BTF", lambda: NO_BTF),
    Case("a PID that is gone", f"--pid {gone()}", 1, "no process has the PID", "pgrep"),
    Case("one of two is gone", f"states --pid 1,{gone()}", 1, "no process has the PID", "pgrep"),
    Case("a namespace of a PID that is gone", f"--netns {gone()}", 1, "no process", "lsns"),
    Case("a bad value", "events --port 0", 2, "--port 0 is no port", "65535"),
    Case("too many sockets", "--sockets 16777217", 2, "--sockets 16777217 is too", "16777216"),
    Case("too many pages", "--buffer-pages 131072", 2, "--buffer-pages 131072 is too", "65536"),
    Case("-o is there", "events -o {}/old", 1, "{}/old exists", "--force"),
    Case("-w is there", "events -w {}/old", 1, "{}/old exists", "--force"),
    Case("record is there", "record {}/old", 1, "{}/old exists", "--force"),
    Case("-o in no directory", "-o {}/no/x", 1, "{}/no/x: No such file or dir", "place"),
    Case("-w in no directory", "-w {}/no/x", 1, "{}/no/x: No such file or dir", "place"),
    Case("-o is a directory", "-o {}", 1, "{}: Is a directory", "place"),
    Case("-o cannot be made", "-o /proc/x", 1, "/proc/x: No such file or dir", "place"),
    Case("a full device", "-o /dev/full", 1, "/dev/full: No space left on device", "room"),
    Case("a full recording", "record /dev/full", 1, "/dev/full: No space left on device", "room"),
    Case("no ready file", "--ready-file {}/no/x", 1, "--ready-file {}/no/x: No such", "place"),
]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_an_error_has_its_status_a_line_of_cause_and_a_line_of_advice(
    case: Case, tmp_path: Path
) -> None:
    def fill(text: str) -> str:
        return text.replace("{}", str(tmp_path))

    (tmp_path / "old").write_text("old")
    done = run(*shlex.split(fill(case.line)), prefix=case.prefix())
    lines = done.stderr.splitlines()
    # a session that had begun says what its hooks cost, and what is off, before it fails
    cause, hint = lines[-2:]
    assert done.returncode == case.status, done.stderr
    begun = r"\w+( and \w+)*: by \w+, |off: [\w, ]+: each needs BTF"
    assert all(re.match(begun, notice) for notice in lines[:-2]), done.stderr
    assert cause.startswith("tcptrace: ")
    assert re.search(fill(case.cause).replace("+", r"\+"), cause)
    assert hint.startswith("  ")
    assert fill(case.hint) in hint
    if case.status == 77:
        assert hint == "  " + fill(case.hint), "the very line to paste"
    assert "Traceback" not in done.stderr
    assert "libbpf: " not in done.stderr
    assert (tmp_path / "old").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["old"], "it left a file behind"


@pytest.mark.parametrize("name", ["nobody, tracefs mounted", "no BTF", "-o is there"])
def test_with_v_the_traceback_comes_first_and_the_two_lines_last(name: str, tmp_path: Path) -> None:
    (case,) = [case for case in CASES if case.name == name]
    (tmp_path / "old").touch()
    line = shlex.split(case.line.replace("{}", str(tmp_path)))
    done = run(*line, "-v", prefix=case.prefix())
    assert done.returncode == case.status
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-2].startswith("tcptrace: ")


def test_the_first_process_can_be_traced() -> None:
    done = run("states", "--pid", "1", "-d", "100ms")
    assert done.returncode == 0, done.stderr


# --- permission -----------------------------------------------------------------


def test_the_sudo_line_is_one_that_works() -> None:
    done = run("events", "-d", "100ms", "--port", "9", prefix=[*MOUNTED, *nobody()])
    sudo, *pasted = shlex.split(done.stderr.splitlines()[-1])
    assert sudo == "sudo"
    assert subprocess.run(pasted, capture_output=True, cwd="/").returncode == 0


def test_started_as_a_module_the_sudo_line_is_of_the_module() -> None:
    done = subprocess.run(
        [*MOUNTED, *nobody(), *COMMAND, "states"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 77
    assert done.stderr.splitlines()[-1] == f"  sudo {sys.executable} -m tracer states"


def _told_needed(prefix: list[str]) -> dict[str, bool]:
    """The needed capabilities by `doctor -j`, and whether it has them."""
    done = run("doctor", "-j", prefix=prefix)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    return {r["name"]: r["have"] for r in records if r["kind"] == "capability" and r["needed"]}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("command", ["events", "states"])
def test_the_list_that_doctor_gives_is_all_that_is_needed(place: str, command: str) -> None:
    needed = set(_told_needed(PLACES[place]))
    assert needed == NEEDED[place]
    with _listener() as port:
        arguments = [command, "--port", str(port), "-d", "100ms"]
        done = run(*arguments, prefix=[*PLACES[place], *nobody(*needed)])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["drops", "listeners"])
def test_what_lies_in_the_kernels_code_is_found_with_one_more(command: str) -> None:
    prefix = [*MOUNTED, *nobody(*NEEDED["mounted"], "CAP_SYSLOG")]
    done = run(command, "-d", "100ms", prefix=prefix)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("place", PLACES)
def test_doctor_works_without_any_and_tells_which_are_missing(place: str) -> None:
    told = _told_needed([*PLACES[place], *nobody()])
    assert set(told) == NEEDED[place]
    assert not any(told.values())


def test_doctor_calls_nothing_impossible_that_it_was_not_permitted_to_try() -> None:
    done = run("doctor", "-j", prefix=nobody())
    probes = [r for r in map(json.loads, done.stdout.splitlines()) if r["kind"] == "probe"]
    assert {r["status"] for r in probes} == {"unknown"}
    assert all("CAP_BPF" in r["why"] for r in probes)
    assert "sudo tcptrace doctor" in run("doctor", prefix=nobody()).stdout


def test_without_the_accept_hook_two_capabilities_are_enough() -> None:
    prefix = [*NOT_MOUNTED, *nobody("CAP_BPF", "CAP_PERFMON")]
    done = run("events", "--no-accept-hook", "--port", "9", "-d", "100ms", prefix=prefix)
    assert done.returncode == 0, done.stderr


def test_doctor_says_in_its_own_words_that_there_is_no_btf() -> None:
    done = run("doctor", prefix=NO_BTF)
    assert done.returncode == 0
    assert "BTF: not there; `events` alone is served, through BCC" in done.stdout
    package = f"apt-get install linux-headers-{os.uname().release}"
    assert f"headers: not there; install them: {package}" in done.stdout
    assert "libbpf: " not in done.stderr


@contextmanager
def _listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


# --- full disks -----------------------------------------------------------------


def _fill(tmp_path: Path, size: str, *arguments: str) -> subprocess.Popen[str]:
    """Trace into `room/kept` on a small disk nobody else sees; then `kept` is a copy of it."""
    room = tmp_path / "room"
    room.mkdir()
    steps = f"""
        mount -t tmpfs -o size={size} none {room}
        status=0
        "$@" || status=$?
        cp {room}/kept {tmp_path}/kept
        exit $status
    """
    return subprocess.Popen(
        [*IN_MOUNTS, steps, "sh", *COMMAND, *arguments, "--ready-file", str(tmp_path / "ready")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def _connect_until_it_ends(tmp_path: Path, process: subprocess.Popen[str]) -> tuple[str, str]:
    wait_until((tmp_path / "ready").exists, "the tracer to be ready")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def connect() -> bool:
            for _ in range(100):
                with socket.create_connection(server.getsockname()):
                    server.accept()[0].close()
            return process.poll() is not None

        wait_until(connect, "the disk to be full")
    return process.communicate()


def test_a_full_disk_ends_with_1_and_keeps_the_whole_lines_gathered(tmp_path: Path) -> None:
    kept = tmp_path / "room" / "kept"
    process = _fill(tmp_path, "64k", "events", "-j", "-o", str(kept))
    _, stderr = _connect_until_it_ends(tmp_path, process)
    assert process.returncode == 1
    cause, hint = stderr.splitlines()[-2:]
    assert cause == f"tcptrace: cannot write to {kept}: No space left on device"
    assert "what was written before is there" in hint
    text = (tmp_path / "kept").read_text()
    assert text.endswith("\n")
    assert len([json.loads(line) for line in text.splitlines()]) > 10


RECORDING = pytest.mark.parametrize("command", [["record"], ["events", "-o", "/dev/null", "-w"]])


@RECORDING
def test_a_disk_that_becomes_full_leaves_a_recording_that_can_be_shown(
    tmp_path: Path, command: list[str]
) -> None:
    """It ends before there is nothing left: test_parts.py has how much."""
    kept = tmp_path / "room" / "kept"
    process = _fill(tmp_path, "32m", *command, str(kept))
    _, stderr = _connect_until_it_ends(tmp_path, process)
    assert process.returncode == 0, stderr
    assert f"the disk of {kept} is nearly full: recording ends" in stderr.splitlines()
    shown = run("events", "-j", "-r", str(tmp_path / "kept"))
    assert shown.returncode == 0
    assert len([json.loads(line) for line in shown.stdout.splitlines()]) > 100


@RECORDING
def test_a_disk_without_room_for_the_begin_of_a_recording_ends_it_with_1(
    tmp_path: Path, command: list[str]
) -> None:
    kept = tmp_path / "room" / "kept"
    process = _fill(tmp_path, "16k", *command, str(kept))
    _, stderr = _connect_until_it_ends(tmp_path, process)
    assert process.returncode == 1
    cause, hint = stderr.splitlines()[-2:]
    assert cause == f"tcptrace: cannot write to {kept}: No space left on device"
    assert "what was written before can be shown" in hint


def test_standard_output_that_is_full_ends_with_1() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "events"], stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
    assert done.returncode == 1
    assert "cannot write to standard output: No space left on device" in done.stderr


# --- a terminal that is gone ----------------------------------------------------


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _take_terminal_and_ignore_its_end() -> None:
    _take_terminal()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


@pytest.mark.parametrize("arguments", [["events"], ["states"], ["record", "{}/kept"]])
@pytest.mark.parametrize("prepare", [_take_terminal, _take_terminal_and_ignore_its_end])
def test_a_terminal_that_hangs_up_ends_a_session_quietly(
    tmp_path: Path, arguments: list[str], prepare: Callable[[], None]
) -> None:
    if prepare is _take_terminal_and_ignore_its_end:
        arguments = [*arguments, "-d", "1"]  # nobody else would end it
    ready = tmp_path / "ready"
    line = [*COMMAND, *(a.replace("{}", str(tmp_path)) for a in arguments), "--ready-file"]
    master, slave = pty.openpty()
    with _listener() as port:
        process = subprocess.Popen(
            [*line, str(ready), "--port", str(port)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=ROOT,
            start_new_session=True,
            preexec_fn=prepare,
        )
        os.close(slave)
        try:
            wait_until(ready.exists, "the tracer to be ready")
            os.close(master)
            socket.create_connection(("127.0.0.1", port)).close()
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()
            process.wait()


# --- hostile names --------------------------------------------------------------

HOSTILE = "\x1b[31m[red]x"


@pytest.fixture(scope="module")
def hostile() -> Iterator[Program]:
    with Program(HOSTILE) as program:
        yield program


def _converse(program: Program) -> int:
    port = int(program.do("bind", name="listener", address="127.0.0.1")["port"])
    program.do("listen", name="listener")
    program.do("connect", name="client", address="127.0.0.1", port=port)
    program.do("accept", name="server", listener="listener")
    for name in ("client", "server", "listener"):
        program.do("close", name=name)
    return port


@pytest.mark.parametrize("command", ["events", "states"])
def test_a_hostile_name_reaches_no_table_raw(hostile: Program, command: str) -> None:
    with Tracer(command, "--pid", str(hostile.pid), json=False) as tracer:
        _converse(hostile)
    tracer.stop()
    assert "\x1b" not in tracer.stdout + tracer.stderr
    assert r"\x1b[31m[red]x" in tracer.stdout


@pytest.mark.parametrize("command", ["events", "states"])
def test_a_hostile_name_is_escaped_in_json_and_comes_back_whole(
    hostile: Program, command: str
) -> None:
    with Tracer(command, "--pid", str(hostile.pid)) as tracer:
        _converse(hostile)
    records = tracer.stop()
    assert "\x1b" not in tracer.stdout
    assert {r["comm"] for r in records if r["pid"] == hostile.pid} == {HOSTILE}


def test_a_hostile_name_is_safe_in_a_replay_too(hostile: Program, tmp_path: Path) -> None:
    path = tmp_path / "hostile.rec"
    with Tracer("record", str(path), "--pid", str(hostile.pid), json=False):
        _converse(hostile)
    for command in ("events", "states"):
        done = run(command, "-r", str(path), "--color", "always")
        assert "\x1b[31m[red]x" not in done.stdout
        assert r"\x1b[31m[red]x" in done.stdout
