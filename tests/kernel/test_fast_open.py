"""With TCP_FASTOPEN a child is born at the SYN, and told of as soon as it is anybody's.

Its handshake ends with a later packet, on any CPU: before Linux 6.15 it has no cookie of its own
until then, and others are born in between.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.harness import TRANSITIONS, Namespace, Record, Tracer, namespace, states, wait_until
from tests.programs.places import ADDRESS, PORT, inside, packets_waiting

pytestmark = [pytest.mark.kernel, pytest.mark.guest]

COUNT = 7
WITHOUT_COOKIE = 0x1 | 0x2 | 0x4 | 0x200  # net.ipv4.tcp_fastopen, both sides


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        made.run("sysctl", "-qw", f"net.ipv4.tcp_fastopen={WITHOUT_COOKIE}")
        yield made


def listening() -> socket.socket:
    server = socket.create_server((ADDRESS, PORT))
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, COUNT)
    return server


def opened() -> list[socket.socket]:
    """Clients whose SYN brings a byte along, none waiting for its answer."""
    clients = [socket.socket() for _ in range(COUNT)]
    for client in clients:
        client.setblocking(False)
        with suppress(BlockingIOError):
            client.sendto(b"x", socket.MSG_FASTOPEN, (ADDRESS, PORT))
    return clients


def told(records: list[Record], old: str, new: str) -> list[tuple[str, int, int, str]]:
    """Children in the order of this transition of theirs, whose they are and why."""
    return [
        (r["cookie"], r["rport"], r["pid"], r["owner_is"])
        for r in states(records, old=old, new=new)
    ]


def test_each_child_of_a_fast_open_is_told_once_with_its_listeners_owner(ns: Namespace) -> None:
    with inside(ns, listening) as server:
        with Tracer(*TRANSITIONS, "--netns", ns.name) as tracer:
            with packets_waiting(ns, 90):  # a SYN with a byte
                clients = inside(ns, opened)
            wait_until(
                lambda: len(states(tracer.so_far(), old="SYN_RECV")) == COUNT,
                "every child to be established",
            )
            records = tracer.stop()
        ports = [client.getsockname()[1] for client in clients]
        assert ns.counters()["TcpExtTCPFastOpenPassive"] == COUNT
        for client in clients:
            client.close()
        assert server.fileno() >= 0
    born = told(records, "LISTEN", "SYN_RECV")
    assert [(port, pid, why) for _, port, pid, why in born] == [
        (port, os.getpid(), "listener") for port in ports
    ]
    assert sorted(told(records, "SYN_RECV", "ESTABLISHED")) == sorted(born)
    assert len({cookie for cookie, *_ in born}) == COUNT
    # or this would be the usual case, with nothing born in between
    steps = [r["old"] for r in states(records) if r["old"] in ("LISTEN", "SYN_RECV")]
    assert steps != ["LISTEN", "SYN_RECV"] * COUNT
