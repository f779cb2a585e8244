"""libbpf's C interface through ctypes: signatures and error handling, nothing else.

Only what is used is declared. Functions that return a pointer return None on failure, those that
return an int a negative errno; both become OSError in `check` and `check_pointer`.
"""

from __future__ import annotations

import ctypes as C
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from tracer.errors import UnsupportedError

CARRIED = Path(__file__).resolve().parent.parent / "_carried" / "libbpf-tcptrace.so.1"  # setup.py

BPF_PROG_TYPE_KPROBE = 2
BPF_PROG_TYPE_TRACEPOINT = 5
BPF_PROG_TYPE_RAW_TRACEPOINT = 17
BPF_PROG_TYPE_TRACING = 26
BPF_TRACE_RAW_TP = 23
BPF_TRACE_FEXIT = 25
BPF_TRACE_ITER = 28
BPF_STATS_RUN_TIME = 0
BPF_MAP_TYPE_RINGBUF = 27

PrintFn = C.CFUNCTYPE(C.c_int, C.c_int, C.c_char_p, C.c_void_p)


class ProgLoadOpts(C.Structure):
    """struct bpf_prog_load_opts, the leading members; `sz` tells libbpf how many."""

    _fields_ = [
        ("sz", C.c_size_t),
        ("attempts", C.c_int),
        ("expected_attach_type", C.c_int),
        ("prog_btf_fd", C.c_uint32),
        ("prog_flags", C.c_uint32),
        ("prog_ifindex", C.c_uint32),
        ("kern_version", C.c_uint32),
        ("attach_btf_id", C.c_uint32),
        ("attach_prog_fd", C.c_uint32),
        ("attach_btf_obj_fd", C.c_uint32),
    ]


class ProgInfo(C.Structure):
    """struct bpf_prog_info, include/uapi/linux/bpf.h."""

    _fields_ = [
        ("type", C.c_uint32),
        ("id", C.c_uint32),
        ("tag", C.c_uint8 * 8),
        ("jited_prog_len", C.c_uint32),
        ("xlated_prog_len", C.c_uint32),
        ("jited_prog_insns", C.c_uint64),
        ("xlated_prog_insns", C.c_uint64),
        ("load_time", C.c_uint64),
        ("created_by_uid", C.c_uint32),
        ("nr_map_ids", C.c_uint32),
        ("map_ids", C.c_uint64),
        ("name", C.c_char * 16),
        ("ifindex", C.c_uint32),
        ("gpl_compatible", C.c_uint32),
        ("netns_dev", C.c_uint64),
        ("netns_ino", C.c_uint64),
        ("nr_jited_ksyms", C.c_uint32),
        ("nr_jited_func_lens", C.c_uint32),
        ("jited_ksyms", C.c_uint64),
        ("jited_func_lens", C.c_uint64),
        ("btf_id", C.c_uint32),
        ("func_info_rec_size", C.c_uint32),
        ("func_info", C.c_uint64),
        ("nr_func_info", C.c_uint32),
        ("nr_line_info", C.c_uint32),
        ("line_info", C.c_uint64),
        ("jited_line_info", C.c_uint64),
        ("nr_jited_line_info", C.c_uint32),
        ("line_info_rec_size", C.c_uint32),
        ("jited_line_info_rec_size", C.c_uint32),
        ("nr_prog_tags", C.c_uint32),
        ("prog_tags", C.c_uint64),
        ("run_time_ns", C.c_uint64),
        ("run_cnt", C.c_uint64),
        ("recursion_misses", C.c_uint64),
        ("verified_insns", C.c_uint32),
        ("attach_btf_obj_id", C.c_uint32),
        ("attach_btf_id", C.c_uint32),
    ]


BPF_LINK_TYPE_PERF_EVENT = 7
BPF_PERF_EVENT_KPROBE, BPF_PERF_EVENT_KRETPROBE = 3, 4


class LinkInfo(C.Structure):
    """struct bpf_link_info, include/uapi/linux/bpf.h, as it is of a kprobe: `perf_event.kprobe`."""

    _fields_ = [
        ("type", C.c_uint32),
        ("id", C.c_uint32),
        ("prog_id", C.c_uint32),
        ("_gap", C.c_uint32),
        ("perf_type", C.c_uint32),
        ("_gap2", C.c_uint32),
        ("func_name", C.c_uint64),
        ("name_len", C.c_uint32),
        ("offset", C.c_uint32),
        ("addr", C.c_uint64),
        ("missed", C.c_uint64),
    ]


