"""What this kernel can do, found by trying: a program of two instructions for each hook.

Versions are never asked: kernels are patched, configured and locked down.
"""

from __future__ import annotations

import ctypes as C
import errno
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tracer.kernel import kernel_btf, tracefs
from tracer.kernel.libbpf import (
    BPF_PROG_TYPE_KPROBE,
    BPF_PROG_TYPE_RAW_TRACEPOINT,
    BPF_PROG_TYPE_TRACEPOINT,
    BPF_PROG_TYPE_TRACING,
    BPF_TRACE_FEXIT,
    BPF_TRACE_ITER,
    BPF_TRACE_RAW_TP,
    ProgLoadOpts,
    lib,
)
from tracer.kernel.perf import KPROBES
from tracer.probes import Rung, Subject

# r0 = 0; exit
_RETURN_0 = bytes.fromhex("b700000000000000 9500000000000000".replace(" ", ""))
# r0 = 0; word = r0; r1 = 1; r0 = compare and exchange of word, r0, r1; exit
_EXCHANGE = bytes.fromhex(
    "b700000000000000 7b0af8ff00000000 b701000001000000 db1af8fff1000000 9500000000000000"
)
# Elsewhere a kernel may take such a program and have no trampoline for it, as arm64 before Linux
# commit 2aa6ac03516d ("arm64: ftrace: Add direct call support") (in v6.4); to undo it takes time.
_LOADED_IS_ATTACHED = platform.machine() == "x86_64"
_ENOTSUPP = 524  # the kernel's own, include/linux/errno.h
_ATTACH = {"tp_btf": BPF_TRACE_RAW_TP, "fexit": BPF_TRACE_FEXIT, "iter": BPF_TRACE_ITER}


def _load(
    program_type: int, attach_type: int, attach_id: int, instructions: bytes = _RETURN_0
) -> int:
    """Load a program that does nothing and let go of it; 0, or the error."""
    options = ProgLoadOpts(sz=C.sizeof(ProgLoadOpts))
    options.expected_attach_type, options.attach_btf_id = attach_type, attach_id
    code = C.create_string_buffer(instructions, len(instructions))
    count = len(instructions) // 8
    fd: int = lib().bpf_prog_load(program_type, b"tt_try", b"GPL", code, count, C.byref(options))
    if fd >= 0 and attach_type == BPF_TRACE_FEXIT and not _LOADED_IS_ATTACHED:
        attached = lib().bpf_raw_tracepoint_open(None, fd)
        os.close(fd)
        fd = attached
    return _close(fd)


def _close(fd: int) -> int:
    """0 where there was something to close, else the error that stands for it."""
    if fd >= 0:
        os.close(fd)
        return 0
    return -fd if fd != -1 else C.get_errno() or errno.EPERM


@cache
def refusal(how: str, target: str) -> str:
    """Why a program cannot be attached there in that way; empty if it can."""
    if how in _ATTACH:
        attach_type = _ATTACH[how]
        found = kernel_btf.hook(target, attach_type)
        if not found:
            return f"this kernel has no {target} for {how}"
        return _explain(how, _load(BPF_PROG_TYPE_TRACING, attach_type, found))
    if how == "raw_tp":
        return _raw_refusal(target)
    if how == "kprobe":
        return _kprobe_refusal(target)
    if how == "tracepoint":
        return _explain(how, _load(BPF_PROG_TYPE_TRACEPOINT, 0, 0)) or _missing_tracepoint(target)
    return f"{how} is not known"


def _raw_refusal(target: str) -> str:
    """Why our program cannot be attached there: to try that would cost 8 ms to undo."""
    if not kernel_btf.told_by(target):
        return f"this kernel has no tracepoint {target}"
    return _explain("raw_tp", _load(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, 0))


def _kprobe_refusal(target: str) -> str:
    """Why ours cannot be attached there: to functions that are called from other files."""
    if not KPROBES.exists():
        return "this kernel has no kprobes"
    if not kernel_btf.hook(target, BPF_TRACE_FEXIT):
        return f"this kernel has no {target} for kprobe"
    return _explain("kprobe", _load(BPF_PROG_TYPE_KPROBE, 0, 0))


# enum bpf_func_id, include/uapi/linux/bpf.h, without BPF_FUNC_
_HELPERS = {"loop": 181, "map_lookup_percpu_elem": 195}


