"""What perf buffers and ring buffers have in common."""

from __future__ import annotations

import ctypes as C
import platform
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tracer.wire.batch import Encoding

Chunk = NDArray[np.uint8]


class Buffers(Protocol):
    """A buffer on every CPU that runs, for records of one size.

    `pages` is what each holds, after what the kernel allowed; `encoding` is where a record lies in
    what `drain` returns; `fds` are to be watched for edges: one comes when a buffer is half full.
    """

    pages: int
    encoding: Encoding

    @property
    def fds(self) -> list[int]:
        """Descriptors to poll."""

    def drain(self) -> list[Chunk]:
        """All that has come, CPU after CPU, each CPU's oldest first."""

    def add_cpus(self) -> None:
        """Open buffers for CPUs that have come. Errors: OSError."""

    def close(self) -> None:
        """Give every buffer back."""


def online_cpus() -> list[int]:
    """CPUs that run now, from /sys/devices/system/cpu/online."""
    cpus: list[int] = []
    with open("/sys/devices/system/cpu/online") as file:
        for part in file.read().strip().split(","):
            first, _, last = part.partition("-")
            cpus.extend(range(int(first), int(last or first) + 1))
    return cpus


_MEMBARRIER_AARCH64 = 283
_REGISTER_PRIVATE_EXPEDITED, _PRIVATE_EXPEDITED = 1 << 4, 1 << 3  # linux/membarrier.h


def _make_barrier() -> C._NamedFuncPointer | None:
    """x86 never reorders loads; elsewhere membarrier(2) keeps them in order, and a store after."""
    if platform.machine() == "x86_64":
        return None
    syscall = C.CDLL(None).syscall
    syscall(_MEMBARRIER_AARCH64, _REGISTER_PRIVATE_EXPEDITED, 0, 0)
    return syscall


_barrier = _make_barrier()


def barrier() -> None:
    """Between a position and what it says is there; between copying that and giving it back."""
    if _barrier is not None:
        _barrier(_MEMBARRIER_AARCH64, _PRIVATE_EXPEDITED, 0, 0)
