"""Every filter of every command: what matches is told, all of it, and nothing else is.

Three processes make the same known connections again and again: `apple` over IPv4 in one
namespace, a child of apple there as well, and `pear` over IPv6 in another. What a filter ought to
leave is read from one recording without filters, record by record, by the table below.

For the commands that sum up attempts, accepts, queues, drops and what is sent again each of the
three has a listener that connections are accepted from, that overflows and is closed, and one that
stays open; one of its answers is lost.
"""

from __future__ import annotations

import json
import pwd
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace, wait_until
from tests.programs.driver import Process, Program
from tests.programs.groups import control_group, enter
from tests.programs.losing import Losing
from tracer.cli.asked import KEYS

pytestmark = [pytest.mark.kernel, pytest.mark.timers]

APPLE_PORT, PEAR_PORT = 8001, 8002
Step = tuple[object, ...]
Steps = dict[int, Counter[Step]]  # by PID
OVER = ("st", "06", "07")  # /proc/net/tcp: its heading, TIME_WAIT, CLOSE
CLOSE_WAIT, LISTEN = "08", "0A"
EAST_PORTS, WEST_PORTS = "40000-49999", "50000-59999"  # of those who connect
NOBODY = pwd.getpwnam("nobody").pw_uid
DROPPED = 3  # SYNs to each listener, once it is full
ANSWER = 997  # bytes, in one packet; nothing else is as long


@dataclass
class Actors:
    """Who connects, and where."""

    apple: Program
    child: Process
    pear: Program
    east: Namespace
    west: Namespace
    group: Path = Path("/")  # the control group of apple and its child

    @property
    def pids(self) -> tuple[int, int, int]:
        return self.apple.pid, self.child.pid, self.pear.pid

    def play(self) -> None:
        """Make every connection once; all are at their ends when this returns."""
        _converse(self.apple, "127.0.0.1")
        _converse(self.child, "127.0.0.2")
        _be_cut_off(self.pear)
        for room in (self.east, self.west):
            wait_until(partial(_is_quiet, room), "all sockets to be closed")

    def crowd(self) -> None:
        """Connect, accept, be refused, overflow; each leaves one listener open: see `leave`."""
        _overflow(self.apple, "127.0.0.1", APPLE_PORT)
        _overflow(self.child, "127.0.0.2", APPLE_PORT)
        _overflow(self.pear, "::1", PEAR_PORT, self.west)
        _answer(self.apple, "127.0.0.1", APPLE_PORT)
        _answer(self.child, "127.0.0.2", APPLE_PORT)
        _answer(self.pear, "::1", PEAR_PORT, self.west)
        for process, address, port in (
            (self.apple, "127.0.0.1", APPLE_PORT),
            (self.child, "127.0.0.2", APPLE_PORT),
            (self.pear, "::1", PEAR_PORT),
        ):
            process.do("bind", name="standing", address=address, port=port)
            process.do("listen", name="standing")
        for room in (self.east, self.west):
            wait_until(partial(_is_quiet, room, *OVER, LISTEN), "all connections to be closed")

    def leave(self) -> None:
        """Close the listeners that stayed open."""
        for process in (self.apple, self.child, self.pear):
            process.do("close", name="standing")


def _converse(process: Process, address: str) -> None:
    """A connection accepted and closed in order: with LAST_ACK, and TIME_WAIT."""
    process.do("bind", name="listener", address=address, port=APPLE_PORT)
    process.do("listen", name="listener")
    process.do("connect", name="client", address=address, port=APPLE_PORT)
    process.do("accept", name="server", listener="listener")
    process.do("half_close", name="client")
    process.do("receive", name="server")
    process.do("close", name="server")
    process.do("receive", name="client")
    process.do("close", name="client")
    process.do("close", name="listener")


