"""A tracer's maps, from outside: by their ids, which are beside its descriptors in /proc."""

from __future__ import annotations

import ctypes as C
import mmap
import os
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracer.kernel.libbpf import check, lib


class MapInfo(C.Structure):
    """The leading members of struct bpf_map_info, include/uapi/linux/bpf.h."""

    _fields_ = [
        ("type", C.c_uint32),
        ("id", C.c_uint32),
        ("key_size", C.c_uint32),
        ("value_size", C.c_uint32),
        ("max_entries", C.c_uint32),
        ("map_flags", C.c_uint32),
        ("name", C.c_char * 16),
    ]


def map_info(fd: int) -> MapInfo:
    """What the kernel tells of a map."""
    info, length = MapInfo(), C.c_uint32(C.sizeof(MapInfo))
    check(lib().bpf_obj_get_info_by_fd(fd, C.byref(info), C.byref(length)), "map info")
    return info


class LinkInfo(C.Structure):
    """The leading members of struct bpf_link_info, include/uapi/linux/bpf.h."""

    _fields_ = [("type", C.c_uint32), ("id", C.c_uint32), ("prog_id", C.c_uint32)]


def linked_program(fd: int) -> int:
    """The id of the program that a link attaches."""
    info, length = LinkInfo(), C.c_uint32(C.sizeof(LinkInfo))
    check(lib().bpf_obj_get_info_by_fd(fd, C.byref(info), C.byref(length)), "link info")
    number: int = info.prog_id
    return number


class TracerMap:
    """A map of a running tracer, by name: its id is beside the tracer's descriptor in /proc."""

    def __init__(self, pid: int, name: str) -> None:
        for entry in Path(f"/proc/{pid}/fdinfo").iterdir():
            found = re.search(r"^map_id:\s+(\d+)", entry.read_text(), re.MULTILINE)
            if not found:
                continue
            self.fd = check(lib().bpf_map_get_fd_by_id(C.c_uint32(int(found[1]))), name)
            info = map_info(self.fd)
            if info.name.decode() == name:
                self._value_size = info.value_size
                self._key_size = info.key_size
                self._entries = info.max_entries
                return
            os.close(self.fd)
        raise AssertionError(f"process {pid} has no map {name}")

    def keys(self) -> set[int]:
        """Keys of a hash, which are numbers."""
        found = []
        key: C.Array[C.c_uint8] | None = None
        following = (C.c_uint8 * self._key_size)()
        while lib().bpf_map_get_next_key(self.fd, key, following) == 0:
            key = (C.c_uint8 * self._key_size).from_buffer_copy(following)
            found.append(int.from_bytes(key, "little"))
        return set(found)

    def value(self, key: int) -> bytes | None:
        """Value of one key, None if it has gone."""
        value = (C.c_uint8 * self._value_size)()
        number = (C.c_uint8 * self._key_size).from_buffer_copy(key.to_bytes(8, "little"))
        if lib().bpf_map_lookup_elem(self.fd, number, value) < 0:
            return None
        return bytes(value)

    def first_words(self) -> set[int]:
        """What the elements of an array begin with, but for 0."""
        value = (C.c_uint8 * self._value_size)()
        found = set()
        for index in range(self._entries):
            check(lib().bpf_map_lookup_elem(self.fd, C.byref(C.c_uint32(index)), value), "element")
            found.add(int.from_bytes(bytes(value[:8]), "little"))
        return found - {0}

    def array(self, dtype: np.dtype[np.void]) -> NDArray[np.void]:
        """A copy of an array map that can be mapped into memory."""
        with mmap.mmap(self.fd, self._entries * dtype.itemsize, prot=mmap.PROT_READ) as memory:
            return np.frombuffer(memory, dtype).copy()

    def close(self) -> None:
        os.close(self.fd)
