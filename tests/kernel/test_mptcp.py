"""MPTCP: its own sockets go through states too, and are not told of; its subflows are."""

from __future__ import annotations

import socket
from collections import Counter

import pytest

from tests.harness import TRANSITIONS, Tracer, namespace, states, wait_until
from tests.programs.places import inside
from tests.programs.reading import lives, step

pytestmark = [pytest.mark.kernel, pytest.mark.timers]

ADDRESS, PORT = "127.0.0.1", 7001
CONNECTIONS = 13
ONCE = ("CLOSE SYN_SENT", "SYN_SENT ESTABLISHED", "LISTEN SYN_RECV", "SYN_RECV ESTABLISHED")


def connect() -> None:
    """Connections of MPTCP, one after the other, closed by the client first."""
    with socket.socket(proto=socket.IPPROTO_MPTCP) as listener:
        listener.bind((ADDRESS, PORT))
        listener.listen()
        for _ in range(CONNECTIONS):
            with socket.socket(proto=socket.IPPROTO_MPTCP) as client:
                client.connect((ADDRESS, PORT))
                server, _ = listener.accept()
            with server:
                assert server.recv(1) == b""


def test_each_subflow_is_told_once_and_the_socket_above_it_not_at_all() -> None:
    with namespace() as ns:
        with Tracer(*TRANSITIONS, "--netns", ns.name) as tracer:
            inside(ns, connect)
            wanted = 2 * CONNECTIONS + 1

            def ended() -> bool:
                return len(states(tracer.so_far(), new="CLOSE")) >= wanted

            wait_until(ended, "every subflow to end")
            records = tracer.stop()
        counters = ns.counters()
    assert counters["MPTcpExtMPCapableSYNRX"] == CONNECTIONS, "this was not MPTCP"
    assert counters["TcpActiveOpens"] == counters["TcpPassiveOpens"] == CONNECTIONS
    steps = Counter(step(r) for r in records)
    assert {name: steps[name] for name in ONCE} == dict.fromkeys(ONCE, CONNECTIONS)
    assert (steps["CLOSE LISTEN"], steps["LISTEN CLOSE"]) == (1, 1)
    of_sockets = lives([r for r in records if r["kind"] == "state"])
    assert len(of_sockets) == 2 * CONNECTIONS + 1
    for mine in of_sockets.values():
        assert [r["old"] for r in mine[1:]] == [r["new"] for r in mine[:-1]]
        assert mine[-1]["new"] == "CLOSE"
