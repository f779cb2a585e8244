"""Transitions by owner and dwell, as bpf/counts.h counts them, taken out of the kernel in turns.

The programs fill one of two turns. To read, the other is made the current one; when every program
that may have begun in the first has ended, that one is at rest: its counts are added up here and
wiped there. So nothing is counted twice or missed, and the kernel's tables never fill up with
processes that are long gone.
"""

from __future__ import annotations

import ctypes as C
import platform
import time

import numpy as np
from numpy.typing import NDArray

from tracer.kernel import maps
from tracer.kernel.loader import BpfObject
from tracer.wire.layout import Layout, Records

_TURNS = 2
_MEMBARRIER = {"x86_64": 324, "aarch64": 283}
_MEMBARRIER_GLOBAL = 1
# where the kernel refuses to say (nohz_full): a run takes microseconds
_SURELY_ENDED_S = 0.02


def await_programs() -> None:
    """Return when every run of a program that had begun before this call has ended.

    Programs run within an RCU read section, and membarrier(2) ends with synchronize_rcu() since
    Linux commit 5b25b13ab08f ("sys_membarrier(): system-wide memory barrier (generic, x86)") (in
    v4.3).
    """
    number = _MEMBARRIER.get(platform.machine())
    if number is None or C.CDLL(None).syscall(number, _MEMBARRIER_GLOBAL, 0, 0):
        time.sleep(_SURELY_ENDED_S)


def make_room(bpf: BpfObject, layout: Layout) -> None:
    """Before `load`: a part for each CPU, turn and program that counts."""
    slots = layout.enums["slot"]["PROCESS"]
    parts = maps.possible_cpus() * _TURNS * slots
    bpf.resize("tt_tallies", bpf.entries("tt_tallies") * parts)


class OwnerCounts:
    """The counts so far: `take` brings them up to date."""

    def __init__(self, bpf: BpfObject, layout: Layout, control: Records) -> None:
        dtypes = layout.dtypes
        self._control = control
        self._key, self._value = dtypes["count_key"], dtypes["count_value"]
        self._hash = bpf.map_fd("tt_counts")
        slots = layout.enums["slot"]["PROCESS"]
        tallies = bpf.array("tt_tallies", dtypes["tally"])
        self._tallies = tallies.reshape(maps.possible_cpus(), _TURNS, slots, -1)
        self._pairs = np.zeros(0, np.dtype([("key", self._key), ("value", self._value)]))

    def take(self) -> Records:
        """Pairs of key and value since the session's begin, each key once."""
        turn = int(self._control["turn"][0]) % _TURNS
        self._control["turn"] = 1 - turn
        await_programs()
        parts = [self._pairs, self._take_tallies(turn), self._take_hash(turn)]
        self._pairs = _merge(np.concatenate(parts))
        return self._pairs

    def take_new(self) -> Records:
        """Pairs of key and value since the last call of this: what was told is forgotten."""
        found, self._pairs = self.take(), self._pairs[:0]
        return found

    def _take_tallies(self, turn: int) -> Records:
        tallies = self._tallies[:, turn]
        used = np.nonzero(tallies["count"])
        taken = tallies[used]
        for name in self._value.names or ():
            tallies[name][used] = 0
        return self._paired(taken, taken)

    def _take_hash(self, turn: int) -> Records:
        keys, values = maps.read_percpu_hash(self._hash, self._key, self._value)
        ours = keys["slot"] % _TURNS == turn
        keys, values = keys[ours], values[ours]
        for key in keys:
            maps.delete(self._hash, key.reshape(1).copy())
        flat = values.ravel()
        pairs = self._paired(keys.repeat(values.shape[1]), flat)
        used: Records = pairs[flat["count"] > 0]
        return used

    def _paired(self, keys: Records, values: Records) -> Records:
        pairs = np.zeros(len(keys), self._pairs.dtype)
        for part, columns in (("key", keys), ("value", values)):
            for name in pairs.dtype[part].names or ():
                pairs[part][name] = columns[name]
        pairs["key"]["slot"] = 0  # who counted is of no more interest
        return pairs


def _merge(pairs: Records) -> Records:
    """Add up the values of each key."""
    if not len(pairs):
        return pairs
    keys: NDArray[np.void] = np.ascontiguousarray(pairs["key"]).view("V16").ravel()
    order = np.argsort(keys, kind="stable")
    pairs, keys = pairs[order], keys[order]
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    merged = pairs[starts]
    for name, add in (
        ("count", np.add),
        ("sum_ns", np.add),
        ("min_ns", np.minimum),
        ("max_ns", np.maximum),
    ):
        merged["value"][name] = add.reduceat(pairs["value"][name], starts)
    return merged
