"""Processes: all that run, and those that --pid asks for, which the programs are told of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracer.errors import TracerError
from tracer.kernel import maps
from tracer.kernel.core import CoreObject
from tracer.kernel.passes import read_all
from tracer.wire.filters import Filters
from tracer.wire.layout import Layout, Records


class Processes:
    """`rows` are all processes as of the last walk; `all_ended` tells of those of --pid."""

    def __init__(
        self, bpf: CoreObject, layout: Layout, filters: Filters, *, initial_pids: bool
    ) -> None:
        self._object, self._layout, self._filters = bpf, layout, filters
        self._initial_pids = initial_pids
        self._targets = bpf.map_fd("tt_targets")
        self.all_ended = False
        self.rows = self._mark()

    def _mark(self) -> Records:
        """Mark the processes of --pid and their descendants; returns all processes.

        Walks until a walk finds no more: a child born in between is either found by the next
        walk or was added by the fork probe, as its parent was a target by then.
        """
        wanted = set(self._filters.pids)
        known: set[int] = set()
        while True:
            rows = self._walk(wanted)
            targets = rows[np.isin(rows["local_pid"], list(wanted)) & (rows["local_pid"] > 0)]
            missing = wanted - set(targets["local_pid"].tolist())
            if missing and not known:
                raise TracerError(
                    f"no process has the PID {min(missing)}", "look it up: pgrep -a NAME"
                )
            pids = set(targets["pid"].tolist())
            if self._filters.follow:
                pids = _descendants(rows, pids)
            if pids <= known:
                for gone in known - set(rows["pid"].tolist()):
                    # ended before it was put there
                    maps.delete(self._targets, np.array([gone], np.uint32))
                return rows
            for row in rows[np.isin(rows["pid"], list(pids - known))]:
                pid, start = row["pid"].reshape(1).copy(), row["start"].reshape(1).copy()
                maps.put(self._targets, pid, start)
            known |= pids

    def _walk(self, wanted: set[int]) -> Records:
        """Rows of all processes. A kernel may hide one from iterators, though /proc shows it."""
        rows = read_all(self._object, "tt_iter_task", self._layout.dtypes["task_row"])
        hidden = wanted - set(rows["local_pid"].tolist())
        more = [row for pid in hidden if (row := self._from_proc(pid)) is not None]
        return np.concatenate([rows, *more])

    def _from_proc(self, pid: int) -> Records | None:
        """The row of a process from /proc; None where its kernel-wide PID is not known."""
        if not self._initial_pids:
            return None
        try:
            # pid (comm) state ppid …: comm may hold spaces and brackets
            comm, _, rest = (
                Path(f"/proc/{pid}/stat").read_bytes().partition(b"(")[2].rpartition(b")")
            )
        except OSError:
            return None
        fields = rest.split()
        row = np.zeros(1, self._layout.dtypes["task_row"])
        row["pid"] = row["local_pid"] = pid
        row["ppid"] = row["local_ppid"] = int(fields[1])
        row["start"] = int(fields[19]) % 2**32
        row["comm"] = comm
        return row

    def targets(self) -> NDArray[np.uint32]:
        """tgids of the processes of --pid and below that still live."""
        return maps.keys(self._targets, np.dtype(np.uint32))

    def sweep(self) -> None:
        """Walk again, and forget processes that ended without tt_free being told."""
        # the keys first: a process that comes afterwards is in neither list
        known = {
            name: maps.keys(self._object.map_fd(name), np.dtype(np.uint32))
            for name in ("tt_tasks", "tt_targets")
        }
        rows = self.rows = self._walk(set(self._filters.pids))
        for name, pids in known.items():
            for pid in np.setdiff1d(pids, rows["pid"]):
                maps.delete(self._object.map_fd(name), np.array([pid], np.uint32))
        living = rows["pid"][rows["ended"] == 0]
        self.all_ended = not np.isin(known["tt_targets"], living).any()


def _descendants(rows: Records, pids: set[int]) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid, ppid in zip(rows["pid"].tolist(), rows["ppid"].tolist(), strict=True):
        children.setdefault(ppid, []).append(pid)
    found, todo = set(pids), list(pids)
    while todo:
        for child in children.get(todo.pop(), ()):
            if child not in found:
                found.add(child)
                todo.append(child)
    return found
