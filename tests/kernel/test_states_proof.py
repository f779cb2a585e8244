"""`states` ends with the connections that the kernel counted beside those that it told of."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Namespace, Record, Tracer, namespace
from tests.kernel.test_reconciliation import CLOSED, CONNECTIONS, attempts, server
from tests.programs.places import inside

pytestmark = [pytest.mark.kernel, pytest.mark.timers]

REFUSED = 5
PORTS = 4


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


def proof(records: list[Record]) -> dict[str, tuple[int, int, int]]:
    found = [r for r in records if r["kind"] == "reconciliation"]
    return {r["counter"]: (r["kernel"], r["explained"], r["unexplained"]) for r in found}


@pytest.mark.parametrize("by", [[], ["--by", "lport"], ["--by", "comm", "--sort", "opened"]])
def test_connections_opened_are_as_many_as_the_kernel_counted(ns: Namespace, by: list[str]) -> None:
    with server(ns), Tracer("states", *by, "--netns", ns.name) as tracer:
        made = attempts(ns, CONNECTIONS) + attempts(ns, REFUSED, CLOSED)
        counters = ns.counters()
        records = tracer.stop()
        assert made
    assert counters["TcpActiveOpens"] == CONNECTIONS + REFUSED
    assert counters["TcpPassiveOpens"] == CONNECTIONS
    assert proof(records) == {
        "PassiveOpens": (CONNECTIONS, CONNECTIONS, 0),
        "ActiveOpens": (CONNECTIONS + REFUSED, CONNECTIONS + REFUSED, 0),
    }


@pytest.mark.parametrize("command", ["states -w", "record"])
def test_the_proof_is_under_the_table_and_the_same_when_replayed(
    ns: Namespace, tmp_path: Path, command: str
) -> None:
    kept = str(tmp_path / "kept")
    with server(ns), Tracer(*command.split(), kept, "--netns", ns.name, json=False) as tracer:
        made = attempts(ns, CONNECTIONS)
        tracer.stop()
        assert made
    again = [sys.executable, "-m", "tracer", "states", "-r", kept]
    done = subprocess.run(again, capture_output=True, text=True, check=True, env=os.environ)
    told = f"PassiveOpens {CONNECTIONS} = {CONNECTIONS}, ActiveOpens {CONNECTIONS} = {CONNECTIONS}"
    lines = done.stdout.splitlines()
    assert lines[-2] == f"kernel, same span: {told}; left over 0"
    if command != "record":
        assert done.stdout == tracer.stdout


def test_the_proof_is_of_the_whole_and_stands_under_the_total_alone(ns: Namespace) -> None:
    line = ["states", "-i", "50ms", "--netns", ns.name]
    with server(ns), Tracer(*line) as tracer:
        made = attempts(ns, CONNECTIONS)
        records = tracer.stop()
        assert made
    assert sum(r["kind"] == "reconciliation" for r in records) == 2
    assert proof(records)["ActiveOpens"] == (CONNECTIONS, CONNECTIONS, 0)


def test_an_attempt_without_a_free_port_is_told_and_said_to_have_sent_nothing(
    ns: Namespace, tmp_path: Path
) -> None:
    ns.run("sysctl", "-qw", f"net.ipv4.ip_local_port_range=40000 {40000 + PORTS - 1}")

    def work() -> list[socket.socket]:
        made = [socket.socket() for _ in range(PORTS + 2)]
        for one in made:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", 7001))
        return made

    with server(ns), Tracer("states", "--netns", ns.name, json=False) as tracer:
        made = inside(ns, work)
        opened = ns.counters()["TcpActiveOpens"]
        tracer.stop()
        assert made
    assert opened == PORTS
    assert f"ActiveOpens {PORTS} and {PORTS + 2}; left over 2" in tracer.stdout
    assert "the rest sent no SYN, as without a free port" in tracer.stdout


def test_a_filter_that_leaves_some_out_leaves_out_the_proof(ns: Namespace) -> None:
    with server(ns), Tracer("states", "--netns", ns.name, "--rport", "1") as tracer:
        made = attempts(ns, 1)
        records = tracer.stop()
        assert made
    assert proof(records) == {}
