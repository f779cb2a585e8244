"""Every filter of every command: what matches is told, all of it, and nothing else is.

Three processes make the same known connections again and again: `apple` over IPv4 in one
namespace, a child of apple there as well, and `pear` over IPv6 in another. What a filter ought to
leave is read from one recording without filters, record by record, by the table below.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace, wait_until
from tests.programs.driver import Process, Program

pytestmark = pytest.mark.kernel

APPLE_PORT, PEAR_PORT = 8001, 8002
Step = tuple[object, ...]
Steps = dict[int, Counter[Step]]  # by PID
OVER = ("st", "06", "07")  # /proc/net/tcp: its heading, TIME_WAIT, CLOSE


@dataclass
class Actors:
    """Who connects, and where."""

    apple: Program
    child: Process
    pear: Program
    east: Namespace
    west: Namespace

    @property
    def pids(self) -> tuple[int, int, int]:
        return self.apple.pid, self.child.pid, self.pear.pid

    def play(self) -> None:
        """Make every connection once; all are at their ends when this returns."""
        for process in (self.apple, self.child):
            _converse(process)
        _be_cut_off(self.pear)
        for room in (self.east, self.west):
            wait_until(partial(_is_quiet, room), "all sockets to be closed")


def _converse(process: Process) -> None:
    """A connection accepted and closed in order: with LAST_ACK, and TIME_WAIT."""
    process.do("bind", name="listener", address="127.0.0.1", port=APPLE_PORT)
    process.do("listen", name="listener")
    process.do("connect", name="client", address="127.0.0.1", port=APPLE_PORT)
    process.do("accept", name="server", listener="listener")
    process.do("half_close", name="client")
    process.do("receive", name="server")
    process.do("close", name="server")
    process.do("receive", name="client")
    process.do("close", name="client")
    process.do("close", name="listener")


def _be_cut_off(process: Process) -> None:
    """A connection never accepted, reset with its listener: no accept, no LAST_ACK."""
    process.do("bind", name="listener", address="::1", port=PEAR_PORT)
    process.do("listen", name="listener")
    process.do("connect", name="client", address="::1", port=PEAR_PORT)
    process.do("close", name="listener")
    assert process.attempt("receive", name="client")["errno"] == "ECONNRESET"
    process.do("close", name="client")


def _is_quiet(room: Namespace) -> bool:
    lines = room.run("cat", "/proc/net/tcp", "/proc/net/tcp6").splitlines()
    return all(line.split()[3] in OVER for line in lines)


@dataclass(frozen=True)
class Filter:
    """A filter as typed, the records it ought to leave, and whose they are: apple, child, pear."""

    name: str
    given: Callable[[Actors], list[str]]
    leaves: Callable[[Record, Actors], bool]
    whose: tuple[bool, bool, bool] = (True, True, False)


def _port(port: int, *sides: str) -> Callable[[Record, Actors], bool]:
    return lambda record, actors: port in [record[side] for side in sides]


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
    Filter("--port", lambda _: ["--port", "8001"], _port(APPLE_PORT, "lport", "rport")),
    Filter("--lport", lambda _: ["--lport", "8001"], _port(APPLE_PORT, "lport")),
    Filter("--rport", lambda _: ["--rport", "8001"], _port(APPLE_PORT, "rport")),
    Filter(
        "--addr",
        lambda _: ["--addr", "127.0.0.0/8"],
        lambda record, _: "127.0.0.1" in (record["laddr"], record["raddr"]),
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
        lambda record, _: "LAST_ACK" in (record.get("old"), record.get("new")),
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

COMMANDS = ("bare", "events", "states", "record", "events -r", "states -r")
USAGE_ERRORS = {("states", "--kind"), ("states -r", "--kind")}  # sums of transitions alone
CELLS = [(command, each) for command in COMMANDS for each in FILTERS]


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
        if record["pid"] in found:
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
        Program("apple", east.enter) as apple,
        Program("pear", west.enter) as pear,
    ):
        yield Actors(apple, apple.fork(), pear, east, west)


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

    wanted = steps([r for r in everything if each.leaves(r, actors)], actors)
    if command.startswith("states"):
        told = transitions(records, actors)
        wanted = without_sides(wanted)
        rows = {r["pid"] for r in records} & set(actors.pids)
        assert rows == {pid for pid in actors.pids if wanted[pid]}
    else:
        told = steps(records, actors)
        assert all(each.leaves(r, actors) for r in records if r["kind"] != "lost")
    assert tuple(bool(wanted[pid]) for pid in actors.pids) == each.whose
    assert told == wanted


def test_the_matrix_is_whole() -> None:
    assert len(CELLS) == len(COMMANDS) * len(FILTERS) == 66


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
    assert {r["pid"] for r in tracer.records} == set(actors.pids)