def _be_cut_off(process: Process) -> None:
    """One refused, one never accepted, reset with its listener: no accept, no LAST_ACK."""
    there = {"address": "::1", "port": PEAR_PORT}
    assert process.attempt("connect", name="refused", **there)["errno"] == "ECONNREFUSED"
    process.do("close", name="refused")
    process.do("bind", name="listener", address="::1", port=PEAR_PORT)
    process.do("listen", name="listener")
    process.do("connect", name="client", address="::1", port=PEAR_PORT)
    process.do("close", name="listener")
    assert process.attempt("receive", name="client")["errno"] == "ECONNRESET"
    process.do("close", name="client")


def _overflow(process: Process, address: str, port: int, late: Namespace | None = None) -> None:
    """An attempt refused, one accepted, one that fills the queue, and SYNs dropped at it.

    With `late`, what is accepted has heard by then that the other side sends no more.
    """
    there = {"address": address, "port": port}
    assert process.attempt("connect", name="refused", **there)["errno"] == "ECONNREFUSED"
    process.do("close", name="refused")
    process.do("bind", name="listener", **there)
    process.do("listen", name="listener", backlog=0)
    process.do("connect", name="client", **there)
    if late:
        process.do("half_close", name="client")
        wait_until(lambda: CLOSE_WAIT in _socket_states(late), "CLOSE_WAIT")
    process.do("accept", name="server", listener="listener")
    if not late:
        process.do("half_close", name="client")
    process.do("receive", name="server")
    process.do("close", name="server")
    process.do("receive", name="client")
    process.do("close", name="client")
    assert process.do("hold", **there, count=1)["failures"] == {}
    process.do("give_up", **there, count=DROPPED)
    process.do("close", name="listener")
    process.do("let_go")


def _answer(process: Process, address: str, port: int, late: Namespace | None = None) -> None:
    """Answer with a packet that is lost, and comes when it is sent again.

    With `late`, once it was heard that the other side sends no more.
    """
    process.do("bind", name="listener", address=address, port=port)
    process.do("listen", name="listener")
    process.do("connect", name="client", address=address, port=port)
    if late:
        process.do("half_close", name="client")
        wait_until(lambda: CLOSE_WAIT in _socket_states(late), "CLOSE_WAIT")
    process.do("accept", name="server", listener="listener")
    process.do("send", name="server", count=ANSWER)
    assert process.do("receive", name="client", count=ANSWER)["bytes"] == ANSWER
    for name in ("client", "server", "listener"):
        process.do("close", name=name)


def _socket_states(room: Namespace) -> list[str]:
    lines = room.run("cat", "/proc/net/tcp", "/proc/net/tcp6").splitlines()
    return [line.split()[3] for line in lines]


def _is_quiet(room: Namespace, *quiet: str) -> bool:
    return set(_socket_states(room)) <= set(quiet or OVER)


@dataclass(frozen=True)
class Filter:
    """A filter as typed, the records it ought to leave, and whose they are: apple, child, pear."""

    name: str
    given: Callable[[Actors], list[str]]
    leaves: Callable[[Record, Actors], bool]
    whose: tuple[bool, bool, bool] = (True, True, False)


def _port(port: int, *sides: str) -> Callable[[Record, Actors], bool]:
    return lambda record, actors: port in [record[side] for side in sides]


def _has_failed(record: Record) -> bool:
    if record["kind"] == "handshake":
        return bool(record["outcome"] != "ok")
    if record["kind"] == "accept":
        return record["errno"] is not None
    if record["kind"] == "connection":
        return bool(record["end"] != "fin")
    if record["kind"] in ("reset", "error"):
        return True
    return record["old"] in ("SYN_SENT", "SYN_RECV") and record["new"] == "CLOSE"


def _took(record: Record) -> float:
    """What is known of how long it took."""
    names = [
        f"{what}{bound}_us"
        for what in ("latency", "wait", "dwell", "duration")
        for bound in ("", "_at_least")
    ]
    return max(record.get(name) or 0 for name in names)


def _last_of(record: Record) -> str | None:
    """The state that a connection ended in, or that a RST or an error found it in."""
    if record["kind"] in ("reset", "error"):
        return str(record["state"])
    return next(reversed(record.get("states_us", {})), None)


