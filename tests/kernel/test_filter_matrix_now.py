"""Every filter of every command that looks and does not trace: the matrix's own filters.

Each of the three processes of the matrix holds both ends of a connection, and `pear` of a second
one, half of which it has closed. What a filter ought to leave is read from what the commands tell
without one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.harness import Record, namespace
from tests.kernel.test_filter_matrix import (
    APPLE_PORT,
    EAST_PORTS,
    FILTERS,
    NOBODY,
    PEAR_PORT,
    WEST_PORTS,
    Actors,
    Filter,
    read,
    run,
)
from tests.programs.driver import Process, Program
from tests.programs.groups import control_group, enter

pytestmark = pytest.mark.kernel

COMMANDS = ("connections --open", "states --now", "ports --now")
CELLS = [(command, each) for command in COMMANDS for each in FILTERS]
STATE = Filter(
    "--state",
    lambda _: ["--state", "close-wait"],
    lambda record, _: record["state"] == "CLOSE_WAIT",
    whose=(False, False, True),
)
# sockets that are there are of no kind, and have not come to an end
NOT_OF_A_LOOK = ("--kind", "--failed", "--slower")
CHOSEN_BY_CONNECT = range(40000, 60000)
Sockets = Counter[tuple[int, str]]  # by PID and state


def _hold(process: Process, address: str, port: int, *names: str) -> None:
    """Both ends of a connection for each name, and no listener."""
    process.do("bind", name="listener", address=address, port=port)
    process.do("listen", name="listener")
    for name in names:
        process.do("connect", name=name, address=address, port=port)
        process.do("accept", name=f"{name}'s", listener="listener")
    process.do("close", name="listener")


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
        pear.do("become", uid=NOBODY)
        enter(group, apple.pid)
        made = Actors(apple, apple.fork(), pear, east, west, group)
        _hold(made.apple, "127.0.0.1", APPLE_PORT, "a")
        _hold(made.child, "127.0.0.2", APPLE_PORT, "a")
        _hold(made.pear, "::1", PEAR_PORT, "a", "half")
        made.pear.do("half_close", name="half")
        yield made


@pytest.fixture(scope="module")
def everything(actors: Actors) -> list[Record]:
    """What there is of the three, told without a filter: as many as they made."""
    found = of_the_three(read("connections", "--open"), actors)
    assert tally(found) == {
        (actors.apple.pid, "ESTABLISHED"): 2,
        (actors.child.pid, "ESTABLISHED"): 2,
        (actors.pear.pid, "ESTABLISHED"): 2,
        (actors.pear.pid, "CLOSE_WAIT"): 1,
        (actors.pear.pid, "FIN_WAIT2"): 1,
    }
    return found


def of_the_three(records: list[Record], actors: Actors) -> list[Record]:
    return [record for record in records if record["pid"] in actors.pids]


def rooms(actors: Actors) -> set[int]:
    return {actors.east.inode, actors.west.inode}


def way(record: Record) -> tuple[object, ...]:
    """What a port is in use for."""
    return tuple(record[name] for name in ("netns", "laddr", "raddr", "rport"))


def tally(connections: list[Record]) -> Sockets:
    return Counter((record["pid"], record["state"]) for record in connections)


def summed(states: list[Record]) -> Sockets:
    return Counter({(r["pid"], name): n for r in states for name, n in r["now"].items()})


@pytest.mark.parametrize(("command", "each"), CELLS, ids=[f"{c}|{f.name}" for c, f in CELLS])
def test_a_filter_leaves_of_a_look_all_that_matches_and_nothing_else(
    actors: Actors, everything: list[Record], command: str, each: Filter
) -> None:
    each = STATE if each.name == "--state" else each
    given = each.given(actors)
    if each.name in NOT_OF_A_LOOK or (command, each.name) == ("ports --now", "--state"):
        done = run(*command.split(), *given)
        assert done.returncode == 2
        assert each.name in done.stderr
        return
    wanted = [record for record in everything if each.leaves(record, actors)]
    found = tuple(any(r["pid"] == pid for r in wanted) for pid in actors.pids)
    assert found == each.whose
    records = read(*given, *command.split())
    if command.startswith("ports"):
        assert {way(r) for r in records if r["netns"] in rooms(actors)} == {
            way(r) for r in wanted if r["lport"] in CHOSEN_BY_CONNECT
        }
        return
    told = of_the_three(records, actors)
    if command.startswith("states"):
        assert summed(told) == tally(wanted)
    else:
        assert {r["cookie"] for r in told} == {r["cookie"] for r in wanted}
        strangers = [r for r in records if r not in told and each.name != "--exclude"]
        assert all(each.leaves(r, actors) for r in strangers if r["pid"] is not None)


def test_the_matrix_of_looks_is_whole() -> None:
    assert len(CELLS) == len(COMMANDS) * len(FILTERS) == 57


@pytest.mark.parametrize("command", COMMANDS)
def test_with_nothing_left_the_filter_that_took_it_is_named(actors: Actors, command: str) -> None:
    done = run(*command.split(), "--netns", actors.west.name, "--lport", "9")
    assert done.returncode == 0
    assert "nothing matched: --lport 9 removed" in done.stderr
