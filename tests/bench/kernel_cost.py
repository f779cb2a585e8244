"""What one run of tt_state takes, by the kernel's own clock, beside a program that does nothing.

The kernel's statistics cost time themselves, and the clock is read inside what is measured; so
these are rounds of their own, and the empty program is there to compare with. Both programs run
for the same transitions.
"""

from __future__ import annotations

from typing import Any

from tests.bench import machine
from tests.bench.effort import Effort
from tests.bench.empties import EMPTY, Empties
from tests.bench.estimates import of_mean
from tests.bench.table import Result, Row
from tests.bench.traced import RECORDING, Traced
from tests.bench.traffic import roomy_namespace, storm

RING, PERF = ("--transport", "ring"), ("--transport", "perf")
PROGRAM = "tt_state"


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
        Empties(EMPTY) as empty,
    ):
        machine.settle()
        result = storm(where, effort.round_s)
        empty_ns = empty.cost_ns(EMPTY)
        tracer.end()
    ns, runs = tracer.costs[PROGRAM]
    told = tracer.told.raw()
    return {"ns": ns, "runs": runs, "empty_ns": empty_ns, "storm": result.raw(), "told": told}
