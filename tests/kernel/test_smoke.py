"""The shortest way through everything: a connection is made, and told."""

from __future__ import annotations

import socket

import pytest

from tests.harness import Tracer, wait_until

pytestmark = [pytest.mark.kernel, pytest.mark.guest]


def test_a_connection_is_told_from_its_first_state_to_its_last() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        with Tracer("events", "--port", str(port)) as tracer:
            server.listen()
            with socket.create_connection(("127.0.0.1", port)) as client:
                accepted, _ = server.accept()
                client.sendall(b"x")
                assert accepted.recv(1) == b"x"
            accepted.recv(1)
            accepted.close()
            wait_until(lambda: len(tracer.so_far()) >= 12, "12 records")
            records = tracer.stop()
    steps = [(r["old"], r["new"]) for r in records if r["kind"] == "state"]
    assert ("CLOSE", "SYN_SENT") in steps
    assert steps[-1] == ("LAST_ACK", "CLOSE")
    assert [r["kind"] for r in records].count("accept") == 1
    assert tracer.counts["lost"] == 0
