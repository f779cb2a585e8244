"""What the program of bpf/probes/drop.bpf.c needs from user space, and the counts it keeps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracer.kernel import kernel_btf, maps
from tracer.kernel.counts import await_programs
from tracer.kernel.loader import BpfObject
from tracer.wire import reasons
from tracer.wire.layout import Layout, Records

PREFIX, OF_SUBSYSTEM = "SKB_DROP_REASON_", "SKB_DROP_REASON_SUBSYS_"
NO_REASONS = ("MAX", "SUBSYS_MASK")
# those of subsystems that stand in the kernel's own types, not in a module's
ENUMS = ("skb_drop_reason", "qdisc_drop_reason", "mac80211_drop_reason")

# arguments of kfree_skb that tell a packet's socket as well: since Linux commit c53795d48ee8
# ("net: add rx_sk to trace_kfree_skb") (in v6.11)
_WITH_SOCKET = 4
UNTOLD = (
    "this kernel does not tell which connection a dropped packet came to: whose it was is known by"
    " its listener's port, of old data and full buffers not even its namespace"
)


def tells_sockets() -> bool:
    """Whether it is told which socket a packet that is thrown away came to."""
    return kernel_btf.told_by("kfree_skb") >= _WITH_SOCKET


def reason_names() -> dict[int, str]:
    """The kernel's reasons by number, without the prefix; of the core and what is built in."""
    found = {}
    for enum in ENUMS:
        for name, value in kernel_btf.enum(enum).items():
            short = name.removeprefix(PREFIX if name.startswith(PREFIX) else "SKB_")
            if short not in NO_REASONS:
                found[value & 0xFFFFFFFF] = short
    return found


def subsystem_names() -> dict[int, str]:
    """What the high half of a reason stands for."""
    found = kernel_btf.enum("skb_drop_reason_subsys")
    return {value: name.removeprefix(OF_SUBSYSTEM) for name, value in found.items()}


def write_setup(bpf: BpfObject, layout: Layout) -> dict[int, str]:
    """Before `load`: which reasons are harmless, and which come early. Returns their names."""
    setup = bpf.setting("tt_drop_setup", layout.dtypes["drop_setup"])
    words = setup["expected"].shape[-1]
    names = reason_names()
    for number, name in names.items():
        if number >= words * 64:
            continue
        bit = np.uint64(1 << number % 64)
        if reasons.is_expected(name, None, False):
            setup["expected"][0, number // 64] |= bit
        if name in reasons.ARRIVING:
            setup["arriving"][0, number // 64] |= bit
    return names


class PacketCounts:
    """What was thrown away since the session's begin: by reason, place, port and owner.

    `take` is exact: what found no room among the places is counted by reason.
    """

    def __init__(self, bpf: BpfObject, layout: Layout) -> None:
        self._places, self._rest = bpf.map_fd("tt_packets"), bpf.map_fd("tt_packets_rest")
        self._key, self._value = layout.dtypes["packet_key"], layout.dtypes["packet_value"]
        self._entries = bpf.entries("tt_packets_rest")

    def take(self) -> tuple[Records, NDArray[np.uint64]]:
        """Pairs of key and value, and the rest by its index: see bpf/probes/drop.bpf.c."""
        await_programs()
        keys, values = maps.read_hash(self._places, self._key, self._value)
        pairs = np.zeros(len(keys), np.dtype([("key", self._key), ("value", self._value)]))
        pairs["key"], pairs["value"] = keys, values
        return pairs, maps.read_percpu_counts(self._rest, self._entries)
