"""Every filter of what looks at queues once, and of the kernel's counters: the matrix's own.

Each of the three processes of the matrix listens, and its queue is full: one connection waits in
it, and none is wanted there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.harness import Record, namespace
from tests.kernel.test_filter_matrix import (
    APPLE_PORT,
    FILTERS,
    NOBODY,
    PEAR_PORT,
    Actors,
    Filter,
    own_filter,
    read,
    run,
)
from tests.programs.driver import Process, Program
from tests.programs.groups import control_group, enter

pytestmark = pytest.mark.kernel

COMMANDS = ("listeners --now", "advise --now", "counters")
CELLS = [(command, own_filter(command, each)) for command in COMMANDS for each in FILTERS]
# what is there now is of no kind, and has not come to an end
NOT_OF_A_LOOK = ("--kind", "--failed", "--slower")
# counters are of namespaces, whoever's sockets they count; rules look at all states
USAGE_ERRORS = {("advise --now", "--state")} | {
    ("counters", each.name) for each in FILTERS if each.name != "--netns"
}
RULE = "accept-queue-full"


def _fill(process: Process, address: str, port: int) -> None:
    process.do("bind", name="standing", address=address, port=port)
    process.do("listen", name="standing", backlog=0)
    process.do("connect", name="waits", address=address, port=port)


@pytest.fixture(scope="module")
def actors() -> Iterator[Actors]:
    with (
        namespace() as east,
        namespace() as west,
        control_group() as group,
        Program("apple", east.enter) as apple,
        Program("pear", west.enter) as pear,
    ):
        pear.do("become", uid=NOBODY)
        enter(group, apple.pid)
        made = Actors(apple, apple.fork(), pear, east, west, group)
        _fill(made.apple, "127.0.0.1", APPLE_PORT)
        _fill(made.child, "127.0.0.2", APPLE_PORT)
        _fill(made.pear, "::1", PEAR_PORT)
        yield made


def as_records(actors: Actors) -> list[Record]:
    """The three listeners as a filter of the matrix reads them."""
    made = zip(actors.pids, (("127.0.0.1", 4), ("127.0.0.2", 4), ("::1", 6)), strict=True)
    return [
        {
            "pid": pid,
            "laddr": address,
            "lport": PEAR_PORT if pid == actors.pear.pid else APPLE_PORT,
            "raddr": "0.0.0.0" if family == 4 else "::",
            "rport": None,
            "family": family,
            "netns": (actors.west if pid == actors.pear.pid else actors.east).inode,
        }
        for pid, (address, family) in made
    ]


def listened(record: Record) -> tuple[int | None, int]:
    return record["listener_pid"], record["listener_port"]


def found(record: Record) -> tuple[int | None, int]:
    return record["pid"], int(record["where"].rpartition(":")[2])


TOLD: dict[str, Callable[[Record], tuple[int | None, int]]] = {
    "listeners --now": listened,
    "advise --now": found,
}


@pytest.mark.parametrize(("command", "each"), CELLS, ids=[f"{c}|{f.name}" for c, f in CELLS])
def test_a_filter_leaves_of_queues_all_that_match_and_nothing_else(
    actors: Actors, command: str, each: Filter
) -> None:
    given = each.given(actors)
    if each.name in NOT_OF_A_LOOK or (command, each.name) in USAGE_ERRORS:
        done = run(*command.split(), *given)
        assert done.returncode == 2
        assert each.name in done.stderr
        return
    records = read(*command.split(), *given)
    if command == "counters":
        assert {r["netns"] for r in records if r["source"] != "softnet"} == {actors.west.inode}
        return
    everything = as_records(actors)
    wanted = [record for record in everything if each.leaves(record, actors)]
    assert tuple(any(r["pid"] == pid for r in wanted) for pid in actors.pids) == each.whose
    told = {TOLD[command](r) for r in records if r.get("id", RULE) == RULE}
    ours = {one for one in told if one[0] in actors.pids}
    assert ours == {(r["pid"], r["lport"]) for r in wanted}
    if each.name == "--netns":
        assert told == ours


def test_the_matrix_of_queues_is_whole() -> None:
    assert len(CELLS) == len(COMMANDS) * len(FILTERS) == 57


@pytest.mark.parametrize("given", [["--state", "established"], ["--lport", "9"]])
def test_with_no_listener_left_the_filter_that_took_it_is_named(
    actors: Actors, given: list[str]
) -> None:
    done = run("listeners", "--now", "--netns", actors.west.name, *given)
    assert done.returncode == 0
    assert f"nothing matched: {' '.join(given)} removed 1 of 1" in done.stderr
