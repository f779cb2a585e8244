"""Programs in an object of their own, beside the session's for as long as they are wanted.

They share all maps with the session's programs, its listeners and buffers and what is counted of
each listener, so nothing is counted twice and each record comes by the same road. What is their own
goes when they go: constants, and the counts of drops, which are those since they were attached.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tracer.kernel import before_packets, kernel_btf, maps, packets, syn_drops
from tracer.kernel.account import Account
from tracer.kernel.core import CoreObject
from tracer.kernel.ladder import Ladder
from tracer.kernel.loader import BpfObject
from tracer.kernel.passes import read_sockets
from tracer.kernel.settings import Settings
from tracer.kernel.setup import write_config
from tracer.probes import DROP, SYN_DROP
from tracer.wire.btf import Btf
from tracer.wire.layout import Layout

HEARING = "tt_iter_hearing"


@dataclass(frozen=True)
class Host:
    """The session that they are beside."""

    bpf: BpfObject
    path: Path
    types: Btf
    layout: Layout
    settings: Settings
    ladder: Ladder
    tell: Callable[[str], None]


class DropsBeside:
    """Attached when it is made, after `turn` has returned: what is dropped from then on is told."""

    name: str
    own: tuple[str, ...]  # maps

    def __init__(self, host: Host, turn: Callable[[], None] = lambda: None) -> None:
        self._host = host
        self.rung = host.ladder.later[self.name]
        assert isinstance(host.bpf, CoreObject)  # through BCC nothing comes later
        self._object = bpf = CoreObject(host.path, host.types, host.layout, host.bpf.messages)
        try:
            bpf.share(host.bpf, self.own)
            bpf.choose([*self.rung.programs, HEARING])
            self._set_up()
            wanted = replace(host.settings, kinds=host.settings.wanted | {self.name})
            places = host.bpf.entries("tt_places")
            write_config(bpf, host.layout, wanted, host.ladder, places)
            kernel_btf.forget()
            bpf.load()
            self._count()
            turn()
            self._attach()
            self.account = Account(bpf, host.layout, list(self.rung.programs))
        except BaseException:
            self.close()
            raise

    def _set_up(self) -> None:
        """Before `load`: constants."""
        raise NotImplementedError

    def _count(self) -> None:
        """After it: where the counts are."""
        raise NotImplementedError

    def _attach(self) -> None:
        raise NotImplementedError

    def _look_who_listens(self) -> None:
        dtype = self._host.layout.dtypes["sock_row"]
        read_sockets(self._object, HEARING, dtype, None, self._host.tell)

    def detach(self) -> None:
        """Take the programs off their hooks; `counts` stay readable until `close`."""
        self._object.detach()

    def close(self) -> None:
        """Leave nothing behind."""
        self._object.close()


class SynDropsBeside(DropsBeside):
    """What listeners throw away."""

    name = SYN_DROP.name
    own = ("tt_drops",)

    def _set_up(self) -> None:
        by_address = self.rung.how == "raw_tp"
        syn_drops.write_setup(self._object, self._host.layout, by_address)

    def _count(self) -> None:
        self.counts = syn_drops.DropCounts(self._object, self._host.layout)

    def _attach(self) -> None:
        """Attach, then look at the kernel's counters on all CPUs, and tell of what comes after.

        The other way round, what was dropped in between would be the next packet's.
        """
        host = self._host
        control = host.bpf.variable("tt_control", host.layout.dtypes["control"])
        control["drops_wait"] = 1
        try:
            self._object.attach_all(self.rung.programs)
            for name, target in self.rung.also:
                self._object.attach_also(name, target)
            seen = self._object.map_fd("tt_mibs")
            for key in maps.keys(seen, np.dtype(np.uint64)):
                maps.delete(seen, key.reshape(1).copy())
            self._look_who_listens()
        finally:
            control["drops_wait"] = 0


class PacketsBeside(DropsBeside):
    """What else is thrown away, and what devices have counted as it was attached."""

    name = DROP.name
    own = ("tt_packets", "tt_packets_rest")

    def _set_up(self) -> None:
        syn_drops.write_setup(self._object, self._host.layout, by_address=False)
        self.reasons = packets.write_setup(self._object, self._host.layout)
        self.subsystems = packets.subsystem_names()

    def _count(self) -> None:
        self.counts = packets.PacketCounts(self._object, self._host.layout)

    def _attach(self) -> None:
        ladder = self._host.ladder
        if not ladder.sees_drops and not ladder.may_see_drops:
            self._look_who_listens()  # else that is known: it sees to it
        self.devices_before = before_packets.read(set(self._host.settings.filters.netns) or None)
        self._object.attach_all(self.rung.programs)
