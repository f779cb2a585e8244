"""What the programs say of themselves: records seen and sent, runs skipped, time taken."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracer.kernel import maps
from tracer.kernel.counts import await_programs
from tracer.kernel.libbpf import program_info
from tracer.kernel.loader import BpfObject
from tracer.wire.layout import Layout, Records

# Programs whose skipped runs are lost events. tt_state_nested is not one: it is skipped only in an
# interrupt of itself, and there tt_state runs.
MAKERS = {
    "tt_state",
    "tt_accept_graft",
    "tt_accept4_fexit",
    "tt_accept_fexit",
    "tt_accept_exit",
    "tt_accept_kgraft",
    "tt_accept4_kret",
    "tt_accept_kret",
    "tt_connect_kret",
    "tt_connect_fexit",
    "tt_uring_complete",
    "tt_uring_overflow",
    "tt_uring_waits",
    "tt_connect_exit",
    "tt_syn_fexit",
    "tt_ack_fexit",
    "tt_cookie4_fexit",
    "tt_cookie6_fexit",
    "tt_timer_begins",
    "tt_timer_over",
    "tt_retransmit",
    "tt_synack_again",
    "tt_consumed",
    "tt_freed",
    "tt_reset_sent",
    "tt_reset_received",
    "tt_answered_v4",
    "tt_answered_v6",
    "tt_error_reported",
    "tt_drop",
}

# Kretprobes of calls that wait: one misses as many as wait beyond the places that the kernel keeps
# for it, and few of these would have been told. Their subject says so.
MAY_WAIT = {"tt_accept4_kret", "tt_accept_kret", "tt_connect_kret"}


class Account:
    """Counters of the programs that are attached."""

    def __init__(self, bpf: BpfObject, layout: Layout, programs: list[str]) -> None:
        self._object, self._layout, self._programs = bpf, layout, programs
        self._last: NDArray[np.uint64] | None = None
        self._not_taken = 0  # skips of tt_state, as far as is known for sure
        # what was skipped while the programs were attached one after the other
        self._before = self._skipped()

    def _read_stats(self) -> Records:
        slots = self._layout.enums["slot"]["MAX"]
        fd = self._object.map_fd("tt_stats")
        return maps.read_percpu_array(fd, self._layout.dtypes["stats"], slots)

    def stats(self) -> Records | None:
        """Counters, summed over the CPUs: shape (1,); None if they stand as they stood."""
        dtype = self._layout.dtypes["stats"]
        parts = self._read_stats()
        words: NDArray[np.uint64] = parts.view(np.uint64).reshape(len(parts), -1).sum(axis=0)
        if self._last is not None and (words == self._last).all():
            return None
        self._last = words
        return words.view(dtype)

    def missed(self) -> dict[str, int]:
        """Records that were not made because the kernel skipped a run, by program.

        It runs no program inside itself and counts what it skips since Linux commit 9ed9e9ba2337
        ("bpf: Count the number of times recursion was prevented") (in v5.12). Programs
        for older kernels do both themselves (bpf/old.h). What is skipped of
        tt_state is taken up by tt_state_nested, which counts that: only the rest is lost.
        """
        lost = {name: count - self._before.get(name, 0) for name, count in self._skipped().items()}
        return {name: count for name, count in lost.items() if count > 0}

    def _skipped(self) -> dict[str, int]:
        skipped = {name: self._misses(name) for name in self._programs if name in MAKERS}
        if skipped.get("tt_state"):
            skipped["tt_state"] = self._not_taken_up(skipped["tt_state"])
        return skipped

    def _not_taken_up(self, skips: int) -> int:
        """Of skips that were read before."""
        # read after them: one taken up in between makes this smaller, never larger
        left = skips - self._nested()
        if left > self._not_taken:
            # a CPU that a hypervisor stops may take its time between the two programs: those of one
            # event run with preemption off
            await_programs()
            left = self._not_taken = max(skips - self._nested(), 0)
        return left

    def _nested(self) -> int:
        return int(self._read_stats()["nested"].sum())

    def _misses(self, name: str) -> int:
        counted = int(program_info(self._object.program_fd(name)).recursion_misses)
        return counted if name in MAY_WAIT else counted + self._object.skipped(name)

    def seen(self) -> int:
        """Events of all kinds, before filters."""
        return int(self._read_stats()["seen"].sum())

    def taken(self) -> dict[int, tuple[int, int]]:
        """What was measured of each program while that was on: runs and ns, by the program's id."""
        found = [program_info(self._object.program_fd(name)) for name in self._programs]
        return {info.id: (info.run_cnt, info.run_time_ns) for info in found}

    def costs(self) -> list[str]:
        """What each program's runs took, by the kernel's own clock, if that is on."""
        lines = []
        for name in self._programs:
            info = program_info(self._object.program_fd(name))
            if info.run_cnt:
                mean = info.run_time_ns / info.run_cnt
                lines.append(f"kernel cost: {name} {mean:.0f} ns a run, {info.run_cnt} runs")
        return lines
