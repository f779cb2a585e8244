"""Looks without tracing beside very many sockets, and in very many namespaces: how long they take.

Seconds are those of a command that others keep no CPU from, on a machine on which --help takes no
more than QUICK_HELP_S; elsewhere they are as many times more. All are run in turns, and of each
the best one counts.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, namespace
from tests.programs.crowd import SOCKETS, crowd, took_s
from tests.programs.places import ADDRESS, PORT, inside
from tests.schemas import checked
from tracer.kernel.snapshot import SnapshotSource

pytestmark = pytest.mark.kernel
QUICK_HELP_S = 0.06
NOW = ("states --now", "listeners --now", "ports --now", "advise --now")
MOST_S = dict.fromkeys((*NOW, "connections --open --limit 20"), 0.4)
PASS_S = 0.06
SPACES = 200
# they go through namespaces on all CPUs: where others keep these from them, what counts is the sum
MOST_OF_SPACES_S = dict.fromkeys(NOW, 1.0)
ROUNDS = 3
Works = dict[str, Callable[[], float]]


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """What was edited since is compiled at each start, where no bytecode is written."""
    subprocess.run([sys.executable, "-m", "compileall", "-q", ROOT / "tracer"], check=True)


@pytest.fixture(scope="module")
def held() -> Iterator[Namespace]:
    with crowd() as (ns, _):
        yield ns


def best(works: Works) -> dict[str, float]:
    """The shortest of what each takes, in turns."""
    rounds = [{name: work() for name, work in works.items()} for _ in range(ROUNDS)]
    return {name: min(taken[name] for taken in rounds) for name in works}


def of(command: str, names: str) -> Callable[[], float]:
    return partial(took_s, *COMMAND, *command.split(), "--netns", names)


def look(command: str, names: str) -> list[Record]:
    whole = [*COMMAND, *command.split(), "--netns", names, "-j"]
    done = subprocess.run(whole, capture_output=True, text=True, cwd=ROOT, check=True)
    return checked(done.stdout.splitlines())


def within(works: Works, most_s: dict[str, float]) -> None:
    """None of them takes longer."""
    taken = best(works | {"--help": partial(took_s, *COMMAND, "--help")})
    slower = max(1, taken.pop("--help") / QUICK_HELP_S)
    over = {name: s for name, s in taken.items() if s > most_s[name] * slower}
    assert over == {}, (taken, slower)


def _pair(space: Namespace, stack: ExitStack) -> None:
    """A listener and a connection that waits in its queue: three sockets, held by this process."""

    def work() -> list[socket.socket]:
        listener = socket.create_server((ADDRESS, PORT))
        return [listener, socket.create_connection((ADDRESS, PORT))]

    for made in inside(space, work):
        stack.enter_context(made)


def test_two_hundred_namespaces_take_a_second_at_most() -> None:
    with ExitStack() as stack:
        spaces = [stack.enter_context(namespace()) for _ in range(SPACES)]
        for space in spaces:
            _pair(space, stack)
        names = ",".join(space.name for space in spaces)
        found = {r["netns"]: r["now"] for r in look("states --now --by netns", names)}
        made = {space.inode: {"ESTABLISHED": 2, "LISTEN": 1} for space in spaces}
        within({one: of(one, names) for one in MOST_OF_SPACES_S}, MOST_OF_SPACES_S)
    assert found == made


def test_with_forty_thousand_sockets_open_a_whole_command_takes_four_tenths_of_a_second_at_most(
    held: Namespace,
) -> None:
    within({command: of(command, held.name) for command in MOST_S}, MOST_S)
    found = look("states --now", held.name)
    assert sum(record["now"].get("ESTABLISHED", 0) for record in found) == SOCKETS


def test_one_pass_over_forty_thousand_sockets_takes_sixty_milliseconds(held: Namespace) -> None:
    source = SnapshotSource()
    inode = frozenset({held.inode})

    def once() -> float:
        began, cpu_began = time.monotonic(), time.process_time()
        rows = source.sockets(inode)
        took = min(time.monotonic() - began, time.process_time() - cpu_began)
        assert len(rows) == SOCKETS + 2  # and the listeners
        return took

    try:
        within({"pass": lambda: min(once() for _ in range(ROUNDS))}, {"pass": PASS_S})
    finally:
        source.close()
