"""What the programs of bpf/probes/syn_drop.bpf.c need from user space, and the counts they keep."""

from __future__ import annotations

import numpy as np

from tracer.kernel import maps, mib, symbols
from tracer.kernel.core import CoreObject
from tracer.wire.layout import Layout, Records

# where a SYN that a listener took is freed, dropped or not
SYN_ENDS = ("tcp_rcv_state_process",)
# where a final ACK is freed that made no socket, with a cookie or without
ACK_ENDS = (
    "tcp_v4_rcv",
    "tcp_v6_rcv",
    "cookie_v4_check",
    "cookie_v6_check",
    "tcp_v4_do_rcv",
    "tcp_v6_do_rcv",
)


def write_setup(bpf: CoreObject, layout: Layout, by_address: bool) -> None:
    """Before `load`: indexes of counters, the number of CPUs; `by_address`: ranges of functions.

    Errors: OSError, UnsupportedError where the kernel does not tell them.
    """
    setup = bpf.setting("tt_syn_setup", layout.dtypes["syn_setup"])
    found = symbols.ranges((*SYN_ENDS, *ACK_ENDS)) if by_address else {}
    for names, prefix in ((SYN_ENDS, "syn"), (ACK_ENDS, "ack")):
        spans = [span for name in names for span in found.get(name, ())]
        for i, (start, end) in enumerate(spans):
            setup[f"{prefix}_from"][0, i] = start
            setup[f"{prefix}_to"][0, i] = end
    counters = layout.enums["mib"]
    for name, index in mib.indexes(name for name in counters if name != "MAX").items():
        setup["mib"][0, counters[name]] = index
    setup["cpus"] = maps.possible_cpus()


def read_counts(bpf: CoreObject, layout: Layout) -> Records:
    """What was thrown away since the session's begin: pairs of key and value, summed over CPUs."""
    key, value = layout.dtypes["drop_key"], layout.dtypes["drop_value"]
    keys, values = maps.read_percpu_hash(bpf.map_fd("tt_drops"), key, value)
    pairs = np.zeros(len(keys), np.dtype([("key", key), ("value", value)]))
    pairs["key"] = keys
    if len(keys):
        # the owner, from a CPU that has met one
        fullest = values["packets"].argmax(axis=1)
        pairs["value"] = values[np.arange(len(keys)), fullest]
        for name in ("packets", "wanted_cookies"):
            pairs["value"][name] = values[name].sum(axis=1)
    return pairs