_POINTER = C.c_void_p
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "libbpf_set_print": (_POINTER, [_POINTER]),
    "libbpf_num_possible_cpus": (C.c_int, []),
    "libbpf_version_string": (C.c_char_p, []),
    "libbpf_probe_bpf_helper": (C.c_int, [C.c_int, C.c_int, _POINTER]),
    "bpf_object__open_file": (_POINTER, [C.c_char_p, _POINTER]),
    "bpf_object__load": (C.c_int, [_POINTER]),
    "bpf_object__close": (None, [_POINTER]),
    "bpf_object__find_map_by_name": (_POINTER, [_POINTER, C.c_char_p]),
    "bpf_object__find_program_by_name": (_POINTER, [_POINTER, C.c_char_p]),
    "bpf_object__next_program": (_POINTER, [_POINTER, _POINTER]),
    "bpf_object__next_map": (_POINTER, [_POINTER, _POINTER]),
    "bpf_map__is_internal": (C.c_bool, [_POINTER]),
    "bpf_map__autocreate": (C.c_bool, [_POINTER]),
    "bpf_map__set_autocreate": (C.c_int, [_POINTER, C.c_bool]),
    "bpf_map__fd": (C.c_int, [_POINTER]),
    "bpf_map__name": (C.c_char_p, [_POINTER]),
    "bpf_map__reuse_fd": (C.c_int, [_POINTER, C.c_int]),
    "bpf_map__max_entries": (C.c_uint32, [_POINTER]),
    "bpf_map__set_max_entries": (C.c_int, [_POINTER, C.c_uint32]),
    "bpf_map__set_map_flags": (C.c_int, [_POINTER, C.c_uint32]),
    "bpf_map__set_value_size": (C.c_int, [_POINTER, C.c_uint32]),
    "bpf_map__initial_value": (_POINTER, [_POINTER, C.POINTER(C.c_size_t)]),
    "bpf_program__name": (C.c_char_p, [_POINTER]),
    "bpf_program__set_autoload": (C.c_int, [_POINTER, C.c_bool]),
    "bpf_program__section_name": (C.c_char_p, [_POINTER]),
    "bpf_program__fd": (C.c_int, [_POINTER]),
    "bpf_program__attach": (_POINTER, [_POINTER]),
    "bpf_program__attach_tracepoint": (_POINTER, [_POINTER, C.c_char_p, C.c_char_p]),
    "bpf_program__attach_kprobe": (_POINTER, [_POINTER, C.c_bool, C.c_char_p]),
    "bpf_program__attach_iter": (_POINTER, [_POINTER, _POINTER]),
    "bpf_link__fd": (C.c_int, [_POINTER]),
    "bpf_link__destroy": (C.c_int, [_POINTER]),
    "bpf_iter_create": (C.c_int, [C.c_int]),
    "bpf_map_create": (
        C.c_int,
        [C.c_int, C.c_char_p, C.c_uint32, C.c_uint32, C.c_uint32, _POINTER],
    ),
    "bpf_map_update_elem": (C.c_int, [C.c_int, _POINTER, _POINTER, C.c_uint64]),
    "bpf_map_lookup_elem": (C.c_int, [C.c_int, _POINTER, _POINTER]),
    "bpf_map_delete_elem": (C.c_int, [C.c_int, _POINTER]),
    "bpf_map_get_next_key": (C.c_int, [C.c_int, _POINTER, _POINTER]),
    "bpf_map_lookup_batch": (
        C.c_int,
        [C.c_int, _POINTER, _POINTER, _POINTER, _POINTER, C.POINTER(C.c_uint32), _POINTER],
    ),
    "bpf_map_update_batch": (
        C.c_int,
        [C.c_int, _POINTER, _POINTER, C.POINTER(C.c_uint32), _POINTER],
    ),
    "bpf_obj_get_info_by_fd": (C.c_int, [C.c_int, _POINTER, C.POINTER(C.c_uint32)]),
    "btf__load_vmlinux_btf": (_POINTER, []),
    "btf__find_by_name_kind": (C.c_int32, [_POINTER, C.c_char_p, C.c_uint32]),
    "btf__type_by_id": (_POINTER, [_POINTER, C.c_uint32]),
    "btf__name_by_offset": (C.c_char_p, [_POINTER, C.c_uint32]),
    "btf__free": (None, [_POINTER]),
    "bpf_enable_stats": (C.c_int, [C.c_int]),
    "bpf_prog_test_run_opts": (C.c_int, [C.c_int, _POINTER]),
    "bpf_raw_tracepoint_open": (C.c_int, [C.c_char_p, C.c_int]),
    "bpf_prog_load": (
        C.c_int,
        [C.c_int, C.c_char_p, C.c_char_p, _POINTER, C.c_size_t, C.POINTER(ProgLoadOpts)],
    ),
}


