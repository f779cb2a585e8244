"""Who the PIDs are: names, ends and parents of processes, as they were told.

A process is its tgid in the initial PID namespace and its start time; `pid` is what people see, in
the PID namespace the tracer ran in, and None where it cannot be seen from there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracer.wire.layout import Records

Key = tuple[int, int]


@dataclass
class Process:
    """One process. `exited_ns` is CLOCK_MONOTONIC, 0 while it lives.

    `told`: its new names come as events from here on, each at its time.
    """

    pid: int | None
    comm: str
    parent: Key | None = None
    cgroup_id: int = 0
    exited_ns: int = 0
    told: bool = False


class ProcessTable:
    """Processes by (tgid, start)."""

    def __init__(self, renamed: int, exited: int) -> None:
        self._processes: dict[Key, Process] = {}
        self._last: dict[int, Key] = {}  # by tgid, the youngest that had it
        self._last_local: dict[int, Key] = {}  # the same by PID
        self._renamed, self._exited = renamed, exited

    def forget(self) -> None:
        """Know of none: a whole new walk follows."""
        for kept in (self._processes, self._last, self._last_local):
            kept.clear()

    def add_rows(self, rows: Records) -> None:
        """Take the rows of one walk over all processes."""
        columns = ("pid", "start", "local_pid", "local_ppid", "cgroup_id", "comm")
        # recordings of before it was kept: all are
        told = "told" if "told" in (rows.dtype.names or ()) else "start"
        found = []
        for pid, start, local, parent, cgroup, comm, events in zip(
            *(rows[column].tolist() for column in (*columns, told)), strict=True
        ):
            known = self._processes.get((pid, start))
            if known is None:
                found.append(((pid, start), parent))
                known = Process(local or None, _text(comm), None, cgroup)
                self._keep((pid, start), known)
            elif not known.told:
                known.comm = _text(comm)
            known.told = known.told or bool(events)
        for key, parent in found:  # which may have a higher PID than its child
            self._processes[key].parent = self._find_parent(key, parent)

    def _keep(self, key: Key, process: Process) -> None:
        self._processes[key] = process
        if key[1] >= self._last.get(key[0], key)[1]:
            self._last[key[0]] = key
        if process.pid and key[1] >= self._last_local.get(process.pid, key)[1]:
            self._last_local[process.pid] = key

    def _find_parent(self, key: Key, ppid: int) -> Key | None:
        """Who has this PID now, if it is old enough to be the parent."""
        parent = self._last_local.get(ppid)
        return parent if parent and parent != key and parent[1] <= key[1] else None

    def add_event(self, event: np.void) -> None:
        """Take one task record: a first sight, a new name, or an end."""
        key = int(event["pid"]), int(event["start"])
        what = int(event["event"])
        known = self._processes.get(key)
        if known is None or what not in (self._exited, self._renamed):
            known = Process(
                int(event["local_pid"]) or None,
                _text(event["comm"]),
                self._find_parent(key, int(event["local_ppid"])),
                int(event["cgroup_id"]),
            )
            self._keep(key, known)
        known.told = True
        if what == self._exited:
            known.exited_ns = int(event["mono_ns"])
        elif what == self._renamed:
            known.comm = _text(event["comm"])

    def add_unseen(self, event: np.void) -> None:
        """Take a task record that is the first to tell of its process; leave others for later."""
        if (int(event["pid"]), int(event["start"])) not in self._processes:
            self.add_event(event)

    def find(self, pid: int, start: int) -> Process | None:
        """The process, if it was ever told of."""
        return self._processes.get((pid, start))

    def local(self, tgid: int) -> int | None:
        """PID, as people see it, of whoever had this tgid last."""
        key = self._last.get(tgid)
        return self._processes[key].pid if key else None

    def is_reused(self, pid: int, start: int) -> bool:
        """Whether a later process has this one's tgid."""
        return self._last.get(pid, (pid, start))[1] != start

    def descendants(self, pids: set[int], follow: bool) -> set[Key]:
        """Keys of the processes with these PIDs and, if asked, of all below them.

        Of several that had one PID, one after the other, it is the first that is meant.
        """
        children: dict[Key | None, list[Key]] = {}
        first: dict[int | None, Key] = {}
        for key, process in self._processes.items():
            children.setdefault(process.parent, []).append(key)
            if process.pid in pids and key[1] <= first.get(process.pid, key)[1]:
                first[process.pid] = key
        todo = list(first.values())
        found = set(todo)
        while todo and follow:
            for key in children.get(todo.pop(), ()):
                if key not in found:
                    found.add(key)
                    todo.append(key)
        return found


def _text(comm: bytes) -> str:
    return comm.partition(b"\0")[0].decode("utf-8", "replace")
