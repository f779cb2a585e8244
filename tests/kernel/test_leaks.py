"""Nothing leaks: 200,000 connections end in every way there is, and no map keeps any of them.

The ways are tests/kernel/programs_c/endings.c, each in a network namespace of its own. Its counts
of how connections ended, and the namespace's own of those opened, are the witnesses. A kernel may
keep BPF off its first process: whose end it hides, by that end's own name, may be left.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.harness import ROOT, Namespace, Tracer, namespace, wait_until
from tests.hidden import Hidden, hidden_events
from tests.kernel.bpf_objects import TracerMap
from tests.kernel.endings import PORT, Ending, sockets_in_use
from tracer.wire.layout import Layout, load

pytestmark = pytest.mark.kernel

# Connections to make by each way, each a multiple of its round in ways.h; 200,000 in all.
WAYS = {
    "close": 30_000,
    "shutdown": 30_000,
    "reset": 30_000,
    "linger": 30_000,
    "unread": 30_000,
    "again": 15_000,
    "while-queued": 15_000,
    "full-queue": 10_000,
    "kill": 7_000,
    "timeout": 1_000,
    "destroyed": 1_000,
    "with-process": 500,
    "namespace": 500,
}
OF_FILTERS = ("tt_targets", "tt_named")
# of a recording of everything: what is kept of connections until their end is told, of children
# until they have a cookie, and of listeners until what they counted is told
LIVES, OTHER_LIVES = "tt_lives", "tt_other_lives"
OF_ALL_KINDS = (LIVES, "tt_unborns", "tt_queues")
OF_SOCKETS = ("tt_socks", "tt_listeners", *OF_ALL_KINDS)  # the others are of processes
# Ways that are open all at once until somebody else does something: nothing else runs meanwhile.
HELD = ("destroyed", "with-process", "namespace")
ROUND = 10


# --- what is alive otherwise


def _is_idle(space: Namespace) -> bool:
    return sockets_in_use(space) == 0


def cookies_alive() -> set[int]:
    """Cookies of the sockets of this machine's own namespace, which others may open and keep."""
    text = subprocess.run(["ss", "-Htane"], check=True, capture_output=True, text=True).stdout
    return {int(cookie, 16) for cookie in re.findall(r"\bsk:([0-9a-f]+)", text)}


