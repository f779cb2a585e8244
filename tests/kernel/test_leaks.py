"""Nothing leaks: 200,000 connections end in every way there is, and no map keeps any of them.

The ways are tests/kernel/programs_c/endings.c, each in a network namespace of its own. Its counts
of how connections ended, and the namespace's own of those opened, are the witnesses.
"""

from __future__ import annotations

import ctypes as C
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
from tracer.kernel.libbpf import check, lib
from tracer.wire.layout import Layout, load

pytestmark = pytest.mark.kernel

# Connections to make by each way, each a multiple of its round in endings.c; 200,000 in all.
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
# Ways that are open all at once until somebody else does something: nothing else runs meanwhile.
HELD = ("destroyed", "with-process", "namespace")
ROUND = 10


# --- the workload -----------------------------------------------------------


def build(name: str) -> Path:
    """Compile a program of programs_c; returns where it is."""
    source = Path(__file__).parent / "programs_c" / f"{name}.c"
    target = ROOT / "tests" / "build" / name
    target.parent.mkdir(exist_ok=True)
    made = target.with_suffix(f".{os.getpid()}")
    warnings = ["-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["gcc", *warnings, "-o", str(made), str(source)], check=True)
    made.rename(target)
    return target


class Ending:
    """One run of endings.c in a namespace: connections that end in one way."""

    def __init__(self, space: Namespace, way: str, count: int) -> None:
        self.space, self.count = space, count
        program = "with-process" if way == "namespace" else way
        self.process = subprocess.Popen(
            [*space.enter, str(build("endings")), program, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.connects = self.endings = 0

    def await_open(self) -> None:
        """Return once all connections are open; `finish` lets it go on."""
        assert self.process.stdout
        assert self.process.stdout.readline() == f"open {self.count}\n"

    def finish(self) -> Ending:
        """Let it end and take its counts."""
        text, _ = self.process.communicate()
        assert self.process.returncode == 0
        words = text.split()
        self.connects, self.endings = int(words[1]), int(words[3])
        return self

    def __enter__(self) -> Ending:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def sockets_in_use(space: Namespace) -> int:
    """TCP sockets of a namespace, without those in TIME_WAIT."""
    text = space.run("cat", "/proc/net/sockstat", "/proc/net/sockstat6")
    return sum(int(found) for found in re.findall(r"TCP6?: inuse (\d+)", text))


def _is_idle(space: Namespace) -> bool:
    return sockets_in_use(space) == 0


# --- a tracer's maps, from outside ------------------------------------------


class MapInfo(C.Structure):
    """The leading members of struct bpf_map_info, include/uapi/linux/bpf.h."""

    _fields_ = [
        ("type", C.c_uint32),
        ("id", C.c_uint32),
        ("key_size", C.c_uint32),
        ("value_size", C.c_uint32),
        ("max_entries", C.c_uint32),
        ("map_flags", C.c_uint32),
        ("name", C.c_char * 16),
    ]


def map_info(fd: int) -> MapInfo:
    """What the kernel tells of a map."""
    info, length = MapInfo(), C.c_uint32(C.sizeof(MapInfo))
    check(lib().bpf_obj_get_info_by_fd(fd, C.byref(info), C.byref(length)), "map info")
    return info


class TracerMap:
    """A map of a running tracer, by name: its id is beside the tracer's descriptor in /proc."""

    def __init__(self, pid: int, name: str) -> None:
        for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
            found = re.search(r"^map_id:\s+(\d+)", entry.read_text(), re.MULTILINE)
            if not found:
                continue
            self.fd = check(lib().bpf_map_get_fd_by_id(C.c_uint32(int(found[1]))), name)
            info = map_info(self.fd)
            if info.name.decode() == name:
                self._value_size = info.value_size
                self._key_size = info.key_size
                return
            os.close(self.fd)
        raise AssertionError(f"process {pid} has no map {name}")

    def keys(self) -> set[int]:
        """Keys of a hash, which are numbers."""
        found = []
        key: C.Array[C.c_uint8] | None = None
        following = (C.c_uint8 * self._key_size)()
        while lib().bpf_map_get_next_key(self.fd, key, following) == 0:
            key = (C.c_uint8 * self._key_size).from_buffer_copy(following)
            found.append(int.from_bytes(key, "little"))
        return set(found)

    def value(self, key: int) -> bytes | None:
        """Value of one key, None if it has gone."""
        value = (C.c_uint8 * self._value_size)()
        number = (C.c_uint8 * self._key_size).from_buffer_copy(key.to_bytes(8, "little"))
        if lib().bpf_map_lookup_elem(self.fd, number, value) < 0:
            return None
        return bytes(value)

    def close(self) -> None:
        os.close(self.fd)


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
    names_held: int = 0  # processes kept while they ran, of HELD
    left: dict[str, set[str]] = field(default_factory=dict)  # described, by map


class Workload:
    """Runs the ways beside a tracer and looks into its maps."""

    def __init__(self, tracer: Tracer, spaces: dict[str, Namespace], layout: Layout) -> None:
        self.run = Run()
        self._spaces, self._layout = spaces, layout
        pid = tracer.process.pid
        names = ("tt_socks", "tt_listeners", "tt_tasks", "tt_targets", "tt_stats")
        self._maps = {name: TracerMap(pid, name) for name in names}

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
        owners = [self._sock(cookie)["pid"] for cookie in self.keys("tt_socks")]
        return owners.count(pid)

    def _sock(self, cookie: int) -> np.void:
        """A socket's struct tt_sock; all zero if it has gone meanwhile."""
        dtype = self._layout.dtypes["sock"]
        value = self._maps["tt_socks"].value(cookie) or bytes(dtype.itemsize)
        sock: np.void = np.frombuffer(value, dtype)[0]
        return sock

    def _is_foreign(self, cookie: int) -> bool:
        """Somebody else's: its owner is known, and is not one of our descendants."""
        sock = self._sock(cookie)
        return bool(sock["pid"]) and not sock["matched"]

    def look(self, before: dict[str, set[int]]) -> None:
        """Note what the maps keep that they did not keep `before` and that no one holds."""
        for way, space in self._spaces.items():
            if way != "namespace":
                wait_until(partial(_is_idle, space), f"{way}'s sockets to be gone")
        for name in ("tt_socks", "tt_listeners"):
            left = self.keys(name) - before[name] - cookies_alive()
            self._settle(name, {one for one in left if not self._is_foreign(one)})
        for name in ("tt_tasks", "tt_targets"):
            self._settle(name, self._ended(name))

    def _settle(self, name: str, left: set[int]) -> None:
        """What is left now and still is after a while: others' sockets come and go."""

        def gone() -> bool:
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
            if value is not None and has_ended(pid, int.from_bytes(value, "little")):
                found.add(pid)
        return found

    def keys(self, name: str) -> set[int]:
        return self._maps[name].keys()

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
        arguments = ["states", "--pid", str(os.getpid()), "--netns", names]
        tracer = stack.enter_context(Tracer(*arguments))
        workload = Workload(tracer, spaces, layout)
        stack.callback(workload.close)
        before = {name: workload.keys(name) for name in ("tt_socks", "tt_listeners")}
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


def test_running_owners_are_kept(run: Run) -> None:
    assert run.names_held == len(HELD)


def test_no_socket_is_kept_after_its_end(run: Run) -> None:
    assert run.left["tt_socks"] == set()


def test_no_listener_is_kept_after_its_end(run: Run) -> None:
    assert run.left["tt_listeners"] == set()


def test_no_process_is_kept_after_its_end(run: Run) -> None:
    assert run.left["tt_tasks"] == set()


def test_no_target_is_kept_after_its_end(run: Run) -> None:
    assert run.left["tt_targets"] == set()
