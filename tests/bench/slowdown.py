"""What a storm loses by being traced: pairs of rounds, one untraced and one traced.

Pairs are made until the ratio's interval is narrow enough; which round goes first alternates.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.bench import machine
from tests.bench.effort import Effort
from tests.bench.estimates import Estimate, of_mean, of_ratio
from tests.bench.table import Result, Row
from tests.bench.traced import RECORDING, Traced
from tests.bench.traffic import Storm, roomy_namespace, storm

NARROW = 0.015
Round = dict[str, Any]


def states(effort: Effort) -> Result:
    """Counting: nothing is sent."""
    return _pairs("states", "`states`", ["states"], 95, effort)


def record(effort: Effort) -> Result:
    """Streaming: every transition and accept is sent and kept, in a file in memory."""
    return _pairs("record", "`record`", ["record", RECORDING], 88, effort)


def idle_pid(effort: Effort) -> Result:
    """Every transition is looked at, none is of the process that is asked for."""
    with _sleeper() as pid:
        return _pairs(
            "idle-pid",
            "`events --pid` of an idle process",
            ["events", "--pid", str(pid)],
            95,
            effort,
        )


@contextmanager
def _sleeper() -> Iterator[int]:
    process = subprocess.Popen(["sleep", "infinity"])
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _pairs(name: str, what: str, arguments: list[str], target: float, effort: Effort) -> Result:
    rounds: list[Round] = []
    while not _is_enough(rounds, effort):
        rounds.append(_pair(arguments, effort, traced_first=len(rounds) % 2 == 1))
    keeps = _ratio(rounds).times(100)
    lost = Estimate(sum(pair["told"]["lost"] for pair in rounds), None, len(rounds))
    rows = [
        Row(f"{name}-keeps", f"connections/s kept under {what}", keeps, "%", target, "at least", 1),
        Row(f"{name}-lost", f"events lost under {what}", lost, "", 0),
    ]
    return Result(rows, rounds, [_rates(what, rounds)])


def _pair(arguments: list[str], effort: Effort, traced_first: bool) -> Round:
    pair: Round = {"traced_first": traced_first}
    for trace in (traced_first, not traced_first):
        if not trace:
            pair["untraced"] = _storm(effort).raw()
            continue
        with Traced(*arguments) as tracer:
            pair["traced"] = _storm(effort).raw()
            tracer.end()
        pair["told"] = tracer.told.raw()
    return pair


def _storm(effort: Effort) -> Storm:
    with roomy_namespace() as where:
        machine.settle()
        return storm(where, effort.round_s)


def _rate(side: dict[str, float]) -> float:
    return Storm(int(side["connections"]), side["seconds"]).rate


def _ratio(rounds: list[Round]) -> Estimate:
    return of_ratio([_rate(pair["traced"]) / _rate(pair["untraced"]) for pair in rounds])


def _is_enough(rounds: list[Round], effort: Effort) -> bool:
    if len(rounds) < effort.least_pairs:
        return False
    half = _ratio(rounds).half
    return len(rounds) >= effort.most_pairs or (half is not None and half <= NARROW)


def _rates(what: str, rounds: list[Round]) -> str:
    sides = [of_mean([_rate(pair[side]) for pair in rounds]) for side in ("untraced", "traced")]
    untraced, traced = (f"{side.mean:.0f} ± {side.half or 0:.0f}" for side in sides)
    seen = sum(pair["told"]["seen"] for pair in rounds)
    connections = sum(pair["traced"]["connections"] for pair in rounds)
    return (
        f"{what}: {len(rounds)} pairs of rounds; connections/s {untraced} untraced, "
        f"{traced} traced; {seen} events seen, {seen / connections:.1f} a connection"
    )
