"""Which records of a recording are of the processes asked for: as bpf/marks.h decides live."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from tracer.attribution.cgroups import is_below
from tracer.attribution.processes import Key, ProcessTable
from tracer.wire.distinct import distinct
from tracer.wire.filters import Filters
from tracer.wire.globs import Glob
from tracer.wire.layout import Layout, Records
from tracer.wire.refuse import Mask

_EVER = np.iinfo(np.uint64).max


class Names:
    """What each process was called, and from when on."""

    def __init__(self) -> None:
        self._names: dict[int, list[tuple[int, bytes]]] = {}

    def add_rows(self, rows: Records) -> None:
        """Take the names of one walk; what events told of is newer."""
        for key, comm in zip(packed(rows).tolist(), rows["comm"].tolist(), strict=True):
            if len(self._names.get(key, ())) < 2:
                self._names[key] = [(0, comm)]

    def add_events(self, tasks: Records) -> None:
        """Take task records, in time order."""
        keys, columns = packed(tasks).tolist(), (tasks["mono_ns"].tolist(), tasks["comm"])
        for key, ns, comm in zip(keys, columns[0], columns[1].tolist(), strict=True):
            names = self._names.setdefault(key, [(0, comm)])
            if names[-1][1] != comm:
                names.append((ns, comm))

    def called(
        self, globs: tuple[str, ...], keys: NDArray[np.uint64], ns: NDArray[np.uint64]
    ) -> Mask:
        """Which of the processes had such a name at these moments."""
        found = np.zeros(len(keys), np.bool_)
        unique, which = np.unique(keys, return_inverse=True)
        for number, key in enumerate(unique.tolist()):
            names = self._names.get(key, ())
            good = [_takes(globs, comm) for _, comm in names]
            if not any(good):
                continue
            rows = np.flatnonzero(which == number)
            if all(good):
                found[rows] = True
                continue
            begins = np.array([begin for begin, _ in names], np.uint64)
            found[rows] = np.array(good)[np.searchsorted(begins, ns[rows], "right") - 1]
        return found


@cache
def _takes(globs: tuple[str, ...], comm: bytes) -> bool:
    return any(Glob.parse(text).matches(comm) for text in globs)


class Owned:
    """Tells whose records are; `holders` are those that hold listening sockets.

    Where nothing was traced, sockets are also of whoever has one of the descriptors `held`.
    """

    def __init__(
        self, processes: ProcessTable, cgroups: dict[int, str], layout: Layout, holders: Records
    ) -> None:
        self._processes, self._cgroups, self._layout = processes, cgroups, layout
        self.names = Names()
        self.holders = holders
        self.held: Records | None = None  # of a snapshot: all descriptors

    def __call__(self, name: str, filters: Filters, records: Records) -> Mask:
        """Records of the processes asked for: what waits for accept() also by any holder."""
        found = self._own(name, filters, records)
        held = self.holders[self._own(name, filters, self.holders)]
        names = self._layout.enums
        waiting = records["owner_is"] == names["owner_is"]["LISTENER"]
        for column in ("old", "new", "state"):
            if column in (records.dtype.names or ()):
                waiting |= records[column] == names["tcp_state"]["LISTEN"]
        found |= waiting & _at_one_of(held, records, self._layout)
        if self.held is not None:
            ours = self.held[self._own(name, filters, self.held)]
            found |= np.isin(records["cookie"], ours["cookie"])
        return found

    def _own(self, name: str, filters: Filters, rows: Records) -> Mask:
        keys = packed(rows)
        if name == "COMM":
            timed = "mono_ns" in (rows.dtype.names or ())
            ns = rows["mono_ns"] if timed else np.full(len(rows), _EVER, np.uint64)
            return self.names.called(filters.comms, keys, ns)
        if name == "CGROUP":
            return in_groups(filters.cgroups, self._cgroups, rows)
        wanted = self._processes.descendants(set(filters.pids), filters.follow)
        found: Mask = np.isin(keys, _packed(wanted))
        return found


def packed(records: Records) -> NDArray[np.uint64]:
    """tgid and start time of their owners as one number."""
    found: NDArray[np.uint64] = records["pid"].astype(np.uint64) << np.uint64(32)
    found |= records["start"]
    return found


def in_groups(asked: tuple[str, ...], cgroups: dict[int, str], records: Records) -> Mask:
    """Records whose owner is in one of these control groups, or below."""
    numbers = distinct(records["cgroup_id"]).tolist()
    wanted = [
        number
        for number in numbers
        if (path := cgroups.get(number)) and any(is_below(path, text) for text in asked)
    ]
    found: Mask = np.isin(records["cgroup_id"], np.array(wanted, np.uint64))
    return found


def called(globs: tuple[str, ...], processes: ProcessTable, records: Records) -> Mask:
    """Records of processes that have such a name now."""
    keys = packed(records)
    wanted = [
        key
        for key in distinct(keys).tolist()
        if (process := processes.find(key >> 32, key & 0xFFFFFFFF))
        and _takes(globs, process.comm.encode("utf-8", "replace"))
    ]
    found: Mask = np.isin(keys, np.array(wanted, np.uint64))
    return found


def _packed(keys: set[Key]) -> NDArray[np.uint64]:
    return np.array([pid << 32 | start for pid, start in keys], np.uint64)


def _at_one_of(listeners: Records, records: Records, layout: Layout) -> NDArray[np.bool_]:
    """Records of these listeners and of who waits there: by cookie where it is told, or by place.

    Several may listen on one port, at other addresses or sharing it.
    """
    names = records.dtype.names or ()
    states = layout.enums["tcp_state"]
    itself = np.zeros(len(records), np.bool_)
    for column in ("new", "state"):
        if column in names:
            itself |= records[column] == states["LISTEN"]
    if "old" in names and "new" in names:
        itself |= (records["old"] == states["LISTEN"]) & (records["new"] == states["CLOSE"])
    told = records["listener_cookie"] if "listener_cookie" in names else np.uint64(0)
    cookies = np.where(itself, records["cookie"], told)
    found: NDArray[np.bool_] = np.where(
        cookies > 0,
        np.isin(cookies, listeners["cookie"]),
        np.isin(_places(records), _places(listeners)),
    )
    return found


def _places(records: Records) -> NDArray[np.uint64]:
    """Namespace and local port as one number."""
    packed: NDArray[np.uint64] = records["netns"].astype(np.uint64) << np.uint64(16)
    packed |= records["lport"]
    return packed
