"""A packet that two CPUs handle at the same moment is one packet: no drop, no second handshake.

The kernel makes what it needs on both CPUs and throws one away. Of children it then counts one
more than there are connections: that is how the test knows that it came to that.
"""

from __future__ import annotations

from collections import Counter

import pytest

from tests.harness import Namespace, Record, Tracer
from tests.programs.driver import Program
from tests.programs.places import NEAR, PORT, SILENT, build

pytestmark = pytest.mark.kernel

FIRST, COUNT, BATCHES = 20000, 211, 200
FULL = PORT + 1


def proof(documents: list[Record], ns: Namespace) -> dict[str, tuple[int, int]]:
    """What the kernel counted and what was explained, by counter."""
    return {
        d["counter"]: (d["kernel"], d["explained"])
        for d in documents
        if d["kind"] == "reconciliation" and d["netns"] == ns.inode
    }


def send_twins(ns: Namespace, first: int) -> None:
    ns.run(str(build("twins")), SILENT, NEAR, str(PORT), "far", str(first), str(COUNT))


def drop_one(server: Program, client: Program) -> None:
    """A drop that is surely told: what is told before it, and was none, shows beside it."""
    server.do("bind", name="full", address=NEAR, port=FULL)
    server.do("listen", name="full", backlog=0)
    client.do("hold", address=NEAR, port=FULL, count=1)
    client.do("send_syns", source=SILENT, address=NEAR, port=FULL, first=FIRST, count=1)


def test_what_two_cpus_handle_at_once_is_one_handshake_and_no_drop(
    ns: Namespace, server: Program, client: Program
) -> None:
    server.do("listen", name="l", backlog=COUNT)
    ports: list[int] = []
    with (
        Tracer("handshakes", "--netns", ns.name) as sums,
        Tracer("handshakes", "--netns", ns.name, json=False) as table,
        Tracer("events", "--kind", "handshake,syn_drop", "--netns", ns.name) as events,
    ):
        for batch in range(BATCHES):
            send_twins(ns, FIRST + batch * COUNT)
            ports += server.do("accept_waiting", listener="l")["peers"]
            children = ns.counters()["TcpPassiveOpens"]
            if children > len(ports):
                break
        drop_one(server, client)
        table.stop()
        records, documents = events.stop(), sums.stop()
    assert children > len(ports), "no two CPUs made the same child"
    assert sorted(ports) == list(range(FIRST, FIRST + len(ports)))
    dropped = Counter((r["lport"], r["cause"]) for r in records if r["kind"] == "syn_drop")
    assert dropped == {(FULL, "accept_queue_full"): 1}
    finished = [r for r in records if r["kind"] == "handshake" and r["lport"] == PORT]
    assert sorted(r["rport"] for r in finished) == sorted(ports)
    assert {r["outcome"] for r in finished} == {"ok"}
    found = proof(documents, ns)
    assert found.pop("PassiveOpens") == (children + 1, len(ports) + 1)
    assert all(kernel == explained for kernel, explained in found.values()), found
    line = next(line for line in table.stdout.splitlines() if f"netns {ns.inode}" in line)
    assert line.endswith("made on two CPUs at once and thrown away on one, or lost")
    assert ns.counters()["TcpExtListenDrops"] == 1
