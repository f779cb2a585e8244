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


def bulk(effort: Effort) -> Result:
    """One connection over loopback under `drops --syn`."""
    rounds = pairs.enough(_transfer, ["drops", "--syn"], effort)
    keeps = pairs.kept(rounds).times(100)
    what = "bytes/s of a bulk transfer kept under `drops --syn`"
    row = Row("bulk-keeps", what, keeps, "%", 95, "at least", 1)
    rates = pairs.sides(rounds, "rate", 8e-9, digits=1)
    note = f"bulk transfer over loopback: {len(rounds)} pairs of rounds; Gbit/s {rates}"
    return Result([row], rounds, [note])


def _transfer() -> dict[str, float]:
    with namespace() as where, _server(where):
        machine.settle()
        client = ["iperf3", "-c", ADDRESS, "-t", str(TRANSFER_S), "-C", "reno", "-J"]
        received = json.loads(where.run(*client))["end"]["sum_received"]
    size, seconds = received["bytes"], received["seconds"]
    return {"bytes": size, "seconds": seconds, "rate": size / seconds}


@contextmanager
def _server(where: Namespace) -> Iterator[None]:
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
