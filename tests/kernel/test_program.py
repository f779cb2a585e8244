"""`-- PROGRAM`: what runs is traced from its first socket to its last follower, and left alone."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, namespace, wait_until
from tests.programs.places import ADDRESS, PORT, server_in
from tests.programs.reading import CHILD_LIFE, CLIENT_LIFE, step
from tests.schemas import checked

pytestmark = pytest.mark.kernel

OWN, CHILDREN = 53, (101, 57)
ALL = OWN + sum(CHILDREN)  # 211
BURST_STATUS = 3
CLOSING = re.compile(r"(\d+) seen, (\d+) matched, (\d+) lost in .*")


def run(
    *line: str,
    stdin: str = "",
    env: dict[str, str] | None = None,
    pass_fds: tuple[int, ...] = (),
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *line],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        env=env,
        pass_fds=pass_fds,
    )


@pytest.fixture(scope="module")
def space() -> Iterator[Namespace]:
    with namespace() as made, server_in(made) as server:
        server.tell("serve", listener="l")
        yield made
        server.stop()


def burst(space: Namespace, *more: str) -> list[str]:
    """The command that makes ALL connections in this namespace."""
    counts = [str(count) for count in (OWN, *CHILDREN)]
    program = str(ROOT / "tests/programs/burst.py")
    return [*space.enter, sys.executable, program, ADDRESS, str(PORT), *counts, *more]


def said(stdout: str) -> dict[int, list[int]]:
    """Ports by PID, as the processes told them."""
    found = [json.loads(line) for line in stdout.splitlines()]
    return {facts["pid"]: facts["ports"] for facts in found}


def records(stderr: str) -> list[Record]:
    return checked(line for line in stderr.splitlines() if line.startswith("{"))


def counts(stderr: str) -> tuple[int, int]:
    """matched and lost of the closing line."""
    found = [match for line in stderr.splitlines() if (match := CLOSING.fullmatch(line))]
    return int(found[-1][2]), int(found[-1][3])


# --- what it is given, and what becomes of it -----------------------------------


def test_its_output_is_its_own_and_results_go_to_standard_error() -> None:
    done = run("-j", "--", "sh", "-c", "echo hi")
    assert (done.stdout, done.returncode) == ("hi\n", 0)
    assert counts(done.stderr) == (0, 0)


def test_its_input_is_its_own() -> None:
    text = "one\ntwo\n" * 5000
    assert run("-q", "states", "--", "cat", stdin=text).stdout == text


@pytest.mark.parametrize("status", [0, 1, 7, 125, 255])
def test_its_exit_status_is_ours(status: int) -> None:
    assert run("--", "sh", "-c", f"exit {status}").returncode == status


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_ended_it_is_128_and_the_number(number: signal.Signals) -> None:
    assert run("--", "sh", "-c", f"kill -{number:d} $$").returncode == 128 + number


def _files(path: Path) -> dict[str, Path]:
    files = {name: path / name for name in ("plain", "broken", "lost", "folder", "through")}
    files["plain"].write_text("#!/bin/sh\n")
    files["broken"].write_bytes(b"\x7fELF but not really")
    files["lost"].write_text("#!/no/such/shell\n")
    files["folder"].mkdir()
    for name in ("broken", "lost"):
        files[name].chmod(0o755)
    files["through"] = files["plain"] / "x"
    return files


@pytest.mark.parametrize(
    ("name", "status", "cause"),
    [
        ("plain", 126, "Permission denied"),
        ("folder", 126, "Permission denied"),
        ("broken", 126, "Exec format error"),
        ("lost", 127, "No such file"),
        ("through", 127, "No such file"),
        ("", 127, "No such file"),
        ("no-such-program-anywhere", 127, "No such file"),
        ("./no-such-program", 127, "No such file"),
    ],
)
def test_what_cannot_be_run_is_126_and_what_is_not_there_127(
    tmp_path: Path, name: str, status: int, cause: str
) -> None:
    file = str(_files(tmp_path).get(name, name))
    done = run("events", "-o", str(tmp_path / "results"), "--", file)
    assert done.returncode == status
    told = done.stderr.splitlines()[-2:]
    assert told[0].startswith(f"tcptrace: {file!r} cannot be run: {cause}")
    assert told[1].startswith("  ")
    assert not (tmp_path / "results").exists() or name in ("broken", "lost")


def test_a_name_is_looked_for_as_its_own_path_says(tmp_path: Path) -> None:
    made = tmp_path / "program-of-this-test"
    made.write_text("#!/bin/sh\nexit 11\n")
    made.chmod(0o755)
    path = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert run("--", made.name, env=path).returncode == 11
    assert run("--", made.name).returncode == 127


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (["events", "--pid", "4194303"], 1),
        (["events", "-o", "/no/such/folder/x"], 1),
        (["record", "/no/such/folder/x"], 1),
        (["--ready-file", "/no/such/folder/x"], 1),
        (["events", "-r", "x"], 2),
        (["doctor"], 2),
        (["schema"], 2),
        (["events", "--port", "x"], 2),
    ],
    ids=str,
)
def test_if_tracing_cannot_start_it_is_not_started(
    tmp_path: Path, line: list[str], status: int
) -> None:
    done = run(*line, "--", "touch", str(tmp_path / "ran"))
    assert done.returncode == status, done.stderr
    assert not (tmp_path / "ran").exists()


def test_without_permission_to_trace_it_is_not_started(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    line = [*as_nobody, *COMMAND, "--", "touch", str(tmp_path / "ran")]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 77
    assert not (tmp_path / "ran").exists()


# --- what it inherits -----------------------------------------------------------

LOOK = (
    "ls -l /proc/self/fd | tail -n +2 | awk '{print $(NF-2)}'; tr '\\0' '\\n' </proc/self/environ"
)
SIGNALS = "grep -E '^(Sig(Blk|Ign|Cgt)|Cap|Seccomp|NoNewPrivs)' /proc/self/status; ulimit -a; umask"


@pytest.mark.parametrize("look", [LOOK, SIGNALS], ids=["descriptors and environment", "signals"])
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_it_finds_what_it_would_find_without_us(look: str, locale: str) -> None:
    program = ["sh", "-c", look]
    environment = {"PATH": os.environ["PATH"], "LC_ALL": locale, "PWD": str(ROOT), "ODD": "a\tb="}
    if locale == "C":
        del environment["LC_ALL"]  # Python sets LC_CTYPE where nothing says what it is
    alone = subprocess.run(program, capture_output=True, text=True, cwd=ROOT, env=environment)
    traced = run("-q", "--", *program, env=environment)
    assert traced.stdout == alone.stdout != ""


def test_descriptors_that_are_handed_to_us_are_handed_on() -> None:
    mine, other = os.pipe()
    with os.fdopen(mine) as reader:
        run("-q", "--", "bash", "-c", f"echo through >&{other}", pass_fds=(other,))
        os.close(other)
        assert reader.read() == "through\n"


USER = "import json, os; print(json.dumps([os.getresuid(), os.getresgid(), sorted(os.getgroups()), "
USER += "{n: os.environ.get(n) for n in ('HOME', 'USER', 'LOGNAME', 'SHELL')}]))"


def _as_sudo(tmp_path: Path, **given: str) -> subprocess.CompletedProcess[str]:
    """Run where the users are those of this test, told by these variables who called sudo."""
    (tmp_path / "passwd").write_text(
        "root:x:0:0::/root:/bin/sh\nmaria:x:4211:4212::/home/maria:/bin/dash\n"
    )
    (tmp_path / "group").write_text(
        "root:x:0:\nmaria:x:4212:\nweb:x:4213:maria\nlogs:x:4217:other,maria\nelse:x:4219:\n"
    )
    script = (
        f"mount --bind {tmp_path}/passwd /etc/passwd; mount --bind {tmp_path}/group /etc/group;"
        ' exec "$@"'
    )
    environment = {**os.environ, "HOME": "/root", "USER": "root", "LOGNAME": "root", **given}
    line = ["unshare", "--mount", "sh", "-ec", script, "sh", *COMMAND, "-q", "--"]
    return subprocess.run(
        [*line, "/usr/bin/python3", "-c", USER],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=60,
    )


MARIA = {"HOME": "/home/maria", "USER": "maria", "LOGNAME": "maria", "SHELL": "/bin/dash"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"SUDO_UID": "4211", "SUDO_GID": "4212"}, [4211, 4212, [4212, 4213, 4217], MARIA]),
        ({"SUDO_UID": "4211"}, [4211, 4212, [4212, 4213, 4217], MARIA]),
        ({"SUDO_UID": "4777", "SUDO_GID": "4778"}, [4777, 4778, [4778], {"HOME": "/"}]),
        ({"SUDO_UID": "0", "SUDO_GID": "0"}, [0, 0, None, {"HOME": "/root", "USER": "root"}]),
        ({}, [0, 0, None, {"HOME": "/root", "USER": "root"}]),
    ],
    ids=["by sudo", "without a group", "no such user", "root's sudo", "no sudo"],
)
def test_it_runs_as_whoever_called_sudo(
    tmp_path: Path, given: dict[str, str], expected: list[object]
) -> None:
    done = _as_sudo(tmp_path, **given)
    assert done.returncode == 0, done.stderr
    uids, gids, groups, variables = json.loads(done.stdout)
    assert uids == [expected[0]] * 3
    assert gids == [expected[1]] * 3
    assert expected[2] in (None, groups)
    assert isinstance(expected[3], dict)
    assert {name: variables[name] for name in expected[3]} == expected[3]


@pytest.mark.parametrize(
    "given",
    [{"SUDO_UID": "maria"}, {"SUDO_UID": "-1"}, {"SUDO_UID": "4294967295"}, {"SUDO_UID": ""}],
)
def test_where_it_is_not_known_who_called_sudo_nothing_is_run(
    tmp_path: Path, given: dict[str, str]
) -> None:
    done = _as_sudo(tmp_path, **given)
    assert (done.returncode, done.stdout) == (1, "")
    assert "SUDO_UID" in done.stderr


def test_capabilities_given_for_tracing_are_not_handed_on() -> None:
    needed = "+bpf,+perfmon,+dac_read_search,+sys_admin,+sys_ptrace"
    caps = [f"--inh-caps=-all,{needed}", f"--ambient-caps=-all,{needed}"]
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *caps]
    line = [*prefix, *COMMAND, "-q", "--", "grep", "-E", "^Cap(Eff|Prm|Amb)", "/proc/self/status"]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["0" * 16] * 3


# --- what is seen of it ---------------------------------------------------------


@pytest.mark.parametrize("orphans", [[], ["orphans"]], ids=["waited for", "outliving it"])
def test_every_event_of_a_program_and_its_children_that_exit_at_once_is_told(
    space: Namespace, orphans: list[str]
) -> None:
    before = space.counters()
    done = run("events", "-j", "--kind", "state", "--", *burst(space, *orphans))
    made = said(done.stdout)
    assert done.returncode == BURST_STATUS
    assert sorted(map(len, made.values())) == sorted((OWN, *CHILDREN))
    assert space.counters()["TcpActiveOpens"] - before["TcpActiveOpens"] == ALL
    found = Counter((r["pid"], step(r)) for r in records(done.stderr))
    assert found == {(pid, name): len(made[pid]) for pid in made for name in CLIENT_LIFE}
    assert counts(done.stderr) == (ALL * len(CLIENT_LIFE), 0)


@pytest.mark.parametrize("command", ["events", "record"])
def test_a_recording_of_it_shows_every_event_of_it(
    space: Namespace, tmp_path: Path, command: str
) -> None:
    path = str(tmp_path / "a.rec")
    line = ["record", path] if command == "record" else ["-w", path, "events", "-o", "-"]
    done = run(*line, "--", *burst(space))
    assert done.returncode == BURST_STATUS
    made = said("\n".join(line for line in done.stdout.splitlines() if line.startswith("{")))
    again = run("events", "-j", "-r", path)
    found = Counter(r["pid"] for r in records(again.stdout) if r["kind"] == "state")
    assert found == {pid: len(ports) * len(CLIENT_LIFE) for pid, ports in made.items()}


def test_its_handshakes_are_counted(space: Namespace) -> None:
    done = run("handshakes", "-j", "--by", "pid", "--", *burst(space))
    made = said(done.stdout)
    shown = [r for r in records(done.stderr) if r["kind"] == "handshake_summary" and r["attempts"]]
    assert {r["pid"]: r["outcomes"] for r in shown} == {
        pid: {"ok": len(ports)} for pid, ports in made.items()
    }


def test_its_states_are_counted(space: Namespace) -> None:
    done = run("states", "-j", "--", *burst(space))
    made = said(done.stdout)
    shown = [r for r in records(done.stderr) if r["kind"] == "state_summary" and r["pid"] in made]
    assert {r["pid"]: (r["opened"], r["closed"]) for r in shown} == {
        pid: (len(ports), len(ports)) for pid, ports in made.items()
    }
    assert counts(done.stderr) == (ALL * len(CLIENT_LIFE), 0)


SERVE = """
import os, socket, sys
with socket.create_server(("127.0.0.1", 7013)) as server:
    client = os.fork()
    for _ in range(211):
        if client:
            server.accept()[0].close()
        else:
            with socket.create_connection(("127.0.0.1", 7013)) as made:
                made.recv(1)
