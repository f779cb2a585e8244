"""In what form the running kernel's tracepoint io_uring_complete tells of an answer."""

from __future__ import annotations

import ctypes as C

from tracer.kernel.libbpf import lib

UNKNOWN, WHOLE, PARTS = 0, 1, 2  # bpf/maps.h: struct tt_config, uring
_KIND_TYPEDEF = 8


class _Type(C.Structure):
    """struct btf_type, include/uapi/linux/btf.h."""

    _fields_ = [("name_off", C.c_uint32), ("info", C.c_uint32), ("type", C.c_uint32)]


def form() -> int:
    """WHOLE or PARTS; UNKNOWN where there is none that we can read.

    Its arguments are (ring, request, answer) since the Linux commit "io_uring: clean up cqe trace
    points" (in v6.13); before, from v5.19 on, (ring, request, user_data, result, flags, and more);
    earlier ones do not tell the request.
    """
    btf = lib().btf__load_vmlinux_btf()
    try:
        found = lib().btf__find_by_name_kind(btf, b"btf_trace_io_uring_complete", _KIND_TYPEDEF)
        if found < 0:
            return UNKNOWN
        count = _arguments(btf, found)
    finally:
        lib().btf__free(btf)
    if count == 3:
        return WHOLE
    return PARTS if count >= 5 else UNKNOWN


def _arguments(btf: int, found: int) -> int:
    """Arguments of a tracepoint: its typedef is of a pointer to a function with one more."""
    kind = _type(btf, found)
    pointer = _type(btf, kind.type)
    function = _type(btf, pointer.type)
    return int(function.info & 0xFFFF) - 1


def _type(btf: int, number: int) -> _Type:
    return C.cast(lib().btf__type_by_id(btf, number), C.POINTER(_Type)).contents
