"""What the kernel counts of handshakes, without a record: bpf/handshake.h, bpf/unrecorded.h."""

from __future__ import annotations

from collections import Counter

import numpy as np

from tracer.kernel import maps
from tracer.kernel.loader import BpfObject
from tracer.wire.layout import Layout, Records

NO_ROOM = 0  # in place of a namespace: in those beyond as many as there is room for

_NETNS = np.dtype([("netns", np.uint32)])
_NET_COOKIE = np.dtype([("cookie", np.uint64)])

Counts = dict[int, dict[str, int]]


def read(bpf: BpfObject, layout: Layout, control: Records, sees_packets: bool) -> Counts:
    """How many since the session's begin, by network namespace and the kernel's counter.

    `sees_packets`: whether probes/unrecorded.bpf.c is attached.
    """
    found: dict[int, Counter[str]] = {}
    keys, values = maps.read_hash(bpf.map_fd("tt_untold"), _NETNS, layout.dtypes["untold"])
    for netns, children, synacks in zip(
        keys["netns"].tolist(), values["children"].tolist(), values["synacks"].tolist(), strict=True
    ):
        found[netns] = Counter(PassiveOpens=children, TCPSynRetrans=synacks)
    if sees_packets:
        dtype = layout.dtypes["unrecorded"]
        _, values = maps.read_percpu_hash(bpf.map_fd("tt_unrecorded"), _NET_COOKIE, dtype)
        for netns, resets, cookies in zip(
            values["netns"].max(axis=1).tolist(),
            values["resets"].sum(axis=1).tolist(),
            values["no_connection"].sum(axis=1).tolist(),
            strict=True,
        ):
            if not netns:
                continue  # met at this very moment: the next look has it
            here = found.setdefault(netns, Counter())
            here["EmbryonicRsts"] += resets
            here["SyncookiesRecv"] += cookies
    found[NO_ROOM] = Counter(
        PassiveOpens=int(control["children_unplaced"][0]),
        TCPSynRetrans=int(control["synacks_unplaced"][0]),
        unlooked=int(control["unlooked"][0]),
    )
    some = {netns: {name: n for name, n in counts.items() if n} for netns, counts in found.items()}
    return {netns: counts for netns, counts in some.items() if counts}