FILTERS = (
    Filter(
        "--pid",
        lambda actors: ["--pid", str(actors.apple.pid)],
        lambda record, actors: record["pid"] in (actors.apple.pid, actors.child.pid),
    ),
    Filter(
        "--no-follow",
        lambda actors: ["--no-follow", "--pid", str(actors.apple.pid)],
        lambda record, actors: record["pid"] == actors.apple.pid,
        whose=(True, False, False),
    ),
    Filter(
        "--comm",
        lambda _: ["--comm", "a?p*,plum"],
        lambda record, actors: record["pid"] in (actors.apple.pid, actors.child.pid),
    ),
    Filter(
        "--cgroup",
        lambda actors: ["--cgroup", str(actors.group)],
        lambda record, actors: record["pid"] in (actors.apple.pid, actors.child.pid),
    ),
    Filter("--port", lambda _: ["--port", "8001"], _port(APPLE_PORT, "lport", "rport")),
    Filter("--lport", lambda _: ["--lport", "8001"], _port(APPLE_PORT, "lport")),
    Filter("--rport", lambda _: ["--rport", "8001"], _port(APPLE_PORT, "rport")),
    Filter(
        "--addr",
        lambda _: ["--addr", "127.0.0.0/8"],
        lambda record, _: any(str(record[end]).startswith("127.") for end in ("laddr", "raddr")),
    ),
    Filter(
        "--laddr",
        lambda _: ["--laddr", "127.0.0.2,10.0.0.0/8"],
        lambda record, _: record["laddr"] == "127.0.0.2",
        whose=(False, True, False),
    ),
    Filter(
        "--raddr",
        lambda _: ["--raddr", "127.0.0.2"],
        lambda record, _: record["raddr"] == "127.0.0.2",
        whose=(False, True, False),
    ),
    Filter(
        "--uid",
        lambda _: ["--uid", "nobody,12345"],
        lambda record, actors: record["pid"] == actors.pear.pid,
        whose=(False, False, True),
    ),
    Filter(
        "--exclude",
        lambda actors: ["--exclude", f"laddr=127.0.0.2,raddr=127.0.0.2,netns={actors.west.name}"],
        lambda record, actors: (
            record["netns"] != actors.west.inode
            and "127.0.0.2" not in (record["laddr"], record["raddr"])
        ),
        whose=(True, False, False),
    ),
    Filter(
        "--failed",
        lambda _: ["--failed"],
        lambda record, _: _has_failed(record),
        whose=(False, False, True),
    ),
    Filter(
        "--slower",
        lambda _: ["--slower", "0.001us"],
        lambda record, _: bool(_took(record)),
        whose=(True, True, True),
    ),
    Filter("-4", lambda _: ["-4"], lambda record, _: record["family"] == 4),
    Filter(
        "-6",
        lambda _: ["-6"],
        lambda record, _: record["family"] == 6,
        whose=(False, False, True),
    ),
    Filter(
        "--state",
        lambda _: ["--state", "last-ack"],
        lambda record, _: "LAST_ACK" in (record.get("old"), record.get("new"), _last_of(record)),
    ),
    Filter(
        "--netns",
        lambda actors: ["--netns", actors.west.name],
        lambda record, actors: record["netns"] == actors.west.inode,
        whose=(False, False, True),
    ),
    Filter(
        "--kind",
        lambda _: ["--kind", "accept"],
        lambda record, _: record["kind"] == "accept",
    ),
)

