"""A packet that two CPUs handle at the same moment is one packet: no drop, no second handshake.

The kernel makes what it needs on both CPUs and throws one away. Of children it then counts one
more than there are connections: that is how the test knows that it came to that, and that one is
explained by what the tracer counted itself.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace
from tests.programs.driver import Program
from tests.programs.places import NEAR, PORT, SILENT, build
from tests.schemas import checked

pytestmark = pytest.mark.kernel

FIRST, COUNT, BATCHES = 20000, 211, 200
FULL = PORT + 1


def proof(documents: list[Record], *spaces: int) -> dict[str, tuple[int, int]]:
    """What the kernel counted and what was explained, by counter."""
    return {
        d["counter"]: (d["kernel"], d["explained"])
        for d in documents
        if d["kind"] == "reconciliation" and d["netns"] in spaces
    }


def replayed(kept: str) -> list[Record]:
    again = [*COMMAND, "handshakes", "-r", kept, "-j"]
    return checked(subprocess.check_output(again, text=True, cwd=ROOT).splitlines())


def send_twins(ns: Namespace, first: int) -> None:
    ns.run(str(build("twins")), SILENT, NEAR, str(PORT), "far", str(first), str(COUNT))


def drop_one(server: Program, client: Program) -> None:
    """A drop that is surely told: what is told before it, and was none, shows beside it."""
    server.do("bind", name="full", address=NEAR, port=FULL)
    server.do("listen", name="full", backlog=0)
    client.do("hold", address=NEAR, port=FULL, count=1)
    client.do("send_syns", source=SILENT, address=NEAR, port=FULL, first=FIRST, count=1)


def test_what_two_cpus_handle_at_once_is_one_handshake_and_no_drop(
    ns: Namespace, server: Program, client: Program, tmp_path: Path
) -> None:
    server.do("listen", name="l", backlog=COUNT)
    kept = str(tmp_path / "kept")
    ports: list[int] = []
    with (
        Tracer("handshakes", "--netns", ns.name, "-w", kept) as sums,
        Tracer("handshakes", "--netns", ns.name, json=False) as table,
        namespace() as other,
        Tracer("handshakes", "--netns", other.name, json=False) as of_another,
        Tracer("states", "--netns", ns.name) as states,
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
        of_another.stop()
        records, documents, counted = events.stop(), sums.stop(), states.stop()
    assert children > len(ports), "no two CPUs made the same child"
    assert sorted(ports) == list(range(FIRST, FIRST + len(ports)))
    dropped = Counter((r["lport"], r["cause"]) for r in records if r["kind"] == "syn_drop")
    assert dropped == {(FULL, "accept_queue_full"): 1}
    finished = [r for r in records if r["kind"] == "handshake" and r["lport"] == PORT]
    assert sorted(r["rport"] for r in finished) == sorted(ports)
    assert {r["outcome"] for r in finished} == {"ok"}
    every_space = 0  # as `states` has it, which counts by owner
    for told in (documents, counted, replayed(kept)):
        explained = proof(told, ns.inode, every_space)
        assert explained["PassiveOpens"] == (children + 1, children + 1)
        assert all(kernel == ours for kernel, ours in explained.values()), explained
    thrown_away = children - len(ports)
    many = "1 is a child" if thrown_away == 1 else f"{thrown_away} are children"
    assert f"of PassiveOpens {many} made on two CPUs at once" in table.stdout
    assert "are children made on two" not in of_another.stdout
    assert "is a child made on two" not in of_another.stdout
    assert ns.counters()["TcpExtListenDrops"] == 1
