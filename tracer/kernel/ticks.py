"""How long the kernel's jiffies are, in which it counts some spans."""

from __future__ import annotations

import time

CLOCK_MONOTONIC_COARSE = 6  # include/uapi/linux/time.h


def tick_ns() -> int:
    """1/CONFIG_HZ s: what the coarse clocks, which move with each tick, are good to."""
    return round(time.clock_getres(CLOCK_MONOTONIC_COARSE) * 1e9)
