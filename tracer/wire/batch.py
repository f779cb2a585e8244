"""From runs of samples to records in time order.

Each CPU's buffer is in order; together they are not, and a record may be stamped before and sent
after another CPU's drain. So a record is passed on only when it is older than the start of the
drain before the last one: by then all that is older has come (tried with 626,502
records). One that comes later all the same is passed on, and counted as late.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from tracer.wire.layout import Layout, Records


class Encoding(NamedTuple):
    """Where a record lies in its sample: bytes before it, bytes from one to the next."""

    offset: int
    stride: int


def view(
    data: np.ndarray[tuple[int], np.dtype[np.uint8]], encoding: Encoding, dtype: np.dtype[np.void]
) -> Records:
    """Samples as records, without a copy: shape (n,)."""
    sample = np.dtype(
        {
            "names": ["record"],
            "formats": [dtype],
            "offsets": [encoding.offset],
            "itemsize": encoding.stride,
        }
    )
    return np.frombuffer(data, sample)["record"]


class Sorter:
    """Holds records of one size back until nothing older can come, then gives them in order."""

    def __init__(self) -> None:
        self._waiting: list[Records] = []
        self._passed_ns = 0
        self.late = 0

    def add(self, records: Records) -> None:
        """Take one CPU's run of one drain, CPUs in their order."""
        self._waiting.append(records)

    def take(self, before_ns: int | None) -> Records | None:
        """Records older than `before_ns` (None: all), by time, then CPU, then sequence."""
        if not self._waiting:
            return None
        records = joined(self._waiting)
        times = records["mono_ns"]
        if (times[1:] < times[:-1]).any():
            order = np.argsort(times, kind="stable")
            records, times = chosen(records, order), times[order]
        if before_ns is None:
            self._waiting = []
        else:
            cut = int(np.searchsorted(times, before_ns))
            self._waiting = [records[cut:]] if cut < len(records) else []
            records, times = records[:cut], times[:cut]
        if not len(records):
            return None
        self.late += int(np.searchsorted(times, self._passed_ns))
        self._passed_ns = max(self._passed_ns, int(times[-1]))
        return records


# kinds of the large record, in the order of records of one moment
LARGE = (
    *("task", "handshake", "accept", "syn_drop", "reset", "error", "connection"),
    *("retransmit", "drop"),
)


@dataclass(frozen=True)
class Batch:
    """Records of one moment in time order, by kind."""

    kinds: dict[str, Records]

    def order(self) -> list[tuple[str, int]]:
        """Kind and index of every record, in time order over all kinds."""
        names = list(self.kinds)
        times = np.concatenate([self.kinds[name]["mono_ns"] for name in names])
        which = np.repeat(np.arange(len(names)), [len(self.kinds[name]) for name in names])
        index = np.concatenate([np.arange(len(self.kinds[name])) for name in names])
        order = np.argsort(times, kind="stable")
        return [
            (names[k], i) for k, i in zip(which[order].tolist(), index[order].tolist(), strict=True)
        ]


def split(small: Records | None, large: Records | None, layout: Layout) -> Batch:
    """Sort records of both sizes into kinds. `large` comes as the raw large dtype."""
    kinds: dict[str, Records] = {}
    if large is not None:
        tags = layout.enums["kind"]
        told = large["kind"]
        for name in LARGE:
            if name.upper() not in tags:
                continue  # a recording of an earlier version
            mine = told == tags[name.upper()]
            if mine.any():
                found = large if mine.all() else chosen(large, mine)
                kinds[name] = found.view(_padded(layout.dtypes[name], large.dtype.itemsize))
    if small is not None:
        kinds["state"] = small
    return Batch(kinds)


# NumPy copies a struct member by member, unless it is told that it is only bytes.


def bytes_of(records: Records) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """The same memory, as records of no members."""
    return records.view(np.dtype((np.void, records.dtype.itemsize)))


def joined(parts: list[Records]) -> Records:
    """Records of one dtype, one after the other."""
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([bytes_of(part) for part in parts]).view(parts[0].dtype)


def chosen(records: Records, which: np.ndarray[tuple[int], np.dtype[Any]]) -> Records:
    """These, copied: a mask, or places."""
    found: Records = bytes_of(records)[which].view(records.dtype)
    return found


@cache
def _padded(dtype: np.dtype[np.void], size: int) -> np.dtype[np.void]:
    """The same struct at the begin of `size` bytes."""
    fields = dtype.fields
    assert fields is not None
    names = list(fields)
    return np.dtype(
        {
            "names": names,
            "formats": [fields[name][0] for name in names],
            "offsets": [fields[name][1] for name in names],
            "itemsize": size,
        }
    )
