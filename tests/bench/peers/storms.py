"""Rounds of a storm: one untraced, one under each tool, in an order that moves on by one each time.

Each tool's rate is set beside the untraced one of the same turn.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import Any

from tests.bench import machine
from tests.bench.effort import Effort
from tests.bench.estimates import Estimate, of_mean, of_ratio
from tests.bench.peers.running import Running
from tests.bench.peers.tools import OF_CONNECTION, PORT, Tool
from tests.bench.traced import COMMAND
from tests.bench.traffic import roomy_namespace, storm
from tests.harness import Namespace, wait_until
from tracer.kernel.libbpf import check, lib

BPF_STATS_RUN_TIME = 0
Round = dict[str, Any]


@dataclass(frozen=True)
class Costs:
    """What one tool's rounds come to; `missing` and `told_lost` in percent of what happened."""

    kept: Estimate
    missing: float
    told_lost: float
    cpu_ns: float | None
    resident_mb: Estimate


def turns(tools: list[Tool], effort: Effort, count: int) -> list[Round]:
    """Make so many turns: what the storm did `untraced` and under each tool by its name."""
    made = []
    for number in range(count):
        found: Round = {}
        places: list[Tool | None] = [None, *tools]
        start = number % len(places)
        for tool in places[start:] + places[:start]:
            found[tool.name if tool else "untraced"] = _round(tool, effort)
        made.append(found)
    return made


def _round(tool: Tool | None, effort: Effort) -> Round:
    if tool is None:
        with roomy_namespace() as where:
            machine.settle()
            return storm(where, effort.round_s, PORT).raw()
    with Running(tool) as running:
        with roomy_namespace() as where:
            machine.settle()
            made: Round = storm(where, effort.round_s, PORT).raw()
            made["opened"] = _opened(where)
        running.drain()
        made["resident_mb"] = running.resident_mb()
        running.end()
        made["happened"] = tool.happened(made["opened"])
        made["told"] = tool.count(_output(running), PORT)
        made["told_lost"] = tool.told_lost(running.text)
        made["cpu_ns"] = running.cpu_since_ready_ns
    return made


# what has yet to end; a namespace that goes takes the last packets with it
ON_THEIR_WAY = (
    *("established", "syn-sent", "syn-recv", "fin-wait-1"),
    *("close-wait", "last-ack", "closing"),
)


def _opened(where: Namespace) -> int:
    """How many connections there were, by the kernel's own counters: all whole, none reset."""
    which = [word for state in ON_THEIR_WAY for word in ("state", state)]
    wait_until(lambda: not where.run("ss", "-Htan", *which), "the last connection to end")
    counters = where.counters()
    assert counters["TcpActiveOpens"] == counters["TcpPassiveOpens"], counters
    assert not counters["TcpAttemptFails"] + counters["TcpEstabResets"], counters
    return counters["TcpActiveOpens"]


def _output(running: Running) -> str:
    """What it printed; a recording, as it is shown."""
    if not running.kept.exists():
        return running.stdout
    show = [COMMAND, "events", "-q", "-r", str(running.kept), "--kind", "state"]
    done = subprocess.run([*show, "--port", str(PORT)], check=True, capture_output=True, text=True)
    return done.stdout


def costs(tool: Tool, made: list[Round]) -> Costs:
    """Sum up one tool's rounds."""
    mine = [turn[tool.name] for turn in made]
    happened, told = (sum(one[key] for one in mine) for key in ("happened", "told"))
    cpu_ns = sum(one["cpu_ns"] for one in mine) / told if told and not tool.sums else None
    ratios = [turn[tool.name]["rate"] / turn["untraced"]["rate"] for turn in made]
    return Costs(
        of_ratio(ratios).times(100),
        (happened - told) / happened * 100,
        sum(one["told_lost"] for one in mine) / happened * 100,
        cpu_ns,
        of_mean([one["resident_mb"] for one in mine]),
    )


def kernel_rounds(tools: list[Tool], effort: Effort) -> list[Round]:
    """Rounds of their own, with the kernel's statistics on: ns of all programs by event."""
    made = []
    for _ in range(effort.cost_rounds):
        made.append({tool.name: _kernel_round(tool, effort) for tool in tools})
    return made


def _kernel_round(tool: Tool, effort: Effort) -> Round:
    with Running(tool) as running, roomy_namespace() as where:
        machine.settle()
        before = running.kernel_ns()
        statistics = check(lib().bpf_enable_stats(BPF_STATS_RUN_TIME), "BPF statistics")
        try:
            result = storm(where, effort.round_s, PORT)
        finally:
            os.close(statistics)
        took = running.kernel_ns() - before
        running.drain()
        running.end()
    return {**result.raw(), "ns": took / result.connections / OF_CONNECTION}
