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
    """One process. `exited_ns` is CLOCK_MONOTONIC, 0 while it lives."""

    pid: int | None
    comm: str
    ppid: int | None = None
    cgroup_id: int = 0
    exited_ns: int = 0


class ProcessTable:
    """Processes by (tgid, start)."""

    def __init__(self, renamed: int, exited: int) -> None:
        self._processes: dict[Key, Process] = {}
        self._by_tgid: dict[int, Process] = {}
        self._renamed, self._exited = renamed, exited

    def add_rows(self, rows: Records) -> None:
        """Take the rows of one walk over all processes."""
        columns = ("pid", "start", "local_pid", "local_ppid", "cgroup_id", "comm")
        for pid, start, local, parent, cgroup, comm in zip(
            *(rows[column].tolist() for column in columns), strict=True
        ):
            if (pid, start) not in self._processes:  # what events told of one is newer
                self._keep(
                    (pid, start), Process(local or None, _text(comm), parent or None, cgroup)
                )

    def _keep(self, key: Key, process: Process) -> None:
        self._processes[key] = process
        self._by_tgid[key[0]] = process

    def add_event(self, event: np.void) -> None:
        """Take one task record: a first sight, a new name, or an end."""
        key = int(event["pid"]), int(event["start"])
        what = int(event["event"])
        known = self._processes.get(key)
        if known and what == self._exited:
            known.exited_ns = int(event["mono_ns"])
        elif known and what == self._renamed:
            known.comm = _text(event["comm"])
        else:
            process = Process(
                int(event["local_pid"]) or None,
                _text(event["comm"]),
                int(event["local_ppid"]) or None,
                int(event["cgroup_id"]),
            )
            if what == self._exited:
                process.exited_ns = int(event["mono_ns"])
            self._keep(key, process)

    def add_unseen(self, event: np.void) -> None:
        """Take a task record that is the first to tell of its process; leave others for later."""
        if (int(event["pid"]), int(event["start"])) not in self._processes:
            self.add_event(event)

    def find(self, pid: int, start: int) -> Process | None:
        """The process, if it was ever told of."""
        return self._processes.get((pid, start))

    def local(self, tgid: int) -> int | None:
        """PID, as people see it, of whoever had this tgid last."""
        process = self._by_tgid.get(tgid)
        return process.pid if process else None

    def descendants(self, pids: set[int], follow: bool) -> set[Key]:
        """Keys of the processes with these PIDs and, if asked, of all below them."""
        children: dict[int | None, list[Key]] = {}
        for key, process in self._processes.items():
            children.setdefault(process.ppid, []).append(key)
        todo = [key for key, process in self._processes.items() if process.pid in pids]
        found = set(todo)
        while todo and follow:
            below = self._processes[todo.pop()].pid
            for key in children.get(below, ()) if below else ():
                if key not in found:
                    found.add(key)
                    todo.append(key)
        return found


def _text(comm: bytes) -> str:
    return comm.partition(b"\0")[0].decode("utf-8", "replace")
