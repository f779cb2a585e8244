"""Indexes of the counters LINUX_MIB_*, IPSTATS_MIB_* in the running kernel, from its BTF.

They differ from kernel to kernel and stand in an enum without a name, which neither CO-RE nor
libbpf can look up. The kernel's BTF is several MB: a value is found by the offset of its name, not
by decoding all types. In an enum each value is two words, the name's offset and the number; the
first is LINUX_MIB_NUM or the like, which is 0, and they rise by one (include/uapi/linux/snmp.h).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracer.errors import UnsupportedError

VMLINUX = Path("/sys/kernel/btf/vmlinux")
LINUX = "LINUX_MIB_"
_HEADER = struct.Struct("<HBBIIIII")  # struct btf_header, Documentation/bpf/btf.rst


def indexes(names: Iterable[str], path: Path = VMLINUX, prefix: str = LINUX) -> dict[str, int]:
    """Index of each counter, named without its prefix. Errors: OSError, UnsupportedError."""
    data = _read(path)
    _, _, _, header, type_off, type_len, str_off, str_len = _HEADER.unpack_from(data)
    begin, end = header + str_off, header + str_off + str_len
    words = np.frombuffer(data, np.uint32, type_len // 4, header + type_off)
    first = _first_value(words, _offset(data, begin, end, prefix + "NUM"))
    names = list(names)
    most = min(first + 2 * 1024, len(words) - 1)
    run = words[first:most]
    offsets, numbers = run[0::2], run[1::2]
    found = {}
    for name in names:
        at = np.flatnonzero(offsets[: len(numbers)] == _offset(data, begin, end, prefix + name))
        if not len(at) or numbers[at[0]] != at[0]:
            raise UnsupportedError(f"this kernel's BTF does not tell of {prefix}{name}")
        found[name] = int(at[0])
    return found


def find(names: Iterable[str], prefix: str = LINUX) -> dict[str, int]:
    """Index of each counter in the running kernel, by its headers where it has no BTF.

    Errors: OSError, UnsupportedError.
    """
    if VMLINUX.exists():
        return indexes(names, prefix=prefix)
    from tracer.kernel import bcc_types  # of kernels without BTF alone

    return of_headers(names, bcc_types.read_header("include/uapi/linux/snmp.h"), prefix)


def of_headers(names: Iterable[str], text: str, prefix: str = LINUX) -> dict[str, int]:
    """The same from include/uapi/linux/snmp.h. Errors: UnsupportedError."""
    listed = re.findall(rf"^\t({prefix}\w+)(?: = 0)?,", text, re.MULTILINE)
    found = {}
    for name in names:
        if prefix + name not in listed:
            raise UnsupportedError(f"the kernel's headers do not tell of {prefix}{name}")
        found[name] = listed.index(prefix + name)
    return found


@cache
def _read(path: Path) -> bytes:
    return path.read_bytes()


def forget() -> None:
    """Free what is kept of the kernel's BTF; it is read again if something more is asked."""
    _read.cache_clear()


def _offset(data: bytes, begin: int, end: int, name: str) -> int:
    at = data.find(b"\0" + name.encode() + b"\0", begin, end)
    if at < 0:
        raise UnsupportedError(f"this kernel's BTF does not tell of {name}")
    return at + 1 - begin


def _first_value(words: NDArray[np.uint32], offset: int) -> int:
    """Where the enum's first value stands: its name, then 0, and 1 as the second's number."""
    for at in np.flatnonzero(words == offset).tolist():
        if at + 3 < len(words) and words[at + 1] == 0 and words[at + 3] == 1:
            return int(at)
    raise UnsupportedError("this kernel's BTF has no enum of counters")