COMMANDS = (
    *("bare", "events", "states", "connections", "record"),
    *("events -r", "states -r", "connections -r"),
)
SUMS = (
    *("handshakes", "accepts", "listeners", "drops", "resets", "top", "retransmits", "ports"),
    "advise",
)
SUM_COMMANDS = tuple(command + how for how in ("", " -r") for command in SUMS)
# what they sum up is of kinds that are theirs to choose
USAGE_ERRORS = {
    (name, "--kind")
    for name in ("states", "states -r", "connections", "connections -r", *SUM_COMMANDS)
}
# some have no end to ask for; single attempts are not summed up by --by
USAGE_ERRORS |= {
    (name + how, option)
    for name in SUMS
    if name != "accepts"
    for how in ("", " -r")
    for option in ("--failed", "--slower")
}
# what connections carry, and which ports they take, is of all their states; so are findings
USAGE_ERRORS |= {
    (name + how, "--state") for name in ("top", "ports", "advise") for how in ("", " -r")
}
CELLS = [(command, each) for command in COMMANDS for each in FILTERS]


def _always(record: Record, actors: Actors) -> bool:
    return True


def _from_the_east(record: Record, actors: Actors) -> bool:
    return record["rport"] in range(40000, 50000)


def _to_the_east(record: Record, actors: Actors) -> bool:
    return record["lport"] in range(40000, 50000)


# where what tells one from the other is another value than in FILTERS
OWN_FILTERS = {
    ("handshakes", "--state"): Filter(
        "--state",
        lambda _: ["--state", "close"],
        lambda record, _: record["outcome"] != "ok",
        whose=(True, True, True),
    ),
    ("accepts", "--state"): Filter(
        "--state",
        lambda _: ["--state", "close-wait"],
        lambda record, actors: record["pid"] == actors.pear.pid,  # see `_overflow`
        whose=(False, False, True),
    ),
    ("resets", "--state"): Filter(
        "--state",
        lambda _: ["--state", "syn-sent"],
        lambda record, _: record["state"] == "SYN_SENT",
        whose=(True, True, True),
    ),
    # a listener is in no other state
    ("listeners", "--state"): Filter(
        "--state", lambda _: ["--state", "listen"], _always, whose=(True, True, True)
    ),
    ("drops", "--state"): Filter(
        "--state", lambda _: ["--state", "listen"], _always, whose=(True, True, True)
    ),
    ("accepts", "--rport"): Filter("--rport", lambda _: ["--rport", EAST_PORTS], _from_the_east),
    ("drops", "--rport"): Filter("--rport", lambda _: ["--rport", EAST_PORTS], _from_the_east),
    ("retransmits", "--state"): Filter(
        "--state",
        lambda _: ["--state", "close-wait"],
        lambda record, _: record["state"] == "CLOSE_WAIT",  # see `_answer`
        whose=(False, False, True),
    ),
    ("retransmits", "--rport"): Filter(
        "--rport", lambda _: ["--rport", EAST_PORTS], _from_the_east
    ),
}
for each in ("listeners", "advise"):
    # a listener has no other end
    OWN_FILTERS[each, "--raddr"] = Filter(
        "--raddr",
        lambda _: ["--raddr", "127.0.0.2"],
        lambda record, _: record["raddr"] == "127.0.0.2",
        whose=(False, False, False),
    )
    OWN_FILTERS[each, "--rport"] = Filter(
        "--rport",
        lambda _: ["--rport", "8001"],
        _port(APPLE_PORT, "rport"),
        whose=(False, False, False),
    )
OWN_FILTERS["ports", "--lport"] = Filter("--lport", lambda _: ["--lport", EAST_PORTS], _to_the_east)
OWN_FILTERS["ports", "--laddr"] = Filter(
    "--laddr",
    lambda _: ["--laddr", "127.0.0.1"],
    lambda record, _: record["laddr"] == "127.0.0.1",
)
OWN_FILTERS["accepts", "--failed"] = Filter(
    "--failed", lambda _: ["--failed"], lambda r, _: _has_failed(r), whose=(False, False, False)
)
for each in ("accepts", "drops", "retransmits"):
    OWN_FILTERS[each, "--raddr"] = Filter(
        "--raddr",
        lambda _: ["--raddr", "127.0.0.1"],
        lambda record, _: record["raddr"] == "127.0.0.1",
    )


