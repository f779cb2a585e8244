"""The running kernel's own types, asked through libbpf: parsed once, as that takes 10 ms.

They take as many MB, so `forget` them when all is asked. Any thread may ask, or forget.
"""

from __future__ import annotations

import ctypes as C
from functools import cache
from threading import RLock

from tracer.kernel.libbpf import BPF_TRACE_ITER, BPF_TRACE_RAW_TP, lib

_KIND_TYPEDEF, _KIND_FUNC = 8, 12
_LOCK = RLock()  # what one looks at, another must not free


class _BtfType(C.Structure):
    """struct btf_type, include/uapi/linux/btf.h."""

    _fields_ = [("name_off", C.c_uint32), ("info", C.c_uint32), ("type", C.c_uint32)]


@cache
def _types() -> int | None:
    found: int | None = lib().btf__load_vmlinux_btf()  # NULL where the kernel tells of none
    return found


def forget() -> None:
    """Free them; they are parsed again if something more is asked."""
    with _LOCK:
        if _types.cache_info().currsize:
            lib().btf__free(_types())
            _types.cache_clear()


def _find(name: str, kind: int) -> int:
    """A type's number, 0 where there is none."""
    with _LOCK:
        if not _types():
            return 0
        return max(0, int(lib().btf__find_by_name_kind(_types(), name.encode(), kind)))


def hook(target: str, attach_type: int) -> int:
    """The type a tracing program is attached by; 0 where this kernel has none.

    Tracepoints are typedefs, iterators and functions are functions (tools/lib/bpf/libbpf.c:
    btf_get_kernel_prefix_kind).
    """
    if attach_type == BPF_TRACE_RAW_TP:
        return _find(f"btf_trace_{target}", _KIND_TYPEDEF)
    if attach_type == BPF_TRACE_ITER:
        return _find(f"bpf_iter_{target}", _KIND_FUNC)
    return _find(target, _KIND_FUNC)


def told_by(tracepoint: str) -> int:
    """How many arguments a tracepoint has; 0 where this kernel has none of that name."""
    with _LOCK:
        found = _find(f"btf_trace_{tracepoint}", _KIND_TYPEDEF)
        if not found:
            return 0
        # a typedef of a pointer to a function, whose first argument is the hook's own
        for _ in range(2):
            found = _type(found).type
        return int(_type(found).info & 0xFFFF) - 1


def _type(number: int) -> _BtfType:
    found: _BtfType = C.cast(lib().btf__type_by_id(_types(), number), C.POINTER(_BtfType)).contents
    return found


def arguments(function: str) -> int:
    """How many arguments a function takes; 0 where this kernel has none of that name."""
    with _LOCK:
        found = _find(function, _KIND_FUNC)
        if not found:
            return 0
        return int(_type(_type(found).type).info & 0xFFFF)


_KIND_ENUM, _KIND_ENUM64 = 6, 19


class _BtfEnum(C.Structure):
    """struct btf_enum; the type's values lie behind its struct btf_type."""

    _fields_ = [("name_off", C.c_uint32), ("value", C.c_int32)]


def enum(name: str) -> dict[str, int]:
    """Names and values of an enum of the kernel's; empty where it has none of that name."""
    with _LOCK:
        found = _find(name, _KIND_ENUM)
        if not found:
            return {}
        address = int(lib().btf__type_by_id(_types(), found))
        count = C.cast(address, C.POINTER(_BtfType)).contents.info & 0xFFFF
        values = (_BtfEnum * count).from_address(address + C.sizeof(_BtfType))
        names = [lib().btf__name_by_offset(_types(), one.name_off).decode() for one in values]
        return {name: one.value for name, one in zip(names, values, strict=True)}