@cache
def lib() -> Any:
    """Load libbpf, the one that a wheel carries before the machine's, and declare its functions.

    Errors: UnsupportedError where it is not installed or too old.
    """
    try:
        library = C.CDLL(str(CARRIED) if CARRIED.exists() else "libbpf.so.1", use_errno=True)
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        library.libbpf_set_print(None)  # what goes wrong is told in our words; see Messages
    except (OSError, AttributeError) as error:
        raise UnsupportedError(
            f"libbpf 1.0 or newer cannot be used: {error}", "install it: apt-get install libbpf1"
        ) from error
    return library


def version() -> str:
    """What it calls itself, and whose it is. Errors: as lib()."""
    told: str = lib().libbpf_version_string().decode()
    return f"{told} of its own" if CARRIED.exists() else told


def check(result: int, doing: str) -> int:
    """Pass a result that is no error on; raise OSError, its text saying what was being done."""
    if result >= 0:
        return result
    number = -result if result != -1 else (C.get_errno() or errno.EPERM)
    raise OSError(number, f"{doing}: {os.strerror(number)}")


def check_pointer(result: int | None, doing: str) -> int:
    """Pass a pointer on; raise OSError with errno's meaning for NULL."""
    if result:
        return result
    number = C.get_errno() or errno.EINVAL
    raise OSError(number, f"{doing}: {os.strerror(number)}")


def program_info(fd: int) -> ProgInfo:
    """What the kernel tells of a loaded program. Errors: OSError."""
    info = ProgInfo()
    length = C.c_uint32(C.sizeof(info))
    check(lib().bpf_obj_get_info_by_fd(fd, C.byref(info), C.byref(length)), "program info")
    return info


def missed_by_kprobe(link: int) -> int:
    """How often a kprobe, or a kretprobe without a place left, did not run its program.

    0 where the kernel does not tell: before Linux commit 3acf8ace6823 ("bpf: Add missed value to
    kprobe perf link info") (in v6.7), and of what is no kprobe.
    """
    info = LinkInfo()
    length = C.c_uint32(C.sizeof(info))
    fd = lib().bpf_link__fd(link)
    if lib().bpf_obj_get_info_by_fd(fd, C.byref(info), C.byref(length)) < 0:
        return 0
    is_kprobe = info.perf_type in (BPF_PERF_EVENT_KPROBE, BPF_PERF_EVENT_KRETPROBE)
    return int(info.missed) if info.type == BPF_LINK_TYPE_PERF_EVENT and is_kprobe else 0


LONGEST_MESSAGE = 1 << 20


class Messages:
    """libbpf's own warnings, kept for error reports instead of printed."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def keep(self, text: str) -> None:
        """Take what was told."""
        self.lines += text.splitlines()
        del self.lines[:-200]

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Have libbpf tell them while the block runs; others' wait meanwhile.

        It tells thousands of things as it opens and loads an object, most of no interest, and
        each is a call that waits for what Python does elsewhere. So that is done unheard, and
        once more, heard, if it fails.
        """
        with _ONE_HEARS:
            _hearing[:] = [self]
            lib().libbpf_set_print(C.cast(_callback(), C.c_void_p))
            try:
                yield
            finally:
                lib().libbpf_set_print(None)
                _hearing.clear()


_ONE_HEARS = Lock()
_hearing: list[Messages] = []


@cache
def _callback() -> Any:
    """It stays: another thread may be about to call it when nobody hears any more."""
    return PrintFn(_take)


def _take(level: int, text: bytes, arguments: int) -> int:
    if level == 0:
        # the verifier's log may be long, and its end is what matters
        buffer = C.create_string_buffer(LONGEST_MESSAGE)
        C.CDLL(None).vsnprintf(buffer, C.c_size_t(LONGEST_MESSAGE), text, C.c_void_p(arguments))
        for messages in _hearing:
            messages.keep(buffer.value.decode(errors="replace"))
    return 0
