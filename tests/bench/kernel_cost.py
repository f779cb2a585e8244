"""What one run of tt_state takes, by the kernel's own clock, beside a program that does nothing.

The kernel's statistics cost time themselves, and the clock is read inside what is measured; so
these are rounds of their own, and the empty program is there to compare with. Both programs run
for the same transitions.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.bench import machine, programs
from tests.bench.effort import Effort
from tests.bench.estimates import of_mean
from tests.bench.table import Result, Row
from tests.bench.traced import RECORDING, Traced
from tests.bench.traffic import roomy_namespace, storm
from tracer.kernel.libbpf import check, check_pointer, lib, program_info

RING, PERF = ("--transport", "ring"), ("--transport", "perf")
PROGRAM, EMPTY = "tt_state", "tt_empty"


def counting(effort: Effort) -> Result:
    """`states`: transitions are counted in the kernel."""
    return _cost("counting", "`states`", ["states"], 300, effort)


def streaming(effort: Effort) -> Result:
    """`record`: transitions are sent through ring buffers."""
    return _cost("streaming", "`record`", ["record", RECORDING, *RING], 500, effort)


def streaming_perf(effort: Effort) -> Result:
    """The same through perf buffers, the road of older kernels."""
    what = "`record --transport perf`"
    return _cost("streaming-perf", what, ["record", RECORDING, *PERF], 850, effort)


class EmptyProgram:
    """empty.bpf.c, attached inside the `with` block."""

    def __init__(self, path: Path) -> None:
        self._object = check_pointer(
            lib().bpf_object__open_file(os.fsencode(path), None), f"cannot open {path}"
        )
        self._link = 0

    def __enter__(self) -> EmptyProgram:
        check(lib().bpf_object__load(self._object), "cannot load the empty program")
        program = lib().bpf_object__find_program_by_name(self._object, EMPTY.encode())
        self._fd = check(lib().bpf_program__fd(program), EMPTY)
        self._link = check_pointer(lib().bpf_program__attach(program), f"cannot attach {EMPTY}")
        return self

    def cost_ns(self) -> float:
        """Mean of its runs while statistics were on."""
        info = program_info(self._fd)
        assert info.run_cnt, "the empty program has not run with statistics on"
        return float(info.run_time_ns / info.run_cnt)

    def __exit__(self, *_: object) -> None:
        if self._link:
            lib().bpf_link__destroy(self._link)
        lib().bpf_object__close(self._object)


def _cost(name: str, what: str, arguments: list[str], target: float, effort: Effort) -> Result:
    rounds = [_round(arguments, effort) for _ in range(effort.cost_rounds)]
    cost = of_mean([float(one["ns"]) for one in rounds])
    ratio = of_mean([one["ns"] / one["empty_ns"] for one in rounds])
    empty = of_mean([one["empty_ns"] for one in rounds])
    runs = sum(one["runs"] for one in rounds)
    note = (
        f"{PROGRAM} under {what}: {runs} runs in {len(rounds)} rounds; an empty program took "
        f"{empty.mean:.0f} ns in them, the clock's own cost included"
    )
    rows = [
        Row(f"{name}-ns", f"{PROGRAM} under {what}, a run", cost, "ns", target),
        Row(f"{name}-ratio", "the same beside an empty program", ratio, "times", digits=1),
    ]
    return Result(rows, rounds, [note])


def _round(arguments: list[str], effort: Effort) -> dict[str, Any]:
    with (
        roomy_namespace() as where,
        Traced(*arguments, "--kernel-cost") as tracer,
        EmptyProgram(programs.empty()) as empty,
    ):
        machine.settle()
        result = storm(where, effort.round_s)
        empty_ns = empty.cost_ns()
        tracer.end()
    ns, runs = tracer.costs[PROGRAM]
    told = tracer.told.raw()
    return {"ns": ns, "runs": runs, "empty_ns": empty_ns, "storm": result.raw(), "told": told}
