"""Processes: all that run, and those that --pid asks for, which the programs are told of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracer.errors import TracerError
from tracer.kernel import maps
from tracer.kernel.loader import BpfObject
from tracer.kernel.passes import read_all
from tracer.wire.filters import Filters
from tracer.wire.layout import Layout, Records


class Processes:
    """`rows` are all processes as of the last walk; `all_ended` tells of those of --pid."""

    def __init__(
        self, bpf: BpfObject, layout: Layout, filters: Filters, *, initial_pids: bool
    ) -> None:
        self._object, self._layout, self._filters = bpf, layout, filters
        self._initial_pids = initial_pids
        self._targets = bpf.map_fd("tt_targets")
        marks = layout.enums["mark"]
        self._wanted = dict.fromkeys(filters.pids, marks["PID"])
        for pid in filters.excluded.pids:
            self._wanted[pid] = self._wanted.get(pid, 0) | marks["NOT_PID"]
        self._mark_wanted = marks["PID"]
        self._target = layout.dtypes["target"]
        self.all_ended = False
        self.rows = self._mark()

    def _mark(self) -> Records:
        """Mark the processes asked for and their descendants; returns all processes.

        Walks until a walk finds no more: a child born in between is either found by the next
        walk or was added by the fork probe, as its parent was marked by then.
        """
        wanted = set(self._wanted)
        known: dict[int, int] = {}
        while True:
            rows = self._walk(wanted)
            targets = rows[np.isin(rows["local_pid"], list(wanted)) & (rows["local_pid"] > 0)]
            missing = wanted - set(targets["local_pid"].tolist())
            if missing and not known:
                raise TracerError(
                    f"no process has the PID {min(missing)}", "look it up: pgrep -a NAME"
                )
            marks = self._marks_of(rows, targets)
            if marks.items() <= known.items():
                for gone in known.keys() - set(rows["pid"].tolist()):
                    # ended before it was put there
                    maps.delete(self._targets, np.array([gone], np.uint32))
                return rows
            entry = np.zeros(1, self._layout.dtypes["target"])
            for row in rows[np.isin(rows["pid"], list(marks))]:
                pid = row["pid"].reshape(1).copy()
                if known.get(int(row["pid"])) != marks[int(row["pid"])]:
                    entry["start"], entry["marks"] = row["start"], marks[int(row["pid"])]
                    self._put(pid, entry)
            known |= marks

    def _put(self, pid: NDArray[np.uint32], entry: Records) -> None:
        try:
            maps.put(self._targets, pid, entry)
        except OSError as error:
            if error.errno not in maps.FULL:
                raise
            raise TracerError(
                "--pid asks for more processes than there is room for", "leave out some of them"
            ) from error

    def _marks_of(self, rows: Records, targets: Records) -> dict[int, int]:
        """Marks by tgid, of the targets and, if they are to be followed, all below them."""
        marks: dict[int, int] = {}
        for row in targets:
            pids = {int(row["pid"])}
            for pid in _descendants(rows, pids) if self._filters.follow else pids:
                marks[pid] = marks.get(pid, 0) | self._wanted[int(row["local_pid"])]
        return marks

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

    def _kept(self, name: str) -> set[int]:
        """What a map of start times by tgid holds, as `packed` has processes."""
        fd, dtype = self._object.map_fd(name), self._value(name)
        found = set()
        for pid in maps.keys(fd, np.dtype(np.uint32)):
            value = maps.get(fd, pid.reshape(1).copy(), dtype)
            if value is not None:
                found.add(int(pid) << 32 | int(value["start"][0]))
        return found

    def sweep(self) -> None:
        """Walk again, and forget processes that ended without tt_free being told.

        A PID that has come to another process since is that one's.
        """
        # what is kept first: a process that comes afterwards is in neither list
        kept = {name: self._kept(name) for name in ("tt_tasks", "tt_targets", "tt_named")}
        rows = self.rows = self._walk(set(self._wanted))
        for name, processes in kept.items():
            if not self._initial_pids:
                break  # those outside this PID namespace are in no walk, and may well live
            for gone in processes - set(packed(rows).tolist()):
                self._forget(name, gone)
        # as of now: who ended since it was read may have a child by then, which counts as living
        # though this walk may not have met it
        ended = set(packed(rows[rows["ended"] != 0]).tolist())
        left = self._kept("tt_targets") - ended
        self.all_ended = not any(self._is_wanted(process) for process in left)

    def _is_wanted(self, process: int) -> bool:
        key = np.array([process >> 32], np.uint32)
        found = maps.get(self._targets, key, self._layout.dtypes["target"])
        return found is not None and bool(found["marks"][0] & self._mark_wanted)

    def _value(self, name: str) -> np.dtype[np.void]:
        return np.dtype([("start", np.uint32)]) if name == "tt_tasks" else self._target

    def _forget(self, name: str, process: int) -> None:
        fd, pid = self._object.map_fd(name), np.array([process >> 32], np.uint32)
        found = maps.get(fd, pid, self._value(name))
        if found is not None and int(found["start"][0]) == process & 0xFFFFFFFF:
            maps.delete(fd, pid)


def packed(processes: Records) -> NDArray[np.uint64]:
    """tgid and start time as one number, which is a process: a PID alone may be used again."""
    found: NDArray[np.uint64] = processes["pid"].astype(np.uint64) << np.uint64(32)
    found |= processes["start"]
    return found


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
