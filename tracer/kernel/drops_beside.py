"""The programs of `syn_drop` in an object of their own, beside the session's while it is wanted.

They share all maps with the session's programs, its listeners and buffers and what is counted of
each listener, so nothing is counted twice and each record comes by the same road. What is their own
goes when they go: constants, and the counts of drops, which are those since they were attached.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from tracer.kernel import maps, syn_drops
from tracer.kernel.account import Account
from tracer.kernel.core import CoreObject
from tracer.kernel.ladder import Ladder
from tracer.kernel.passes import read_sockets
from tracer.kernel.settings import Settings
from tracer.kernel.setup import write_config
from tracer.probes import Rung
from tracer.wire.btf import Btf
from tracer.wire.layout import Layout

OWN = ("tt_drops",)


class DropsBeside:
    """Attached when it is made. `since_ns`: what was dropped from then on is told."""

    def __init__(
        self,
        host: CoreObject,
        path: Path,
        types: Btf,
        layout: Layout,
        settings: Settings,
        ladder: Ladder,
        tell: Callable[[str], None],
    ) -> None:
        rung = ladder.later["syn_drop"]
        self.how = rung.how
        self._object = bpf = CoreObject(path, types, layout, host.messages)
        try:
            bpf.share(host, OWN)
            bpf.choose([*rung.programs, "tt_iter_hearing"])
            syn_drops.write_setup(bpf, layout, rung.how == "raw_tp")
            wanted = replace(settings, kinds=settings.wanted | {"syn_drop"})
            write_config(bpf, layout, wanted, ladder, host.entries("tt_places"))
            bpf.load()
            self.counts = syn_drops.DropCounts(bpf, layout)
            self._control = host.variable("tt_control", layout.dtypes["control"])
            self._attach(layout, rung, tell)
            self.account = Account(bpf, layout, list(rung.programs))
        except BaseException:
            self.close()
            raise

    def _attach(self, layout: Layout, rung: Rung, tell: Callable[[str], None]) -> None:
        """Attach, then look at the kernel's counters on all CPUs, and tell of what comes after.

        The other way round, what was dropped in between would be the next packet's.
        """
        self._control["drops_wait"] = 1
        try:
            self._object.attach_all(rung.programs)
            seen = self._object.map_fd("tt_mibs")
            for key in maps.keys(seen, np.dtype(np.uint64)):
                maps.delete(seen, key.reshape(1).copy())
            read_sockets(self._object, "tt_iter_hearing", layout.dtypes["sock_row"], None, tell)
            self.since_ns = time.monotonic_ns()
        finally:
            self._control["drops_wait"] = 0

    def detach(self) -> None:
        """Take the programs off their hooks; `counts` stay readable until `close`."""
        self._object.detach()

    def close(self) -> None:
        """Leave nothing behind."""
        self._object.close()