def own_filter(command: str, each: Filter) -> Filter:
    """The filter with the value that this command has a use for."""
    return OWN_FILTERS.get((command.split()[0], each.name), each)


BY_NAME = {each.name: each for each in FILTERS}
SUM_CELLS = [(command, own_filter(command, each)) for command in SUM_COMMANDS for each in FILTERS]


def step(record: Record) -> Step:
    """What is the same each time the connection is made."""
    side = "server" if record["lport"] in (APPLE_PORT, PEAR_PORT) else "client"
    return record["kind"], side, record.get("old"), record.get("new"), record.get("timewait")


def steps(records: list[Record], actors: Actors) -> Steps:
    """What each of the three did."""
    return {pid: Counter(step(r) for r in records if r["pid"] == pid) for pid in actors.pids}


def transitions(records: list[Record], actors: Actors) -> Steps:
    """The transitions of each of the three, from `states`."""
    found: Steps = {pid: Counter() for pid in actors.pids}
    for record in records:
        if record["kind"] == "state_summary" and record["pid"] in found:
            for each in record["transitions"]:
                key = each["old"], each["new"], each["timewait"]
                found[record["pid"]][key] += each["count"]
    return found


def without_sides(found: Steps) -> Steps:
    """Steps as `states` counts them."""
    return {
        pid: Counter(key[2:] for key in counted.elements() if key[0] == "state")
        for pid, counted in found.items()
    }


@dataclass(frozen=True)
class Sum:
    """How a command is called, which records it sums up, and how to count in its documents.

    `of` and `told` give whose a record or document is, what it is about, and how often.
    """

    call: tuple[str, ...]
    takes: Callable[[Record], bool]
    of: Callable[[Record], tuple[int, Step, int]]
    told: Callable[[Record], list[tuple[int, Step, int]]]


# where each of the three goes: a port in TIME_WAIT has no process any more
PLACES = ("127.0.0.1", "127.0.0.2", "::1")


def _whose(port: Record) -> int:
    """Which of the three goes there; so many as there are: none."""
    return PLACES.index(port["raddr"]) if port["raddr"] in PLACES else len(PLACES)


SUM_OF = {
    "handshakes": Sum(
        ("handshakes", "--by", "role,pid"),
        lambda r: bool(r["kind"] == "handshake"),
        lambda r: (r["pid"], (r["role"], r["outcome"]), 1),
        lambda d: [(d["pid"], (d["role"], how), n) for how, n in d["outcomes"].items()],
    ),
    "accepts": Sum(
        ("accepts",),
        lambda r: bool(r["kind"] == "accept"),
        lambda r: (r["pid"], ("accept",), 1),
        lambda d: [(d["pid"], ("accept",), d["accepts"])],
    ),
    "listeners": Sum(
        ("listeners",),
        lambda r: bool(r["kind"] == "state" and r["new"] == "LISTEN"),
        lambda r: (r["pid"], (r["laddr"], r["lport"]), 1),
        lambda d: [(d["listener_pid"], (d["listener_addr"], d["listener_port"]), 1)],
    ),
    "drops": Sum(
        ("drops", "--syn"),
        lambda r: bool(r["kind"] == "syn_drop"),
        lambda r: (r["pid"], (r["cause"], r["stage"], r["lport"]), r["count"]),
        lambda d: [(d["pid"], (d["reason"], d["stage"], d["lport"]), d["count"])],
    ),
    # of what there was no socket for, who listened there before the span is not known to both
    "resets": Sum(
        ("resets", "--by", "direction,by,pid"),
        lambda r: bool(r["kind"] == "reset" and r["by"] != "no_socket"),
        lambda r: (r["pid"], (r["direction"], r["by"]), 1),
        lambda d: (
            [(d["pid"], (d["direction"], d["by"]), d["count"])]
            if d["kind"] == "reset_summary" and d["by"] != "no_socket"
            else []
        ),
    ),
    "top": Sum(
        ("top",),
        lambda r: bool(r["kind"] == "connection" and "ESTABLISHED" in r["states_us"]),
        lambda r: (r["pid"], ("ended",), 1),
        lambda d: [(d["pid"], ("ended",), d["ended"])],
    ),
    "retransmits": Sum(
        ("retransmits", "--by", "type,pid"),
        lambda r: bool(r["kind"] == "retransmit"),
        lambda r: (r["pid"], (r["type"],), r["segments"]),
        lambda d: [(d["pid"], (d["type"],), d["count"])],
    ),
    "ports": Sum(
        ("ports",),
        lambda r: bool(r["kind"] == "handshake" and r["role"] == "active"),
        lambda r: (r["pid"], (r["raddr"], r["rport"]), 1),
        lambda d: [(_whose(d), (d["raddr"], d["rport"]), d["opens"])],
    ),
    "advise": Sum(
        ("advise",),
        lambda r: bool(r["kind"] == "syn_drop"),
        lambda r: (r["pid"], (r["cause"], r["lport"]), r["count"]),
        lambda d: (
            [(d["pid"], ("accept_queue_full", _listened(d)), d["evidence"]["overflows"])]
            if d["id"] == "accept-queue-full"
            else []
        ),
    ),
}
# how long it is watched where that has another end by itself
LIVE = {"advise": ("-d", "5m")}


