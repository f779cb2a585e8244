"""What the accept hook adds to a system call that has nothing to do with it.

Without fexit the hook is on a tracepoint of accept()'s return, and one such tracepoint sends every
system call of the machine the slow way out.
"""

from __future__ import annotations

import subprocess

from tests.bench import machine, pairs, programs
from tests.bench.effort import Effort
from tests.bench.estimates import of_mean
from tests.bench.table import Result, Row

COUNT = 3_000_000


def calls(effort: Effort) -> Result:
    """How much longer a getppid() takes while `accepts` runs."""
    rounds = pairs.some(_loop, ["accepts"], effort.call_pairs)
    extra = of_mean([pair["traced"]["ns"] - pair["untraced"]["ns"] for pair in rounds])
    row = Row("calls-extra", "added to any system call by `accepts`", extra, "ns", 60)
    note = (
        f"system calls: {len(rounds)} pairs of rounds of {COUNT} getppid(); "
        f"ns a call {pairs.sides(rounds, 'ns', digits=1)}"
    )
    return Result([row], rounds, [note])


def _loop() -> dict[str, float]:
    command = [str(programs.calls()), str(COUNT)]
    machine.settle()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"calls": COUNT, "ns": float(done.stdout)}