if client:
    print(os.getpid())
    sys.stdout.flush()
    os._exit(os.waitstatus_to_exitcode(os.waitpid(client, 0)[1]))
"""


def serve(space: Namespace) -> list[str]:
    return [*space.enter, sys.executable, "-c", SERVE]


def test_what_it_accepts_is_counted(space: Namespace) -> None:
    done = run("accepts", "-j", "--", *serve(space))
    shown = [r for r in records(done.stderr) if r["kind"] == "accept_summary" and r["accepts"]]
    assert [(r["pid"], r["listener_port"], r["accepts"]) for r in shown] == [
        (int(done.stdout), 7013, 211)
    ]


def test_its_listeners_are_told_of_though_they_are_closed(space: Namespace) -> None:
    done = run("listeners", "-j", "--", *serve(space))
    shown = [r for r in records(done.stderr) if r["kind"] == "listener"]
    assert [(r["listener_port"], r["accepts"]) for r in shown] == [(7013, 211)]


@pytest.mark.parametrize(
    "line",
    [
        *([], ["events"], ["states"], ["handshakes"], ["handshakes", "--failed"], ["accepts"]),
        *(["listeners"], ["drops", "--syn"], ["states", "-i", "50ms"], ["events", "-f", "csv"]),
    ],
    ids=" ".join,
)
def test_every_command_that_traces_runs_it(space: Namespace, line: list[str]) -> None:
    done = run(*line, "--", *serve(space))
    assert (done.returncode, len(done.stdout.split())) == (0, 1), done.stderr
    assert "lost in" in done.stderr
    quiet = run(*line, "-o", "-", "-q", "--", "true")
    assert (quiet.returncode, quiet.stderr) == (0, "")


def test_it_is_seen_beside_the_processes_of_pid_to_the_last_of_both(space: Namespace) -> None:
    port = PORT + 1
    with server_in(space, port) as server:
        server.tell("serve", listener="l")
        script = f"exec 3<>/dev/tcp/{ADDRESS}/{port}; echo >&3; read -r _ <&3; echo $$; exit 4"
        line = ["events", "-j", "--kind", "state", "--pid", str(server.pid), "--port", str(port)]
        with subprocess.Popen(
            [*COMMAND, *line, "--", *space.enter, "bash", "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        ) as process:
            assert process.stdout
            client = int(process.stdout.readline())
            wait_until(lambda: not Path(f"/proc/{client}").exists(), "the program's end")
            assert process.poll() is None
            server.stop()
            server.end()
            _, stderr = process.communicate(timeout=20)
    assert process.returncode == 4
    found = Counter((r["pid"], step(r)) for r in records(stderr) if r["rport"])
    assert found == Counter(
        [(client, name) for name in CLIENT_LIFE]
        + [(server.pid, name) for name in CHILD_LIFE if name != "accept"]
    )


RELAY = f"""
import os, socket, time
end = time.monotonic() + 1.5
while time.monotonic() < end:
    if os.fork():
        os._exit(0)
