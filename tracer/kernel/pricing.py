"""What the programs take, by the kernel's own clock, for as long as somebody wants to know.

BPF statistics are the whole machine's: while anybody has them on, the kernel reads its clock twice
around each run of each program. They are on as long as the descriptor is open, so they end with
this process, however it ends.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from tracer.kernel.account import Account
from tracer.kernel.libbpf import BPF_STATS_RUN_TIME, check, lib
from tracer.wire.cost import KernelCost

LEAST_NS = 200_000_000  # a shorter time says little
Taken = dict[int, tuple[int, int]]  # by a program's id: runs, ns


class Pricing:
    """Off until `begin`. `accounts` are those of what is attached by then."""

    def __init__(self, accounts: Callable[[], list[Account]]) -> None:
        self._accounts = accounts
        self._fd: int | None = None
        self._since_ns = self._seen = 0
        self._taken: Taken = {}

    @property
    def is_on(self) -> bool:
        """Whether the kernel's statistics are on for this session."""
        return self._fd is not None

    def begin(self) -> None:
        """Switch them on. Errors: OSError, where the kernel is before 5.8 or does not permit it."""
        if self._fd is None:
            self._fd = check(lib().bpf_enable_stats(BPF_STATS_RUN_TIME), "BPF statistics")
            self._remember(*self._look())

    def end(self) -> None:
        """Switch them off."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def cost(self) -> KernelCost:
        """Since the last one that had a span; a span of 0 if that was just now."""
        now_ns, taken, seen = self._look()
        span_ns = now_ns - self._since_ns
        if span_ns < LEAST_NS:
            return KernelCost(0, 0, 0, 0)
        none = (0, 0)  # one that was attached meanwhile
        moved = [
            (runs - self._taken.get(number, none)[0], spent - self._taken.get(number, none)[1])
            for number, (runs, spent) in taken.items()
        ]
        since = self._seen
        self._remember(now_ns, taken, seen)
        runs, run_ns = (sum(column) for column in zip(*moved, strict=True)) if moved else none
        return KernelCost(span_ns, runs, run_ns, seen - since)

    def _look(self) -> tuple[int, Taken, int]:
        accounts = self._accounts()
        taken = {number: found for account in accounts for number, found in account.taken().items()}
        return time.monotonic_ns(), taken, accounts[0].seen() if accounts else 0

    def _remember(self, now_ns: int, taken: Taken, seen: int) -> None:
        self._since_ns, self._taken, self._seen = now_ns, taken, seen
