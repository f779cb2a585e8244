"""Every measurement of the bench, by its name on the command line."""

from __future__ import annotations

from collections.abc import Callable

from tests.bench import bulk, calls, kernel_cost, moments, slowdown, tracer_cost
from tests.bench.effort import Effort
from tests.bench.table import Result

SUITE: dict[str, Callable[[Effort], Result]] = {
    "floor": slowdown.floor,
    "states": slowdown.states,
    "record": slowdown.record,
    "record-perf": slowdown.record_perf,
    "idle-pid": slowdown.idle_pid,
    "accepts": slowdown.accepts,
    "handshakes": slowdown.handshakes,
    "listeners": slowdown.listeners,
    "connections": slowdown.connections,
    "calls": calls.calls,
    "bulk": bulk.syns,
    "bulk-drops": bulk.packets,
    "bulk-ends": bulk.ends,
    "counting": kernel_cost.counting,
    "streaming": kernel_cost.streaming,
    "streaming-perf": kernel_cost.streaming_perf,
    "cpu": tracer_cost.cpu,
    "start": moments.start,
    "help": moments.usage,
    "end": moments.end,
    "resident": tracer_cost.resident,
    "idle": tracer_cost.idle,
}