socket.socket().connect_ex(("{ADDRESS}", {PORT}))
"""


def test_followers_that_are_born_while_it_is_looked_who_lives_are_followed(
    space: Namespace,
) -> None:
    """Each ends as its child begins: whoever looks finds nobody for long, and most often none."""
    done = run("handshakes", "-j", "--", *space.enter, sys.executable, "-c", RELAY)
    (told,) = [r for r in records(done.stderr) if r["kind"] == "handshake_summary"]
    assert told["attempts"] == 1


def test_without_follow_its_children_are_not_seen(space: Namespace) -> None:
    done = run("events", "-j", "--kind", "state", "--no-follow", "--", *burst(space))
    own = [pid for pid, ports in said(done.stdout).items() if len(ports) == OWN]
    found = Counter(r["pid"] for r in records(done.stderr))
    assert found == {own[0]: OWN * len(CLIENT_LIFE)}


# --- when it ends, and when we do -----------------------------------------------


@pytest.mark.parametrize("option", [["-d", "100ms"], ["-c", "1"]], ids=" ".join)
def test_the_end_of_tracing_is_not_its_end(space: Namespace, option: list[str]) -> None:
    script = f"exec 3<>/dev/tcp/{ADDRESS}/{PORT}; read -r _; exit 9"
    line = [*COMMAND, "events", *option, "--", *space.enter, "bash", "-c", script]
    with subprocess.Popen(
        line, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdin
        assert process.stderr
        told = iter(process.stderr.readline, "")
        assert any("tracing has ended" in line for line in told)
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(20) == 9


@pytest.mark.parametrize("where", [["-o", "-"], []], ids=["stdout", "stderr"])
def test_a_reader_that_goes_ends_the_tracing_quietly_and_not_the_program(
    space: Namespace, tmp_path: Path, where: list[str]
) -> None:
    program = ["sh", "-c", 'exec "$@" >/dev/null', "sh", *burst(space)]
    line = [*COMMAND, "-q", "events", *where, "--", *program]
    pipe = "|" if where else "2>&1 >/dev/null |"
    script = f'{{ "$@"; echo $? > {tmp_path}/status; }} {pipe} head -1 >/dev/null'
    done = subprocess.run(
        ["bash", "-c", script, "sh", *line], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.stderr == ""
    assert int((tmp_path / "status").read_text()) == BURST_STATUS


class Running:
    """A tcptrace with a program that says which signals it gets, and ends when told."""

    # a thread that waits for them, as a handler of Python's waits for a read to return
    SCRIPT = """
