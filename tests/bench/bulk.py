"""What a bulk transfer loses while dropped SYNs are looked for: packets are freed all the time.

The congestion control is Reno, which every kernel has and which does not pace: a machine whose
default is BBR would be limited by its pacing and not by what a packet takes.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench import machine, pairs
from tests.bench.effort import Effort
from tests.bench.table import Result, Row
from tests.harness import Namespace, namespace

TRANSFER_S = 1
LISTENS = "Server listening"
ADDRESS = "127.0.0.1"


def syns(effort: Effort) -> Result:
    """One connection over loopback under `drops --syn`."""
    return _transfers("bulk", ["drops", "--syn"], "`drops --syn`", 95, effort)


def packets(effort: Effort) -> Result:
    """Under `drops`, which looks at every packet that is thrown away."""
    return _transfers("bulk-drops", ["drops"], "`drops`", 95, effort)


def ends(effort: Effort) -> Result:
    """Under what tells of segments sent again, of RSTs and of connections that ended."""
    kinds = "retransmit,reset,connection"
    what = f"`events --kind {kinds}`"
    return _transfers("bulk-ends", ["events", "--kind", kinds], what, 97, effort)


def _transfers(
    name: str, arguments: list[str], under: str, target: float, effort: Effort
) -> Result:
    rounds = pairs.enough(_transfer, arguments, effort)
    keeps = pairs.kept(rounds).times(100)
    what = f"bytes/s of a bulk transfer kept under {under}"
    row = Row(f"{name}-keeps", what, keeps, "%", target, "at least", 1)
    rates = pairs.sides(rounds, "rate", 8e-9, digits=1)
    note = f"bulk transfer under {under}: {len(rounds)} pairs of rounds; Gbit/s {rates}"
    return Result([row], rounds, [note])


def _transfer() -> dict[str, float]:
    with namespace() as where, server(where):
        machine.settle()
        client = ["iperf3", "-c", ADDRESS, "-t", str(TRANSFER_S), "-C", "reno", "-J"]
        received = json.loads(where.run(*client))["end"]["sum_received"]
    size, seconds = received["bytes"], received["seconds"]
    return {"bytes": size, "seconds": seconds, "rate": size / seconds}


@contextmanager
def server(where: Namespace) -> Iterator[None]:
    """Serve one transfer; listening when the block begins."""
    command = [*where.enter, "iperf3", "-s", "-B", ADDRESS, "--one-off", "--forceflush"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        assert any(LISTENS in line for line in process.stdout), "iperf3 does not listen"
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
