"""BPF maps through their descriptors: put, delete, read whole maps into arrays."""

from __future__ import annotations

import contextlib
import ctypes as C
import errno
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracer.kernel.libbpf import check, lib
from tracer.wire.layout import Records

_BPF_EXIST = 2
FULL = (errno.E2BIG, errno.ENOSPC)


@cache
def possible_cpus() -> int:
    """Number of CPUs a per-CPU map has a slot for, offline ones included."""
    return check(lib().libbpf_num_possible_cpus(), "number of CPUs")


def put(fd: int, key: NDArray[np.generic], value: NDArray[np.generic]) -> None:
    """Insert or replace one entry. Errors: OSError, E2BIG or ENOSPC when the map is full."""
    put_flags(fd, key, value, 0)


def replace(fd: int, key: NDArray[np.generic], value: NDArray[np.generic]) -> None:
    """Change an entry that is still there; one that has gone stays gone."""
    with contextlib.suppress(FileNotFoundError):
        put_flags(fd, key, value, _BPF_EXIST)


def put_flags(fd: int, key: NDArray[np.generic], value: NDArray[np.generic], flags: int) -> None:
    """Update with the kernel's own flags. Errors: OSError."""
    check(lib().bpf_map_update_elem(fd, key.ctypes.data, value.ctypes.data, flags), "map update")


def put_all(fd: int, keys: NDArray[np.generic], values: NDArray[np.generic]) -> None:
    """Insert or replace several entries in one call, where the kernel can. Errors: OSError."""
    count = C.c_uint32(len(keys))
    batch = lib().bpf_map_update_batch
    if batch(fd, keys.ctypes.data, values.ctypes.data, C.byref(count), None):
        for i in range(len(keys)):
            put(fd, keys[i : i + 1].copy(), values[i : i + 1].copy())


def get(fd: int, key: NDArray[np.generic], dtype: np.dtype[np.void]) -> Records | None:
    """One entry's value as an array of one; None if there is none."""
    value = np.zeros(1, dtype)
    if lib().bpf_map_lookup_elem(fd, key.ctypes.data, value.ctypes.data):
        return None
    return value


def delete(fd: int, key: NDArray[np.generic]) -> None:
    """Delete one entry if it is there."""
    lib().bpf_map_delete_elem(fd, key.ctypes.data)


def read_percpu_array(fd: int, dtype: np.dtype[np.void], entries: int) -> Records:
    """All values of a per-CPU array: shape (entries * CPUs,). The item's size divides by 8."""
    raw = np.zeros((entries, possible_cpus() * dtype.itemsize), np.uint8)
    for index in range(entries):
        key = C.c_uint32(index)
        check(lib().bpf_map_lookup_elem(fd, C.byref(key), raw[index].ctypes.data), "map read")
    return raw.reshape(-1, dtype.itemsize).view(dtype)[:, 0]


def read_percpu_counts(fd: int, entries: int) -> NDArray[np.uint64]:
    """A per-CPU array of numbers, summed over the CPUs: shape (entries,)."""
    values = np.zeros((entries, possible_cpus()), np.uint64)
    keys, position, count = np.zeros(entries, np.uint32), C.c_uint32(0), C.c_uint32(entries)
    lib().bpf_map_lookup_batch(
        fd, None, C.byref(position), keys.ctypes.data, values.ctypes.data, C.byref(count), None
    )
    if count.value != entries:  # it reads these at once since v5.13
        for index in range(entries):
            key = C.c_uint32(index)
            check(lib().bpf_map_lookup_elem(fd, C.byref(key), values[index].ctypes.data), "read")
    summed: NDArray[np.uint64] = values.sum(axis=1)
    return summed


def read_percpu_hash(
    fd: int, key_type: np.dtype[np.void], value_type: np.dtype[np.void], chunk: int = 4096
) -> tuple[Records, Records]:
    """All entries of a per-CPU hash: keys of shape (n,), values of shape (n, CPUs)."""
    return _read_hash(fd, key_type, value_type, possible_cpus(), chunk)


def read_hash(
    fd: int, key_type: np.dtype[np.void], value_type: np.dtype[np.void]
) -> tuple[Records, Records]:
    """All entries of a hash: keys and values of shape (n,)."""
    keys, values = _read_hash(fd, key_type, value_type, 1, 4096)
    return keys, values[:, 0]


def _read_hash(
    fd: int, key_type: np.dtype[np.void], value_type: np.dtype[np.void], cpus: int, chunk: int
) -> tuple[Records, Records]:
    keys, values = [np.empty(0, key_type)], [np.empty((0, cpus), value_type)]
    position = np.zeros(8, np.uint8)
    first = True
    while True:
        key_chunk = np.zeros(chunk, key_type)
        value_chunk = np.zeros((chunk, cpus), value_type)
        count = C.c_uint32(chunk)
        result = lib().bpf_map_lookup_batch(
            fd,
            None if first else position.ctypes.data,
            position.ctypes.data,
            key_chunk.ctypes.data,
            value_chunk.ctypes.data,
            C.byref(count),
            None,
        )
        if result == -errno.ENOSPC:  # one bucket holds more than a chunk: ask for more at once
            chunk *= 2
            continue
        keys.append(key_chunk[: count.value])
        values.append(value_chunk[: count.value])
        first = False
        if result < 0:
            if result == -errno.ENOENT or C.get_errno() == errno.ENOENT:
                break
            check(result, "map read")
    return np.concatenate(keys), np.concatenate(values)


def keys(fd: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """All keys of a hash, as they stand while it changes: shape (n,)."""
    found = []
    key = np.zeros(1, dtype)
    following = np.zeros(1, dtype)
    at: int | None = None
    while lib().bpf_map_get_next_key(fd, at, following.ctypes.data) == 0:
        found.append(following.copy())
        key[:] = following
        at = key.ctypes.data
    return np.concatenate(found) if found else np.zeros(0, dtype)


def count_entries(fd: int, key_size: int) -> int:
    """Number of entries of a hash."""
    return len(keys(fd, np.dtype(f"V{key_size}")))
