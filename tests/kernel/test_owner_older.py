"""Sockets that were there before the tracer: owned from the first record on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.harness import TRANSITIONS, Record, Tracer
from tests.programs.driver import Program
from tests.programs.reading import (
    CHILD_BIRTH,
    CHILD_END,
    CHILD_LIFE,
    CLIENT_LIFE,
    life,
    owned,
    owners,
    steps,
    stop_after,
)

pytestmark = pytest.mark.kernel

SERVER, CLIENT = "tt-server", "tt-client"
ADDRESS = "127.0.0.1"


@dataclass
class Older:
    """A client and a server that listens, both older than any tracer of the test."""

    server: Program
    client: Program
    port: int

    def connect(self) -> int:
        made = self.client.do("connect", name="c", address=ADDRESS, port=self.port)
        return int(made["port"])

    def accept(self) -> None:
        self.server.do("accept", name="a", listener="l")

    def hang_up(self) -> None:
        self.client.do("half_close", name="c")
        self.end_server_side()

    def end_server_side(self) -> None:
        self.server.do("receive", name="a")
        self.server.do("close", name="a")
        self.client.do("receive", name="c")
        self.client.do("close", name="c")

    def trace(self) -> Tracer:
        return Tracer(*TRANSITIONS, "--port", str(self.port))

    def check_names(self, records: list[Record]) -> None:
        """Both are named, and somebody else ran on the CPU at least once."""
        who = {(r["pid"], r["comm"]) for r in records}
        assert who == {(self.server.pid, SERVER), (self.client.pid, CLIENT)}
        assert any(r["oncpu_pid"] != r["pid"] for r in records)


@pytest.fixture
def older() -> Iterator[Older]:
    with Program(SERVER) as server, Program(CLIENT) as client:
        port = server.do("bind", name="l", address=ADDRESS)["port"]
        server.do("listen", name="l")
        yield Older(server, client, port)


def test_an_older_listener_owns_its_new_children(older: Older) -> None:
    with older.trace() as tracer:
        local = older.connect()
        older.accept()
        older.hang_up()
        records = stop_after(tracer, len(CLIENT_LIFE) + len(CHILD_LIFE))
    before = owned(CHILD_BIRTH, older.server.pid, "listener")
    after = owned(["accept", *CHILD_END], older.server.pid)
    child = life(records, older.port, local)
    assert owners(child) == before + after
    assert child[2]["listener_pid"] == older.server.pid
    older.check_names(records)


def test_an_older_listener_is_closed_by_its_owner(older: Older) -> None:
    with older.trace() as tracer:
        older.server.do("close", name="l")
        records = stop_after(tracer, 1)
    assert owners(records) == [("LISTEN CLOSE", older.server.pid, "process")]


def test_both_sides_of_an_older_connection_are_owned(older: Older) -> None:
    local = older.connect()
    older.accept()
    with older.trace() as tracer:
        older.hang_up()
        records = stop_after(tracer, len(CLIENT_LIFE[2:]) + len(CHILD_END))
    client = life(records, local, older.port)
    assert owners(client) == owned(CLIENT_LIFE[2:], older.client.pid)
    assert owners(life(records, older.port, local)) == owned(CHILD_END, older.server.pid)
    older.check_names(records)


def test_what_the_other_side_does_first_to_an_older_connection_is_owned_too(older: Older) -> None:
    """The first record of the client's socket comes from the server's FIN."""
    local = older.connect()
    older.accept()
    with older.trace() as tracer:
        older.server.do("half_close", name="a")
        older.client.do("receive", name="c")
        older.client.do("close", name="c")
        older.server.do("receive", name="a")
        older.server.do("close", name="a")
        records = stop_after(tracer, len(CLIENT_LIFE[2:]) + len(CHILD_END))
    assert owners(life(records, local, older.port)) == owned(CHILD_END, older.client.pid)
    closer = life(records, older.port, local)
    assert owners(closer) == owned(CLIENT_LIFE[2:], older.server.pid)


def test_an_older_half_closed_connection_is_owned(older: Older) -> None:
    """CLOSE_WAIT at the server, FIN_WAIT2 at the client."""
    local = older.connect()
    older.accept()
    older.client.do("half_close", name="c")
    older.server.do("receive", name="a")
    with older.trace() as tracer:
        older.end_server_side()
        records = stop_after(tracer, 3)
    assert owners(life(records, older.port, local)) == owned(CHILD_END[1:], older.server.pid)
    assert owners(life(records, local, older.port)) == [
        ("FIN_WAIT2 CLOSE", older.client.pid, "process")
    ]
    older.check_names(records)


def test_a_connection_that_waited_for_accept_before_the_tracer_is_owned(older: Older) -> None:
    local = older.connect()
    with older.trace() as tracer:
        older.accept()
        older.hang_up()
        records = stop_after(tracer, len(CLIENT_LIFE[2:]) + 1 + len(CHILD_END))
    child = life(records, older.port, local)
    assert owners(child) == owned(["accept", *CHILD_END], older.server.pid)
    accept = child[0]
    assert (accept["listener_pid"], accept["listener_port"]) == (older.server.pid, older.port)
    assert (accept["wait_us"], accept["established"]) == (None, None)
    older.check_names(records)


def test_what_waits_for_accept_since_before_the_tracer_is_the_listeners(older: Older) -> None:
    """Its client hangs up while it still waits."""
    local = older.connect()
    with older.trace() as tracer:
        older.client.do("half_close", name="c")
        older.accept()
        older.end_server_side()
        records = stop_after(tracer, len(CLIENT_LIFE[2:]) + 1 + len(CHILD_END))
    child = life(records, older.port, local)
    assert owners(child) == [
        ("ESTABLISHED CLOSE_WAIT", older.server.pid, "listener"),
        *owned(["accept", *CHILD_END[1:]], older.server.pid),
    ]
    assert {r["comm"] for r in child} == {SERVER}


def test_what_an_older_killed_server_had_not_accepted_is_its_to_the_end(older: Older) -> None:
    local = older.connect()
    with older.trace() as tracer:
        older.server.kill()
        records = stop_after(tracer, 3)
    child = life(records, older.port, local)
    assert owners(child) == [("ESTABLISHED CLOSE", older.server.pid, "listener")]
    assert owners(life(records, local, older.port)) == [
        ("ESTABLISHED CLOSE", older.client.pid, "process")
    ]
    assert "LISTEN CLOSE" in steps(records)
    older.check_names(records)