import os, signal, sys, threading
names = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]
signal.pthread_sigmask(signal.SIG_BLOCK, names)
def listen():
    while True:
        os.write(1, signal.Signals(signal.sigwait(names)).name.encode() + b"\\n")
threading.Thread(target=listen, daemon=True).start()
os.write(1, b"%d\\n" % os.getpid())
sys.stdin.readline()
sys.exit(5)
"""

    def __init__(self, *options: str) -> None:
        program = [sys.executable, "-c", self.SCRIPT]
        self.process = subprocess.Popen(
            [*COMMAND, "events", *options, "--", *program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self.process.stdout
        self.pid = int(self.process.stdout.readline())

    def hears(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def end(self) -> int:
        self.process.communicate("\n", timeout=20)
        return self.process.returncode


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGINT"])
def test_a_signal_that_was_sent_to_us_is_passed_on(name: str) -> None:
    running = Running()
    running.process.send_signal(signal.Signals[name])
    assert running.hears() == name
    assert running.end() == 5


def test_a_second_ctrl_c_ends_us_at_once() -> None:
    running = Running()
    running.process.send_signal(signal.SIGINT)
    assert running.hears() == "SIGINT"

    def again() -> int | None:
        running.process.send_signal(signal.SIGINT)
        return running.process.poll()

    assert wait_until(again, "its end") == 130
    assert Path(f"/proc/{running.pid}").exists(), "the program goes on"
    assert running.process.stdin
    running.process.stdin.close()
    wait_until(lambda: not Path(f"/proc/{running.pid}").exists(), "the program's end")


def programs_of(pid: int) -> set[str]:
    """Ids of the eBPF programs that this process has descriptors of."""
    found = set()
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        with suppress(FileNotFoundError):  # one that was closed meanwhile
            found |= set(re.findall(r"^prog_id:\s+(\d+)$", path.read_text(), re.MULTILINE))
    return found


def is_loaded(program: str) -> bool:
    shown = subprocess.run(["bpftool", "prog", "show", "id", program], capture_output=True)
    return shown.returncode == 0


def test_killed_we_leave_the_program_running_and_untraced() -> None:
    running = Running()
    loaded = programs_of(running.process.pid)
    assert loaded
    assert all(map(is_loaded, loaded))
    assert not programs_of(running.pid)
    running.process.kill()
    running.process.wait(20)
    wait_until(lambda: not any(map(is_loaded, loaded)), "the eBPF programs' end")
    assert Path(f"/proc/{running.pid}").exists()
    assert running.process.stdin
    running.process.stdin.close()
    wait_until(lambda: not Path(f"/proc/{running.pid}").exists(), "the program's end")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_ended_before_all_is_attached_it_never_runs(tmp_path: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [*COMMAND, "--", "touch", str(tmp_path / "ran")], stderr=subprocess.DEVNULL, cwd=ROOT
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    child = wait_until(lambda: children.read_text().split(), "the process that waits")[0]
    process.send_signal(number)
    assert process.wait(20) in (-number, 128 + number)
    wait_until(lambda: not Path(f"/proc/{child}").exists(), "the end of what waited")
    assert not (tmp_path / "ran").exists()


def test_ended_before_it_began_it_is_told_by_which_signal(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "--", "touch", str(tmp_path / "ran")],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    child = wait_until(lambda: children.read_text().split(), "the process that waits")[0]
    os.kill(int(child), signal.SIGKILL)
    process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGKILL
    assert not (tmp_path / "ran").exists()


def test_what_it_left_behind_is_traced_until_ctrl_c(space: Namespace) -> None:
    script = "sleep 1000 & echo $!"
    process = subprocess.Popen(
        [*COMMAND, "-q", "--", "sh", "-c", script + "; exit 6"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout
    left = int(process.stdout.readline())
    status = Path(f"/proc/{left}/status")
    wait_until(lambda: f"PPid:\t{process.pid}" not in status.read_text(), "the program's end")
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    wait_until(lambda: not children.read_text(), "the program to be known as ended")
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 6
    assert status.exists()
    os.kill(left, signal.SIGKILL)


# --- on a terminal --------------------------------------------------------------

PTY = """
import os, pty, signal, sys
ready, begin = os.pipe()
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
text = b""
while b"go" not in text:
    text += os.read(terminal, 4096)
