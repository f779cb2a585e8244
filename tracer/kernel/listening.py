"""Listening sockets: who holds each, who owns it when its owner lets go, what it counted."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tracer.kernel import maps
from tracer.kernel.counts import await_programs
from tracer.kernel.loader import BpfObject
from tracer.kernel.passes import read_all, read_sockets
from tracer.wire.distinct import distinct
from tracer.wire.filters import Filters
from tracer.wire.layout import Layout, Records
from tracer.wire.refuse import Mask, as_sockets, refuse

CHILDREN_END_NS = 1_000_000_000  # by then what waited in a closed listener's queue has ended


class Listening:
    """`holders` are all descriptors of listening sockets, as of the last look."""

    def __init__(
        self,
        bpf: BpfObject,
        layout: Layout,
        filters: Filters,
        control: Records,
        tell: Callable[[str], None],
    ) -> None:
        self._object, self._layout, self._filters = bpf, layout, filters
        self._control = control
        self._tell = tell
        self._row = layout.dtypes["listener_row"]
        self._marks = layout.enums["mark"]
        self._of_names = np.uint8(self._marks["COMM"] | self._marks["NOT_COMM"])
        self._closed: list[Records] = []  # since they were last told of
        self.holders = self._find_holders()

    def _find_holders(self) -> Records:
        """Look at all descriptors; connections that were passed on are given to who holds them."""
        control = self._control
        control["holders_look"] += 1
        control["passed_on"] = control["second_pass"] = 0
        found = self._pass()
        if control["passed_on"][0]:
            control["second_pass"] = 1
            self._pass()
        return found

    def _pass(self) -> Records:
        return read_all(self._object, "tt_iter_files", self._layout.dtypes["holder_row"])

    def look(self) -> Records:
        """Look again who holds each socket; one that its owner let go of finds an heir."""
        self.holders = self._find_holders()
        self._settle()
        return self.holders

    def _settle(self) -> None:
        """Give listeners that were let go of to an heir, and forget the marks of who let go."""
        rows = self.holders
        fd, dtype = self._object.map_fd("tt_listeners"), self._layout.dtypes["listener"]
        for cookie in distinct(rows["cookie"]):
            key = cookie.reshape(1).copy()
            holders = rows[rows["cookie"] == cookie]
            found = maps.get(fd, key, dtype)
            if found is None:
                continue
            kept = found.copy()

            if not _holds(holders, kept["pid"], kept["start"]).any():
                opener = _holds(holders, kept["opener_pid"], kept["opener_start"])
                heir = holders[int((opener if opener.any() else holders["start"]).argmax())]
                for name in ("pid", "start", "cgroup_id"):
                    kept[name] = heir[name]
            # the owner's name may change: it is looked up where it matters
            owns = _holds(holders, kept["pid"], kept["start"])
            marks = np.where(owns, holders["marks"] & ~self._of_names, holders["marks"])
            kept["marks"] = np.bitwise_or.reduce(marks)
            # an accept meanwhile has made another owner: that one stands
            if kept != found and maps.get(fd, key, dtype) == found:
                maps.replace(fd, key, kept)

    def rows(self, final: bool) -> Records:
        """Every listening socket of the namespaces asked for, and those closed since last time.

        One that has just closed, whose children may still be ending, waits for the next look, if
        this is not the `final` one.
        """
        # peaks from here on belong to the next look; those of this one are at rest
        look = int(self._control["look"][0])
        self._control["look"] = look + 1
        await_programs()
        wanted = set(self._filters.netns) or None
        rows = read_sockets(self._object, "tt_iter_listeners", self._row, wanted, self._tell)
        closed = [*self._closed, self._take_closed(look, final)]
        self._closed.clear()
        return np.concatenate([rows, *closed])

    def collect_closed(self) -> None:
        """Take those that closed out of the kernel; they are told of at the next look."""
        self._closed.append(self._take_closed(int(self._control["look"][0]), False))

    def _take_closed(self, look: int, final: bool) -> Records:
        """Listeners that closed: what they counted, and then nothing is kept of them."""
        fd, counted = self._object.map_fd("tt_listeners"), self._object.map_fd("tt_queues")
        dtypes = self._layout.dtypes
        found: list[Records] = []
        marks: list[int] = []
        settled_ns = time.monotonic_ns() - CHILDREN_END_NS
        for cookie in maps.keys(counted, np.dtype(np.uint64)):
            key = cookie.reshape(1).copy()
            queue = maps.get(counted, key, dtypes["queue"])
            if queue is None or not queue["closed_ns"][0]:
                continue
            if not final and queue["closed_ns"][0] > settled_ns:
                continue
            kept = maps.get(fd, key, dtypes["listener"])
            for entries in (fd, counted):
                maps.delete(entries, key)
            if kept is None:
                continue  # there was no room for it
            row = np.zeros(1, self._row)
            for part in (kept, queue):
                for name in set(self._row.names or ()) & set(part.dtype.names or ()):
                    row[name] = part[name]
            row["cookie"] = cookie
            for peak in ("accept_queue_peak", "syn_queue_peak"):
                word = int(queue[peak + "s"][0][look % 2])
                row[peak] = word & 0xFFFFFFFF if word >> 32 == look else 0
            found.append(row)
            marks.append(int(kept["marks"][0]))
        rows = np.concatenate([np.zeros(0, self._row), *found])
        asked = self._filters.of_sockets()
        held = np.array(marks, np.uint8)

        def owned(name: str, part: Filters, _: Records) -> Mask:
            return held & self._marks[name if part is asked else f"NOT_{name}"] > 0

        rows["matched"] = refuse(asked, as_sockets(rows, self._layout), self._layout, owned)[0]
        return rows


def _holds(holders: Records, pid: Records, start: Records) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (holders["pid"] == pid) & (holders["start"] == start)
    return found