def has_ended(pid: int, start: int) -> bool:
    """Tell whether the process of this PID and start (in ticks) is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return int(stat.rpartition(")")[2].split()[19]) % 2**32 != start


# --- one session over all of it ---------------------------------------------


@dataclass
class Run:
    """What is known when the last socket is gone."""

    endings: dict[str, Ending] = field(default_factory=dict)
    opened: dict[str, int] = field(default_factory=dict)  # TcpActiveOpens of the namespace
    destroyed: int = 0  # lines of `ss -K`
    held: dict[str, int] = field(default_factory=dict)  # sockets kept of a way while it was open
    lives_held: dict[str, int] = field(default_factory=dict)  # likewise, by the recording's maps
    names_held: int = 0  # processes kept while they ran, of HELD
    left: dict[str, set[str]] = field(default_factory=dict)  # described, by map


class Workload:
    """Runs the ways beside two tracers and looks into their maps."""

    def __init__(
        self,
        counting: Tracer,
        recording: Tracer,
        spaces: dict[str, Namespace],
        layout: Layout,
        hidden: Hidden,
    ) -> None:
        self.run = Run()
        self._spaces, self._layout, self._hidden = spaces, layout, hidden
        names = ("tt_socks", "tt_places", "tt_listeners", "tt_tasks", "tt_stats", *OF_FILTERS)
        self._maps = {name: TracerMap(counting.process.pid, name) for name in names}
        others = (*OF_ALL_KINDS, OTHER_LIVES)
        self._maps |= {name: TracerMap(recording.process.pid, name) for name in others}

    def ways(self, left_last: ExitStack) -> None:
        """All ways; `left_last` deletes the namespace of "namespace" while they are held."""
        run, spaces = self.run, self._spaces
        with ExitStack() as stack:
            quick = {way: Ending(spaces[way], way, WAYS[way]) for way in WAYS if way not in HELD}
            for ending in quick.values():
                stack.enter_context(ending)
            for way, ending in quick.items():
                run.endings[way] = ending.finish()
        with ExitStack() as stack:
            held = {way: Ending(spaces[way], way, WAYS[way]) for way in HELD}
            for ending in held.values():
                stack.enter_context(ending)
            for way, ending in held.items():
                ending.await_open()
                run.held[way] = self._sockets_of(ending.process.pid)
                run.lives_held[way] = len(self.keys(LIVES))
            told = self._maps["tt_tasks"].keys()
            run.names_held = len(told & {ending.process.pid for ending in held.values()})
            run.opened = {way: space.counters()["TcpActiveOpens"] for way, space in spaces.items()}
            left_last.close()
            destroyed = spaces["destroyed"].run(
                "ss", "-HKtn", "state", "established", "sport", "=", ":7"
            )
            run.destroyed = len(destroyed.splitlines())
            for way, ending in held.items():
                run.endings[way] = ending.finish()

    def _sockets_of(self, pid: int) -> int:
        places = self._maps["tt_places"].array(self._layout.dtypes["sock"])
        others = self._maps["tt_socks"].keys()
        crowded = [self._sock(cookie)["pid"] for cookie in others]
        return int((places["pid"] == pid).sum()) + crowded.count(pid)

    def _sock(self, cookie: int) -> np.void:
        """A socket's struct tt_sock; all zero if it has gone meanwhile."""
        dtype = self._layout.dtypes["sock"]
        places = self._maps["tt_places"].array(dtype)
        place: np.void = places[cookie % len(places)]
        if place["cookie"] == cookie:
            return place
        value = self._maps["tt_socks"].value(cookie) or bytes(dtype.itemsize)
        sock: np.void = np.frombuffer(value, dtype)[0]
        return sock

    def _is_foreign(self, cookie: int) -> bool:
        """Somebody else's: its owner is known, and is not one of our descendants."""
        sock = self._sock(cookie)
        return bool(sock["pid"]) and not sock["marks"] & self._layout.enums["mark"]["PID"]

    def look(self, before: dict[str, set[int]]) -> None:
        """Note what the maps keep that they did not keep `before` and that no one holds."""
        for way, space in self._spaces.items():
            if way != "namespace":
                wait_until(partial(_is_idle, space), f"{way}'s sockets to be gone")
        for name in before:
            left = self.keys(name) - before[name] - cookies_alive()
            self._settle(name, {one for one in left if not self._is_foreign(one)})
        for name in ("tt_tasks", *OF_FILTERS):
            self._settle(name, self._ended(name))

    def _settle(self, name: str, left: set[int]) -> None:
        """What is left now and still is after a while: others' sockets come and go.

        Not what the kernel hid the end of: nobody could forget that.
        """

        def gone() -> bool:
            self._hidden.read()
            if name in ("tt_socks", LIVES):
                left.difference_update(self._hidden.destroyed)
            elif name not in OF_SOCKETS:
                left.difference_update(self._hidden.freed)
            left.intersection_update(self.keys(name))
            return not left

        with suppress(AssertionError):  # told by the tests, with what is left
            wait_until(gone, f"{name} to be empty")
        self.run.left[name] = {self._describe(name, one) for one in left}

    def _describe(self, name: str, key: int) -> str:
        if name != "tt_socks":
            return str(key)
        sock = self._sock(key)
        state = self._layout.names["tcp_state"][int(sock["state"])]
        return f"cookie {key:x} in {state} of {sock['pid']}"

    def _ended(self, name: str) -> set[int]:
        found = set()
        for pid in self.keys(name):
            value = self._maps[name].value(pid)
            if value is not None and has_ended(pid, int.from_bytes(value[:4], "little")):
                found.add(pid)
        return found

    def keys(self, name: str) -> set[int]:
        if name == "tt_socks":
            return self._socks()
        if name == LIVES:
            return self._maps[LIVES].first_words() | self._maps[OTHER_LIVES].keys()
        return self._maps[name].keys()

    def _socks(self) -> set[int]:
        """Cookies of all sockets kept: those in their places, and those whose place is taken."""
        places = self._maps["tt_places"].array(self._layout.dtypes["sock"])
        return self._maps["tt_socks"].keys() | set(places["cookie"][places["cookie"] > 0].tolist())

    def close(self) -> None:
        for one in self._maps.values():
            one.close()


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    layout = load(ROOT / "tracer/_bpf/tcptrace.bpf.o")
    with ExitStack() as stack, ExitStack() as left_last:
        spaces = {way: stack.enter_context(namespace()) for way in WAYS if way != "namespace"}
        spaces["namespace"] = left_last.enter_context(namespace())
        names = ",".join(space.name for space in spaces.values())
        arguments = ["states", "--pid", str(os.getpid()), "--comm", "*", "--netns", names]
        hidden = stack.enter_context(hidden_events(PORT))
        everything = ["record", "/dev/null", "--kind", "all"]
        counting = stack.enter_context(Tracer(*arguments))
        recording = stack.enter_context(Tracer(*everything, json=False))
        workload = Workload(counting, recording, spaces, layout, hidden)
        stack.callback(workload.close)
        before = {name: workload.keys(name) for name in OF_SOCKETS}
        workload.ways(left_last)
        workload.look(before)
        yield workload.run