for key in (b"\\x03", b"bye\\n"):
    os.write(terminal, key)
    while (b"SIGINT" if key == b"\\x03" else b"ended") not in text:
        text += os.read(terminal, 4096)
os.write(1, text)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
ON_TERMINAL = """
import os, signal, sys, time
count = 0
def say(number, frame):
    global count
    count += 1
    print("SIGINT", flush=True)
signal.signal(signal.SIGINT, say)
print(os.getpgrp() == os.getpgid(os.getppid()) == os.tcgetpgrp(0), os.isatty(1), "go", flush=True)
print(sys.stdin.readline().strip(), count, "ended", flush=True)
sys.exit(8)
"""


def test_on_a_terminal_it_shares_our_group_and_gets_ctrl_c_once() -> None:
    line = [*COMMAND, "-q", "--", sys.executable, "-c", ON_TERMINAL]
    done = subprocess.run(
        [sys.executable, "-c", PTY, *line], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert "True True go" in done.stdout
    assert "bye 1 ended" in done.stdout
    assert "\x1b[" not in done.stdout, "no full screen"
    assert done.returncode == 8, done.stderr


def test_a_shell_on_a_terminal_has_job_control() -> None:
    script = """
import os, pty, sys, time
pid, terminal = pty.fork()
if pid == 0:
    os.environ["PS1"] = "prompt$ "
    os.execvp(sys.argv[1], sys.argv[1:])
text = b""
def wait(what):
    global text
    while what not in text:
        text += os.read(terminal, 4096)
    text = text.partition(what)[2]
wait(b"prompt$ ")
shell = os.tcgetpgrp(terminal)
os.write(terminal, b"sleep 1000\\n")
def runs():
    group = os.tcgetpgrp(terminal)
    return group != shell and open(f"/proc/{group}/comm").read() == "sleep\\n"
while not runs():
    time.sleep(0.01)
os.write(terminal, b"\\x1a")
wait(b"Stopped")
os.write(terminal, b"kill -KILL %1; wait; echo do''ne\\n")
wait(b"done")
wait(b"prompt$ ")
# the first is refused by a shell that has not noticed yet that its stopped job is gone
os.write(terminal, b"exit 4\\nexit 4\\n")
try:
    while os.read(terminal, 4096):
        pass
except OSError:
    pass
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    line = [*COMMAND, "-q", "--", "bash", "--norc", "--noprofile", "-i"]
    done = subprocess.run(
        [sys.executable, "-c", script, *line], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.returncode == 4, done.stderr
