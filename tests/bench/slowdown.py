"""What a storm of connections loses by being traced."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench import machine, pairs
from tests.bench.effort import Effort
from tests.bench.empties import FLOOR, Empties
from tests.bench.estimates import Estimate
from tests.bench.table import Result, Row
from tests.bench.traced import RECORDING
from tests.bench.traffic import roomy_namespace, storm


def floor(effort: Effort) -> Result:
    """What is left where nothing is done but to be called: `states` cannot keep more."""

    def run(load: pairs.Load) -> pairs.Round:
        with Empties(*FLOOR):
            return {"traced": load()}

    what = f"{len(FLOOR)} empty programs in these places"
    rounds = pairs.enough_under(lambda: _storm(effort), run, effort)
    keeps = pairs.kept(rounds).times(100)
    row = Row("floor-keeps", f"connections/s kept under {what}", keeps, "%", digits=1)
    note = f"{what}: {len(rounds)} pairs of rounds; connections/s {pairs.sides(rounds, 'rate')}"
    return Result([row], rounds, [note])


def states(effort: Effort) -> Result:
    """Counting: nothing is sent."""
    return _storms("states", "`states`", ["states"], 95, effort)


def record(effort: Effort) -> Result:
    """Streaming: every transition and accept is sent and kept, in a file in memory."""
    return _storms("record", "`record`", ["record", RECORDING], 91, effort)


def record_perf(effort: Effort) -> Result:
    """The same through perf buffers, the road of older kernels."""
    arguments = ["record", RECORDING, "--transport", "perf"]
    return _storms("record-perf", "`record --transport perf`", arguments, 88, effort)


def idle_pid(effort: Effort) -> Result:
    """Every transition is looked at, none is of the process that is asked for."""
    with _sleeper() as pid:
        return _storms(
            "idle-pid",
            "`events --pid` of an idle process",
            ["events", "--pid", str(pid)],
            95,
            effort,
        )


def accepts(effort: Effort) -> Result:
    """Only accepts are sent, each with how long its connection waited."""
    return _storms("accepts", "`accepts`", ["accepts"], 93, effort)


def handshakes(effort: Effort) -> Result:
    """Both ends' attempts are sent, one record each, and beside them the kernel's counters."""
    return _storms("handshakes", "`handshakes`", ["handshakes"], 92, effort)


def listeners(effort: Effort) -> Result:
    """Queues are followed and dropped SYNs looked for; nothing is sent."""
    return _storms("listeners", "`listeners`", ["listeners"], 92, effort)


def connections(effort: Effort) -> Result:
    """One record for each side of each connection, as it ends."""
    return _storms("connections", "`connections`", ["connections", "--slowest"], 92, effort)


@contextmanager
def _sleeper() -> Iterator[int]:
    process = subprocess.Popen(["sleep", "infinity"])
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def _storms(name: str, what: str, arguments: list[str], target: float, effort: Effort) -> Result:
    rounds = pairs.enough(lambda: _storm(effort), arguments, effort)
    keeps = pairs.kept(rounds).times(100)
    lost = Estimate(sum(pair["told"]["lost"] for pair in rounds), None, len(rounds))
    rows = [
        Row(f"{name}-keeps", f"connections/s kept under {what}", keeps, "%", target, "at least", 1),
        Row(f"{name}-lost", f"events lost under {what}", lost, "", 0),
    ]
    return Result(rows, rounds, [_rates(what, rounds)])


def _storm(effort: Effort) -> dict[str, float]:
    with roomy_namespace() as where:
        machine.settle()
        return storm(where, effort.round_s).raw()


def _rates(what: str, rounds: list[pairs.Round]) -> str:
    seen = sum(pair["told"]["seen"] for pair in rounds)
    connections = sum(pair["traced"]["connections"] for pair in rounds)
    return (
        f"{what}: {len(rounds)} pairs of rounds; connections/s {pairs.sides(rounds, 'rate')}; "
        f"{seen} events seen, {seen / connections:.1f} a connection"
    )
