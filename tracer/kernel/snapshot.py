"""The sockets as they are now: three iterators and nothing attached, so nothing that is traced.

A pass gives processes, descriptors and sockets as rows; who owns what is found from them in
tracer/flows/owners.py.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from tracer.kernel import objects, preflight
from tracer.kernel.core import CoreObject
from tracer.kernel.passes import INSIDE, read_all, read_sockets
from tracer.kernel.ticks import tick_ns
from tracer.probes import CONNECTIONS, HOLDERS, LISTENERS
from tracer.wire.btf import Btf
from tracer.wire.layout import Layout, Records, derive


@dataclass(frozen=True)
class Looked:
    """Rows of one pass, and the moment it ended (CLOCK_MONOTONIC).

    `sockets` are `open_row`, or `listener_row` where queues are looked at.
    """

    tasks: Records
    holders: Records
    sockets: Records
    mono_ns: int


class SnapshotSource:
    """The iterators, loaded alone: with `queues` that of listening sockets, else of all sockets.

    `inodes`: those of the sockets are asked for.
    """

    def __init__(self, queues: bool = False, inodes: bool = False) -> None:
        preflight.check_looking()
        path = objects.find()
        types = Btf.load(path)
        self.layout: Layout = derive(types)
        self.notices: list[str] = []
        (self._program,) = (LISTENERS if queues else CONNECTIONS).rungs[0].programs
        self._row = self.layout.dtypes["listener_row" if queues else "open_row"]
        self._object = CoreObject(path, types, self.layout)
        try:
            self._object.choose((*HOLDERS.rungs[0].programs, self._program))
            self._object.leave_out_maps()
            config = self._object.setting("tt_config", self.layout.dtypes["config"])
            config["alone"], config["inodes"], config["tick_ns"] = 1, inodes, tick_ns()
            self._object.load()
            self._control = self._object.variable("tt_control", self.layout.dtypes["control"])
        except BaseException:
            self.close()
            raise

    def look(self, netns: frozenset[int]) -> Looked:
        """One pass over all processes and descriptors, and the sockets of these namespaces.

        None given: of all that a process is in or that have a name. Descriptors come last: what
        was accepted meanwhile has its owner then.
        """
        dtypes = self.layout.dtypes
        sockets = self.sockets(netns)
        holders = read_all(self._object, "tt_iter_holders", dtypes["holder_row"])
        tasks = read_all(self._object, "tt_iter_task", dtypes["task_row"])
        if not self.initial_pids:
            self._tell_once(INSIDE)
        return Looked(tasks, holders, sockets, time.monotonic_ns())

    def sockets(self, netns: frozenset[int]) -> Records:
        """One pass over the sockets of these namespaces alone."""
        wanted = set(netns) or None
        return read_sockets(self._object, self._program, self._row, wanted, self._tell_once)

    @property
    def asked_for_descriptors(self) -> list[int]:
        """States of sockets whose holders may run out of them."""
        return [self.layout.enums["tcp_state"][name] for name in ("LISTEN", "CLOSE_WAIT")]

    @property
    def initial_pids(self) -> bool:
        """Whether PIDs are those of the initial PID namespace; known after the first look."""
        return int(self._control["pidns_level"][0]) == 0

    def _tell_once(self, text: str) -> None:
        if text not in self.notices:
            self.notices.append(text)

    def close(self) -> None:
        """Leave nothing behind."""
        self._object.close()