@cache
def missing_helper(name: str) -> str:
    """Why programs cannot call it; empty if they can."""
    # one that all tracing programs have, asked of the kind that libbpf can ask for
    if lib().libbpf_probe_bpf_helper(BPF_PROG_TYPE_RAW_TRACEPOINT, _HELPERS[name], None) == 1:
        return ""
    return f"this kernel has no bpf_{name}()"


def _missing_tracepoint(target: str) -> str:
    if not tracefs.is_mounted():
        return ""  # it will be where tracefs can be seen, or say so then
    where = (tracefs.TRACEFS, Path("/sys/kernel/debug/tracing"))
    try:
        if any((root / "events" / target).is_dir() for root in where):
            return ""
    except PermissionError:
        return ""  # a matter of capabilities, which preflight tells of
    return f"this kernel has no tracepoint {target}"


def _explain(how: str, error: int) -> str:
    if not error:
        return ""
    text = "not supported" if error == _ENOTSUPP else os.strerror(error)
    if error in (errno.EPERM, _ENOTSUPP) and how == "fexit":
        return f"{text}: lockdown, or no trampolines"
    return text


def tells_peers() -> bool:
    """Whether a child has its peer's address when its LISTEN->SYN_RECV is told.

    It has since v6.15; so has tcp_check_req() its sixth argument, which can be seen. A kernel with
    the one and not the other loses nothing: what has a peer is not held back.
    """
    return kernel_btf.arguments("tcp_check_req") >= _ARGUMENTS_NOW


_ARGUMENTS_NOW = 6


@cache
def has_exchanges() -> bool:
    """Whether programs can exchange what is in memory: since v5.12, as they are given cookies."""
    return _load(BPF_PROG_TYPE_RAW_TRACEPOINT, 0, 0, _EXCHANGE) != errno.EINVAL


def has_casts() -> bool:
    """Whether programs can have a number as a pointer of a type of the kernel's: since v6.2."""
    return kernel_btf.arguments("bpf_rdonly_cast") > 0


# what probes call what not every kernel has
_HAS: dict[str, Callable[[], bool]] = {
    # Linux commit e6a3e4434000 ("net: sock: add trace for socket errors") (in v5.14)
    "errors": lambda: kernel_btf.told_by("inet_sk_error_report") > 0,
    # the fourth argument: Linux commit c53795d48ee8 ("net: add rx_sk to trace_kfree_skb") (in
    # v6.11)
    "packets' sockets": lambda: kernel_btf.told_by("kfree_skb") > _ARGUMENTS_OF_OLD_KFREE_SKB,
    "cookies": has_exchanges,
}
_ARGUMENTS_OF_OLD_KFREE_SKB = 3


def lacking(rung: Rung) -> str:
    """What a rung that is taken here does not tell here; empty if it tells all."""
    return "; ".join(lack.untold for lack in rung.lacks if not _HAS[lack.needs]())


@dataclass(frozen=True)
class Choice:
    """The rung a subject uses here, None if none will do, and why better ones were refused."""

    subject: Subject
    rung: Rung | None
    refused: dict[str, str]

    @property
    def status(self) -> str:
        """works, degraded (not the best rung, or it does not tell all here), impossible."""
        if self.rung is None:
            return "impossible"
        worse = (self.rung.costs and self.refused) or lacking(self.rung)
        return "degraded" if worse else "works"


def why_not(rung: Rung) -> str:
    """Why this kernel refuses a rung; empty if it does not."""
    reasons = (refusal(rung.how, target) for target in rung.targets)
    missing = (missing_helper(name) for name in rung.helpers)
    return next((reason for reason in (*reasons, _blindness(rung), *missing) if reason), "")


def _blindness(rung: Rung) -> str:
    """What its first target does not tell here; empty if it tells all that is read of it."""
    target = rung.targets[0]
    if rung.reads > 1 and kernel_btf.told_by(target) < rung.reads:
        return f"{target} {rung.blind}"
    return ""


def choose(subject: Subject) -> Choice:
    """Try a subject's rungs, best first."""
    refused: dict[str, str] = {}
    for rung in subject.rungs:
        reason = why_not(rung)
        if not reason:
            return Choice(subject, rung, refused)
        refused[rung.how] = reason
    return Choice(subject, None, refused)