def _listened(finding: Record) -> int:
    return int(finding["where"].rpartition(":")[2])


def summed(found: list[tuple[int, Step, int]], actors: Actors) -> Steps:
    """What is each of the three's."""
    sums: Steps = {pid: Counter() for pid in actors.pids}
    for whose, what, count in found:
        pid = actors.pids[whose] if whose in range(len(PLACES)) else whose
        if pid in sums and count:
            sums[pid][what] += count
    return sums


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, cwd=ROOT)


def read(*arguments: str) -> list[Record]:
    done = run(*arguments, "-j")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def actors() -> Iterator[Actors]:
    with (
        namespace() as east,
        namespace() as west,
        control_group() as group,
        Program("apple", east.enter) as apple,
        Program("pear", west.enter) as pear,
    ):
        for room, ports in ((east, EAST_PORTS), (west, WEST_PORTS)):
            first, last = ports.split("-")
            room.run("sysctl", "-qw", f"net.ipv4.ip_local_port_range={first} {last}")
            # each answer, and not what is sent again
            Losing(room).lose(f"meta length > {ANSWER}", count=1, every=2)
        pear.do("become", uid=NOBODY)
        enter(group, apple.pid)
        yield Actors(apple, apple.fork(), pear, east, west, group)


@pytest.fixture(scope="module")
def recording(actors: Actors, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything, kept once without a filter."""
    path = tmp_path_factory.mktemp("matrix") / "all.rec"
    with Tracer("record", str(path), json=False):
        actors.play()
    return path


@pytest.fixture(scope="module")
def everything(recording: Path) -> list[Record]:
    return read("events", "-r", str(recording))


@pytest.mark.parametrize(("command", "each"), CELLS, ids=[f"{c}|{f.name}" for c, f in CELLS])
def test_a_filter_leaves_all_that_matches_and_nothing_else(
    actors: Actors,
    recording: Path,
    everything: list[Record],
    tmp_path: Path,
    command: str,
    each: Filter,
) -> None:
    given = each.given(actors)
    if (command, each.name) in USAGE_ERRORS:
        done = run(*command.split()[:1], *given, "-r", str(recording))
        assert done.returncode == 2
        assert each.name in done.stderr
        return
    if command.endswith(" -r"):
        records = read(command.split()[0], *given, "-r", str(recording))
    elif command == "record":
        path = str(tmp_path / "some.rec")
        with Tracer("record", path, *given, json=False):
            actors.play()
        records = read("events", "-r", path)
    else:
        with Tracer(*([] if command == "bare" else [command]), *given) as tracer:
            actors.play()
        records = tracer.records

    kinds = {"connection"} if command.startswith("connections") else {r["kind"] for r in everything}
    every = [r for r in everything if r["kind"] in kinds]
    wanted = steps([r for r in every if each.leaves(r, actors)], actors)
    if command.startswith("states"):
        told = transitions(records, actors)
        wanted = without_sides(wanted)
        rows = {r["pid"] for r in records if r["kind"] == "state_summary"} & set(actors.pids)
        assert rows == {pid for pid in actors.pids if wanted[pid]}
    else:
        told = steps(records, actors)
        assert [r for r in records if r["kind"] != "lost" and not each.leaves(r, actors)] == []
    assert tuple(bool(wanted[pid]) for pid in actors.pids) == each.whose
    assert told == wanted


@pytest.fixture(scope="module")
def kept(actors: Actors, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each command that sums up kept of one and the same span without a filter.

    `record` kept the same span, record by record.
    """
    directory = tmp_path_factory.mktemp("sums")
    paths = {name: str(directory / name) for name in ("record", *SUMS)}
    with ExitStack() as stack:
        stack.enter_context(Tracer("record", paths["record"], "--kind", "all", json=False))
        for name in SUMS:
            stack.enter_context(Tracer(*SUM_OF[name].call, *LIVE.get(name, ()), "-w", paths[name]))
        actors.crowd()
    actors.leave()
    return paths


@pytest.fixture(scope="module")
def crowd(kept: dict[str, str]) -> list[Record]:
    return read("events", "-r", kept["record"], "--kind", "all")


@dataclass
class Told:
    """What the commands that sum up tell with a filter, live or of what they kept.

    Live, all of them watch the same span.
    """

    actors: Actors
    kept: dict[str, str]
    live: dict[tuple[str, str], list[Record]] = field(default_factory=dict)

    def by(self, command: str, filter_name: str, **given: list[str]) -> list[Record]:
        """Documents of a command; `given` is the filter as each command takes it."""
        name = command.split()[0]
        if command.endswith(" -r"):
            return read(*SUM_OF[name].call, *given[name], "-r", self.kept[name])
        if (name, filter_name) not in self.live:
            self._watch(filter_name, given)
        return self.live[name, filter_name]

    def _watch(self, filter_name: str, given: dict[str, list[str]]) -> None:
        with ExitStack() as stack:
            tracers = {
                name: Tracer(*SUM_OF[name].call, *LIVE.get(name, ()), *words)
                for name, words in given.items()
            }
            with ThreadPoolExecutor() as pool:  # most of the time goes into their start
                list(pool.map(stack.enter_context, tracers.values()))
            self.actors.crowd()
        self.actors.leave()
        for name, tracer in tracers.items():
            self.live[name, filter_name] = tracer.records


@pytest.fixture(scope="module")
def told(actors: Actors, kept: dict[str, str]) -> Told:
    return Told(actors, kept)


@pytest.mark.parametrize(
    ("command", "each"), SUM_CELLS, ids=[f"{c}|{f.name}" for c, f in SUM_CELLS]
)
def test_a_filter_leaves_in_a_sum_all_that_matches_and_nothing_else(
    actors: Actors, told: Told, crowd: list[Record], command: str, each: Filter
) -> None:
    name, given = command.split()[0], each.given(actors)
    call = SUM_OF[name]
    if (command, each.name) in USAGE_ERRORS:
        source = ["-r", told.kept[name]] if command.endswith(" -r") else []
        done = run(*call.call, *given, *source)
        assert done.returncode == 2
        assert each.name in done.stderr
        return
    as_taken = {
        other: own_filter(other, BY_NAME[each.name]).given(actors)
        for other in SUMS
        if (other, each.name) not in USAGE_ERRORS
    }
    documents = told.by(command, each.name, **as_taken)
    proofs = [d for d in documents if d["kind"] == "reconciliation"]
    rows = [d for d in documents if d["kind"] != "reconciliation"]
    if name == "ports":  # of which a process is not always known
        rows = [d for d in rows if d["netns"] in (actors.east.inode, actors.west.inode)]

    every = [r for r in crowd if call.takes(r)]
    wanted = summed([call.of(r) for r in every if each.leaves(r, actors)], actors)
    assert all(summed([call.of(r) for r in every], actors).values()), "nobody did nothing"
    assert tuple(bool(wanted[pid]) for pid in actors.pids) == each.whose
    assert summed([one for d in rows for one in call.told(d)], actors) == wanted
    if name == "accepts":  # nor a queue of a listener that does not match
        strangers = {pid for pid in actors.pids if not wanted[pid]}
        assert not strangers & {d["listener_pid"] for d in rows}
    if each.name == "--netns":
        assert {d["netns"] for d in proofs} <= {actors.west.inode}


@pytest.mark.parametrize("command", ["listeners", "listeners -r", "drops", "drops -r"])
def test_a_listener_and_its_drops_are_in_no_state_but_listen(told: Told, command: str) -> None:
    given = ["--state", "established,close,syn-recv"]
    documents = told.by(command, "another --state", listeners=given, drops=given)
    assert {d["kind"] for d in documents} <= {"reconciliation"}


def test_drops_that_were_only_counted_cannot_be_narrowed(kept: dict[str, str]) -> None:
    done = run("drops", "--syn", "-r", kept["listeners"], "--lport", "8001")
    assert (done.returncode, done.stdout) == (1, "")
    assert "keeps counts of drops only" in done.stderr


def test_the_matrix_is_whole() -> None:
    assert len(CELLS) == len(COMMANDS) * len(FILTERS) == 152
    assert len(SUM_CELLS) == len(SUM_COMMANDS) * len(FILTERS) == 342


EXCLUDED = [
    Filter(f"family={family}", each.given, each.leaves)
    for each in FILTERS
    for family in ("4", "6")
    if each.name == f"-{family}"
] + [each for each in FILTERS if each.name[2:] in KEYS]


@pytest.mark.parametrize("command", ["events", "events -r"])
@pytest.mark.parametrize("each", EXCLUDED, ids=[each.name for each in EXCLUDED])
def test_what_a_filter_lets_pass_is_what_is_left_out_when_it_is_excluded(
    actors: Actors, recording: Path, everything: list[Record], command: str, each: Filter
) -> None:
    given = each.given(actors)
    value = each.name if "=" in each.name else f"{given[0][2:]}={given[1]}"
    if command.endswith(" -r"):
        records = read("events", "--exclude", value, "-r", str(recording))
    else:
        with Tracer("events", "--exclude", value) as tracer:
            actors.play()
        records = tracer.records
    left = [r for r in everything if not each.leaves(r, actors)]
    assert left
    assert len(left) < len(everything)
    assert steps(records, actors) == steps(left, actors)


def test_every_key_of_exclude_is_tried() -> None:
    assert {each.name.split("=")[0].removeprefix("--") for each in EXCLUDED} == set(KEYS)


@pytest.mark.parametrize("given", [["--state", "established"], ["--state", "close", "-4"]])
def test_a_state_is_matched_by_accepts_live_as_in_a_recording(
    actors: Actors, recording: Path, given: list[str]
) -> None:
    with Tracer("events", *given) as tracer:
        actors.play()
    replayed = read("events", "-r", str(recording), *given)
    assert steps(tracer.records, actors) == steps(replayed, actors)


def test_filters_of_different_options_must_all_match(actors: Actors) -> None:
    with Tracer("events", "--pid", f"{actors.apple.pid},{actors.pear.pid}", "-6") as tracer:
        actors.play()
    assert {r["pid"] for r in tracer.records} == {actors.pear.pid}


def test_of_one_options_values_any_may_match(actors: Actors) -> None:
    with Tracer("events", "--port", f"{APPLE_PORT},{PEAR_PORT}") as tracer:
        actors.play()
    # nobody's are RSTs of ports at which nobody listens
    assert {r["pid"] for r in tracer.records} - {None} == set(actors.pids)
