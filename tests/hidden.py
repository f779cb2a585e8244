"""What no BPF program can see: events that come while a thread of the first process runs.

A kernel may keep BPF off its first process, and some do: while `current` is a thread of PID 1 no
program runs, nor for the packets that an interrupt works off in the middle of it, and no counter
of the kernel's says so (`recursion_misses` does not). Classic trace events are recorded all the
same. With them an exact test stays exact: what a tracer did not tell is what was hidden from it,
neither more nor less. On a kernel that hides nothing, nothing is missing at all.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

FIRST = Path("/proc/1/task")
BUFFER_KB = 8192  # of each CPU, for the few events that the filter lets through
STATE, DESTROY, FREE = (
    "sock/inet_sock_set_state",
    "tcp/tcp_destroy_sock",
    "sched/sched_process_free",
)
_STATE = re.compile(
    r" inet_sock_set_state: .* sport=(\d+) dport=(\d+) .* oldstate=TCP_(\w+) newstate=TCP_(\w+)$",
    re.MULTILINE,
)
_DESTROY = re.compile(r" tcp_destroy_sock: .* sock_cookie=([0-9a-f]+)$", re.MULTILINE)
_FREE = re.compile(r" sched_process_free: .* pid=(\d+) prio=", re.MULTILINE)
_LOST = re.compile(r"^(?:overrun|commit overrun|dropped events): ([1-9]\d*)$", re.MULTILINE)

# what of TCP a timer or a packet from afar may bring at any moment
ANY = (STATE, DESTROY, "tcp/tcp_retransmit_skb", "tcp/tcp_send_reset", "tcp/tcp_receive_reset")
_ANY = re.compile(r"^ *\S.*-\d+ +\[\d+\] \S+ +[\d.]+: (\w+):", re.MULTILINE)

Key = TypeVar("Key")


class HiddenFromProgramsError(Exception):
    """A test failed, and something of TCP came in the first process's time meanwhile."""


class Hidden:
    """What happened in the first process's time since this began; `read` brings it up to date."""

    def __init__(self, instance: Path, port: int) -> None:
        self.transitions: Counter[tuple[str, int, int]] = Counter()  # ("OLD NEW", sport, dport)
        self.destroyed: set[int] = set()  # cookies of sockets
        self.freed: set[int] = set()  # PIDs, or TIDs, of what has ended
        self._instance = instance
        self._threads = threads()
        mine = _whose(self._threads)
        ported = f"(sport == {port} || dport == {port}) && ({mine})"
        _record(instance, {STATE: ported, DESTROY: ported, FREE: mine})

    def read(self) -> None:
        """Read what has been recorded up to now."""
        text = (self._instance / "trace").read_text()
        self.transitions = Counter(
            (f"{old} {new}", int(sport), int(dport))
            for sport, dport, old, new in _STATE.findall(text)
        )
        self.destroyed = {int(cookie, 16) for cookie in _DESTROY.findall(text)}
        self.freed = {int(pid) for pid in _FREE.findall(text)}

    def end(self) -> None:
        """Record no more and read it all; fails if the record may have gaps."""
        for event in (STATE, DESTROY, FREE):
            (self._instance / f"events/{event}/enable").write_text("0")
        self.read()
        for stats in self._instance.glob("per_cpu/cpu*/stats"):
            assert not _LOST.search(stats.read_text()), f"{stats.parent.name}: events lost"
        assert threads() <= self._threads, "the first process has new threads, not looked at"

    @property
    def steps(self) -> Counter[str]:
        """How often each transition was hidden, "OLD NEW"."""
        found: Counter[str] = Counter()
        for (step, _, _), count in self.transitions.items():
            found[step] += count
        return found

    def views(self, whole: Counter[Key], name: Callable[[Key], str]) -> list[Counter[Key]]:
        """What of so many transitions can be told: all, or all but exactly the hidden ones.

        `name` gives the "OLD NEW" of a key; no two keys have the same.
        """
        names = {key: name(key) for key in whole}
        assert len(set(names.values())) == len(names)
        steps = self.steps
        return [whole, whole - Counter({key: steps[step] for key, step in names.items()})]


def threads() -> set[int]:
    """The threads of the first process."""
    return {int(entry.name) for entry in FIRST.iterdir()}


@contextmanager
def hidden_events(port: int) -> Iterator[Hidden]:
    """Record what BPF cannot see of the sockets that have this port, and ends of processes.

    Its buffer and its filters are an instance of its own: the machine's own tracing is not touched.
    """
    with _instance() as instance:
        hidden = Hidden(instance, port)
        yield hidden
        hidden.end()


@contextmanager
def anything_hidden() -> Iterator[Callable[[], Counter[str]]]:
    """Record what of TCP comes in the first process's time; call it for how often, by event."""
    with _instance() as instance:
        mine = _whose(threads())
        _record(instance, dict.fromkeys(ANY, mine))
        yield lambda: Counter(_ANY.findall((instance / "trace").read_text()))


@contextmanager
def _instance() -> Iterator[Path]:
    with tracefs() as mounted:
        instance = mounted / "instances" / f"tt{os.getpid()}-{time.monotonic_ns() % 10**9}"
        instance.mkdir()
        try:
            yield instance
        finally:
            instance.rmdir()  # ends its events as well


def _whose(tids: set[int]) -> str:
    return " || ".join(f"common_pid == {tid}" for tid in sorted(tids))


def _record(instance: Path, events: dict[str, str]) -> None:
    """Record each of the events that its filter lets through."""
    (instance / "buffer_size_kb").write_text(str(BUFFER_KB))
    for event, which in events.items():
        (instance / "events" / event / "filter").write_text(which)
        (instance / "events" / event / "enable").write_text("1")


@contextmanager
def tracefs() -> Iterator[Path]:
    """Mount it on a directory of its own: where it is otherwise, if anywhere, does not matter."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["mount", "-t", "tracefs", "tracefs", directory], check=True)
        try:
            yield Path(directory)
        finally:
            subprocess.run(["umount", directory], check=True)
