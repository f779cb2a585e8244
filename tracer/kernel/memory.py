"""What is freed goes back to the kernel, where a process stays on for long."""

from __future__ import annotations

import ctypes as C

# malloc.h of glibc; what it sets itself to grows with the first large array that is freed, and
# what lies between smaller ones then stays (a third more in a storm)
M_MMAP_THRESHOLD = -3
LARGE = 256 << 10


def give_back_at_once() -> None:
    """Have arrays of LARGE bytes and more mapped one by one. Other C libraries: nothing is done."""
    mallopt = getattr(C.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE)