def test_the_ways_make_200000_connections_in_all(run: Run) -> None:
    assert sum(WAYS.values()) == 200_000
    assert min(WAYS.values()) >= 500
    assert sum(ending.endings for ending in run.endings.values()) == 200_000


@pytest.mark.parametrize("way", WAYS)
def test_every_connection_ends_in_the_way_asked_for(run: Run, way: str) -> None:
    assert run.endings[way].endings == WAYS[way]


@pytest.mark.parametrize("way", WAYS)
def test_the_namespace_counts_as_many_opens_as_the_program(run: Run, way: str) -> None:
    unanswered = WAYS[way] // ROUND if way == "full-queue" else 0
    assert run.endings[way].connects == WAYS[way] + unanswered
    assert run.opened[way] == WAYS[way] + unanswered


def test_ss_destroys_every_socket_it_is_told_to(run: Run) -> None:
    assert run.destroyed == WAYS["destroyed"]


@pytest.mark.parametrize("way", HELD)
def test_open_sockets_are_kept_both_ends_and_two_listeners(run: Run, way: str) -> None:
    assert run.held[way] == 2 * WAYS[way] + 2


def test_lives_of_open_connections_are_kept(run: Run) -> None:
    assert run.lives_held["destroyed"] >= 2 * WAYS["destroyed"]
    assert run.lives_held["namespace"] >= 2 * sum(WAYS[way] for way in HELD)


def test_running_owners_are_kept(run: Run) -> None:
    assert run.names_held == len(HELD)


def test_no_socket_is_kept_after_its_end(run: Run) -> None:
    assert run.left["tt_socks"] == set()


def test_no_listener_is_kept_after_its_end(run: Run) -> None:
    assert run.left["tt_listeners"] == set()


def test_no_process_is_kept_after_its_end(run: Run) -> None:
    assert run.left["tt_tasks"] == set()


@pytest.mark.parametrize("name", OF_ALL_KINDS)
def test_nothing_that_a_recording_of_all_kinds_keeps_is_left(run: Run, name: str) -> None:
    assert run.left[name] == set()


@pytest.mark.parametrize("name", OF_FILTERS)
def test_nothing_of_filters_is_kept_of_a_process_after_its_end(run: Run, name: str) -> None:
    assert run.left[name] == set()
