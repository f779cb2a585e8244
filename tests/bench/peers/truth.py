"""What the tools say of a workload that is known: whose ends, which processes, which SYNs dropped.

Two processes on loopback, one calling, one accepting; then a listener whose accept queue is full,
and SYNs to it from a host that is not there. The kernel's own counters say how many were dropped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.bench.peers.running import Running
from tests.bench.peers.tools import Tool
from tests.harness import namespace
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, SILENT, add_silent_host, server_in

CONNECTIONS, SYNS = 211, 97
PORT, FULL_PORT, BACKLOG, FIRST_SOURCE = 7411, 7412, 4, 20000
HOST = "10.99.0.1"  # ours, on the link to the one that is SILENT
_DROP = re.compile(rf"\b{re.escape(HOST)}:{FULL_PORT}\b")


@dataclass(frozen=True)
class Truth:
    """Lines that were due and lines that came, those of them with the right process; SYNs."""

    due: int
    lines: int
    right: int
    dropped: int
    drops_told: int


def truth(tool: Tool) -> Truth:
    """Ask a tool that shows events as they come."""
    due, lines, right = _whose(tool)
    return Truth(due, lines, right, *_drops(tool))


def _whose(tool: Tool) -> tuple[int, int, int]:
    with namespace() as where:
        with Running(tool) as running:
            with server_in(where, PORT) as server, Program("caller", where.enter) as client:
                server.tell("serve", listener="l")
                client.do("call", address=ADDRESS, port=PORT, count=CONNECTIONS)
                server.stop()
            running.drain()
            running.end()
        opened = where.counters()["TcpActiveOpens"]
    assert opened == CONNECTIONS
    told = list(tool.lines(running.stdout, PORT))
    owners = {True: client.pid, False: server.pid}
    right = sum(line.pid == owners[line.rport == PORT] for line in told)
    return tool.happened(opened), len(told), right


def _drops(tool: Tool) -> tuple[int, int]:
    """How many SYNs a full accept queue dropped, and how many lines there are of the listener."""
    with namespace() as where:
        add_silent_host(where)
        with Program("full", where.enter) as server, Program("caller", where.enter) as client:
            server.do("bind", name="l", address=HOST, port=FULL_PORT)
            server.do("listen", name="l", backlog=BACKLOG)
            client.do("hold", address=HOST, port=FULL_PORT, count=BACKLOG + 1)
            client.do("watch", device="far")
            with Running(tool, list(tool.drops) or None) as running:
                client.do(
                    "send_syns",
                    source=SILENT,
                    address=HOST,
                    port=FULL_PORT,
                    first=FIRST_SOURCE,
                    count=SYNS,
                )
                running.drain()
                running.end()
                dropped = where.counters()["TcpExtListenDrops"]
    if tool.drops:
        return dropped, len(_DROP.findall(running.stdout))
    return dropped, sum(line.lport == FULL_PORT for line in tool.lines(running.stdout, FULL_PORT))
