"""What the tracer's own process takes: CPU time by event and idle, and memory."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from tests.bench import machine
from tests.bench.effort import Effort
from tests.bench.estimates import Estimate, of_mean
from tests.bench.table import Result, Row
from tests.bench.traced import RECORDING, Traced
from tests.bench.traffic import roomy_namespace, storm, trickle

TRICKLE_PAUSE_US = 1000
COMMANDS = {
    "events": ["events"],
    "states": ["states"],
    "record": ["record", RECORDING],
}


def cpu(effort: Effort) -> Result:
    """Of `record`: its CPU time in a storm, less that of an idle run as long, by event."""
    rounds = [_cpu_round(effort) for _ in range(effort.cpu_rounds)]
    cost = of_mean([one["ns_an_event"] for one in rounds])
    return Result([Row("cpu-ns", "`record`, CPU time an event", cost, "ns", 150)], rounds)


def _cpu_round(effort: Effort) -> dict[str, Any]:
    """Both runs are counted from when the tracer is ready: starting takes the same in both.

    The namespace goes before the tracer does: sockets listed at the end are not events.
    """
    with Traced("record", RECORDING) as busy:
        with roomy_namespace() as where:
            machine.settle()
            result = storm(where, effort.cpu_s)
        busy.end()
    with Traced("record", RECORDING) as idle:
        idle.run_for(busy.traced_s)
        idle.end()
    told = busy.told
    return {
        "ns_an_event": (busy.cpu_since_ready_ns - idle.cpu_since_ready_ns) / told.matched,
        "busy_ns": busy.cpu_since_ready_ns,
        "idle_ns": idle.cpu_since_ready_ns,
        "storm": result.raw(),
        "told": told.raw(),
    }


def idle(effort: Effort) -> Result:
    """CPU time while nothing goes on, as a share of one CPU; of the command that takes most."""
    with ExitStack() as stack:
        tracers = {n: stack.enter_context(Traced(*COMMANDS[n])) for n in ("events", "states")}
        machine.settle()
        before = {name: tracer.cpu_ns() for name, tracer in tracers.items()}
        next(iter(tracers.values())).run_for(effort.idle_s)
        spent = {name: tracer.cpu_ns() - before[name] for name, tracer in tracers.items()}
        for tracer in tracers.values():
            tracer.end()
    shares = {name: ns / effort.idle_s / 1e9 * 100 for name, ns in spent.items()}
    what = f"idle, share of a CPU in {effort.idle_s:g} s"
    row = _most("idle-cpu", what, shares, "%", 0.5, digits=2)
    return Result([row], [{"percent": shares}])


def resident(effort: Effort) -> Result:
    """Memory after a while of a moderate load; of the command that takes most."""
    with ExitStack() as stack:
        tracers = {n: stack.enter_context(Traced(*COMMANDS[n])) for n in COMMANDS}
        stack.enter_context(trickle(TRICKLE_PAUSE_US))
        next(iter(tracers.values())).run_for(effort.resident_s)
        sizes = {name: tracer.resident_mb() for name, tracer in tracers.items()}
        for tracer in tracers.values():
            tracer.end()
    what = f"memory after {effort.resident_s:g} s"
    row = _most("resident", what, sizes, "MB", 80)
    told = {name: tracer.told.raw() for name, tracer in tracers.items()}
    rate = tracers["events"].told.seen / effort.resident_s
    listed = ", ".join(f"{name} {size:.0f} MB" for name, size in sizes.items())
    note = f"{what} (VmRSS, under some {rate:.0f} events/s): {listed}"
    return Result([row], [{"mb": sizes, "told": told}], [note])


def _most(
    name: str, what: str, by_command: dict[str, float], unit: str, target: float, digits: int = 0
) -> Row:
    command = max(by_command, key=lambda key: by_command[key])
    value = Estimate(by_command[command], None, 1)
    return Row(name, f"`{command}`, {what}", value, unit, target, digits=digits)
