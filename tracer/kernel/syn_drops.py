"""What the programs of bpf/probes/syn_drop.bpf.c need from user space, and the counts they keep."""

from __future__ import annotations

from itertools import product

import numpy as np

from tracer.kernel import maps, mib, symbols
from tracer.kernel.counts import await_programs
from tracer.kernel.loader import BpfObject
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


def find_code() -> dict[str, list[symbols.Range]]:
    """Where the functions lie: it takes longest, and may be done beforehand."""
    return symbols.of_kernel((*SYN_ENDS, *ACK_ENDS))


def write_setup(bpf: BpfObject, layout: Layout, by_address: bool) -> None:
    """Before `load`: indexes of counters, the number of CPUs; `by_address`: ranges of functions.

    Errors: OSError, UnsupportedError where the kernel does not tell them.
    """
    setup = bpf.setting("tt_syn_setup", layout.dtypes["syn_setup"])
    found = find_code() if by_address else {}
    for names, prefix in ((SYN_ENDS, "syn"), (ACK_ENDS, "ack")):
        spans = [span for name in names for span in found.get(name, ())]
        for i, (start, end) in enumerate(spans):
            setup[f"{prefix}_from"][0, i] = start
            setup[f"{prefix}_to"][0, i] = end
    counters = layout.enums["mib"]
    listeners = counters.keys() - {"MAX", "OUTNOROUTES"}
    found_at = mib.find(listeners) | mib.find(["OUTNOROUTES"], prefix="IPSTATS_MIB_")
    for name, index in found_at.items():
        setup["mib"][0, counters[name]] = index
    setup["cpus"] = maps.possible_cpus()


class DropCounts:
    """What was thrown away since the session's begin, by listener, cause, stage and answer.

    Entries of listeners that are gone are taken out of the kernel's map, which has little room.
    """

    def __init__(self, bpf: BpfObject, layout: Layout) -> None:
        self._drops, self._listeners = bpf.map_fd("tt_drops"), bpf.map_fd("tt_listeners")
        self._key, self._value = layout.dtypes["drop_key"], layout.dtypes["drop_value"]
        self._gone: list[Records] = []
        self._leaving: set[int] = set()  # listeners that were gone at the last look
        self._make_rest(layout)

    def _make_rest(self, layout: Layout) -> None:
        """Entries of no listener: where the map is full, packets are counted there."""
        enums = layout.enums
        key = np.zeros(1, self._key)
        value = np.zeros(maps.possible_cpus(), self._value)
        for key["cause"], key["stage"], key["answer"], key["matched"] in product(
            range(enums["cause"]["MAX"]),
            enums["stage"].values(),
            enums["answer"].values(),
            (0, 1),
        ):
            maps.put(self._drops, key, value)

    def take(self) -> Records:
        """Pairs of key and value, summed over the CPUs; a key may be there twice."""
        living = set(maps.keys(self._listeners, np.dtype(np.uint64)).tolist()) | {0}
        await_programs()  # what they count of a listener that is gone stands from here on
        keys, values = maps.read_percpu_hash(self._drops, self._key, self._value)
        pairs = np.zeros(len(keys), np.dtype([("key", self._key), ("value", self._value)]))
        pairs["key"] = keys
        # the owner, from a CPU that has met one
        fullest = values["packets"].argmax(axis=1)
        pairs["value"] = values[np.arange(len(keys)), fullest]
        for name in ("packets", "wanted_cookies"):
            pairs["value"][name] = values[name].sum(axis=1)
        told = np.concatenate([*self._gone, pairs])
        self._forget(pairs, living)
        return told[told["value"]["packets"] > 0]

    def _forget(self, pairs: Records, living: set[int]) -> None:
        """Keep here what is at rest: of listeners that had gone before the last look."""
        gone = set(pairs["key"]["listener_cookie"].tolist()) - living
        for pair in pairs[np.isin(pairs["key"]["listener_cookie"], list(gone & self._leaving))]:
            maps.delete(self._drops, pair["key"].reshape(1).copy())
            self._gone.append(pair.reshape(1).copy())
        self._leaving = gone
