"""--pid over a server of several processes: what is shown of whom, and what is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.harness import TRANSITIONS, Record, Tracer
from tests.programs.driver import Process, Program
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

ADDRESS = "127.0.0.1"
BIRTH, LIFE = len(CHILD_BIRTH), len(CHILD_LIFE)


@dataclass
class Prefork:
    """A master that listens, two workers that hold the listener too, and a client."""

    master: Program
    one: Process
    two: Process
    client: Program
    port: int

    def call(self, acceptor: Process) -> int:
        """One connection from beginning to end; returns the client's port."""
        made = self.client.do("connect", name="c", address=ADDRESS, port=self.port)
        acceptor.do("accept", name="a", listener="l")
        self.client.do("half_close", name="c")
        acceptor.do("receive", name="a")
        acceptor.do("close", name="a")
        self.client.do("receive", name="c")
        self.client.do("close", name="c")
        return int(made["port"])

    def after_accept(self, pid: int) -> list[tuple[str, int | None, str]]:
        return owned(["accept", *CHILD_END], pid)

    def child(self, records: list[Record], local: int) -> list[Record]:
        return life(records, self.port, local)


@pytest.fixture
def prefork() -> Iterator[Prefork]:
    with Program("tt-master") as master, Program("tt-client") as client:
        port = master.do("bind", name="l", address=ADDRESS)["port"]
        master.do("listen", name="l")
        yield Prefork(master, master.fork(), master.fork(), client, port)


def check_only_server(prefork: Prefork, records: list[Record]) -> None:
    """Nothing of the client's own sockets, and nothing of anybody else's."""
    assert {r["lport"] for r in records} == {prefork.port}


def test_the_pid_of_a_worker_shows_what_it_accepted_and_not_what_another_did(
    prefork: Prefork,
) -> None:
    """Until the accept it is the listener's, which all of them hold."""
    with Tracer(*TRANSITIONS, "--pid", str(prefork.one.pid)) as tracer:
        others = [prefork.call(prefork.two), prefork.call(prefork.master)]
        mine = prefork.call(prefork.one)
        records = stop_after(tracer, 2 * BIRTH + LIFE)
    check_only_server(prefork, records)
    for local in others:
        assert steps(prefork.child(records, local)) == CHILD_BIRTH
    child = prefork.child(records, mine)
    assert owners(child[:BIRTH]) == owned(CHILD_BIRTH, prefork.master.pid, "listener")
    assert owners(child[BIRTH:]) == prefork.after_accept(prefork.one.pid)
    assert any(r["oncpu_pid"] != r["pid"] for r in records)


def test_the_pid_of_the_master_shows_what_it_and_its_workers_accepted(prefork: Prefork) -> None:
    acceptors = [prefork.two, prefork.master, prefork.one]
    with Tracer(*TRANSITIONS, "--pid", str(prefork.master.pid)) as tracer:
        calls = [prefork.call(acceptor) for acceptor in acceptors]
        records = stop_after(tracer, 3 * LIFE)
    check_only_server(prefork, records)
    for local, acceptor in zip(calls, acceptors, strict=True):
        child = prefork.child(records, local)
        assert steps(child) == CHILD_LIFE
        assert owners(child[BIRTH:]) == prefork.after_accept(acceptor.pid)
    assert any(r["oncpu_pid"] != r["pid"] for r in records)


def test_the_master_alone_is_shown_without_its_workers_with_no_follow(prefork: Prefork) -> None:
    with Tracer(*TRANSITIONS, "--pid", str(prefork.master.pid), "--no-follow") as tracer:
        others = [prefork.call(prefork.two), prefork.call(prefork.one)]
        mine = prefork.call(prefork.master)
        records = stop_after(tracer, 2 * BIRTH + LIFE)
    check_only_server(prefork, records)
    for local in others:
        assert steps(prefork.child(records, local)) == CHILD_BIRTH
    child = prefork.child(records, mine)
    assert steps(child) == CHILD_LIFE
    assert owners(child[BIRTH:]) == prefork.after_accept(prefork.master.pid)


def test_a_worker_forked_while_the_master_is_traced_is_followed(prefork: Prefork) -> None:
    with Tracer(*TRANSITIONS, "--pid", str(prefork.master.pid)) as tracer:
        late = prefork.master.fork()
        local = prefork.call(late)
        records = stop_after(tracer, LIFE)
    assert owners(prefork.child(records, local)[BIRTH:]) == prefork.after_accept(late.pid)


def test_a_worker_forked_while_the_master_is_traced_is_not_followed_with_no_follow(
    prefork: Prefork,
) -> None:
    with Tracer(*TRANSITIONS, "--pid", str(prefork.master.pid), "--no-follow") as tracer:
        late = prefork.master.fork()
        other = prefork.call(late)
        mine = prefork.call(prefork.master)
        records = stop_after(tracer, BIRTH + LIFE)
    assert steps(prefork.child(records, other)) == CHILD_BIRTH
    assert steps(prefork.child(records, mine)) == CHILD_LIFE


def test_a_server_that_never_accepts_shows_its_children_as_its_listeners(prefork: Prefork) -> None:
    waiting = 7
    told = [*CHILD_BIRTH, "ESTABLISHED CLOSE_WAIT"]
    with Tracer(*TRANSITIONS, "--pid", str(prefork.master.pid), "--no-follow") as tracer:
        ports = prefork.client.do("hold", address=ADDRESS, port=prefork.port, count=waiting)[
            "ports"
        ]
        prefork.client.do("let_go")
        records = stop_after(tracer, waiting * len(told))
    check_only_server(prefork, records)
    for local in ports:
        child = prefork.child(records, local)
        assert owners(child) == owned(told, prefork.master.pid, "listener")
    assert prefork.client.pid in {r["oncpu_pid"] for r in records}


def test_what_waited_before_the_tracer_is_shown_to_a_server_that_never_accepts(
    prefork: Prefork,
) -> None:
    waiting = 7
    held = prefork.client.do("hold", address=ADDRESS, port=prefork.port, count=waiting)
    with Tracer(*TRANSITIONS, "--pid", str(prefork.one.pid)) as tracer:
        prefork.client.do("let_go")
        records = stop_after(tracer, waiting)
    assert sorted(r["rport"] for r in records) == sorted(held["ports"])
    for record in records:
        assert owners([record]) == [("ESTABLISHED CLOSE_WAIT", prefork.master.pid, "listener")]


def test_the_pid_of_the_client_shows_its_side_alone(prefork: Prefork) -> None:
    with Tracer(*TRANSITIONS, "--pid", str(prefork.client.pid)) as tracer:
        local = prefork.call(prefork.one)
        records = stop_after(tracer, len(CLIENT_LIFE))
    assert owners(records) == owned(CLIENT_LIFE, prefork.client.pid)
    assert owners(life(records, local, prefork.port)) == owners(records)


def test_two_pids_show_both(prefork: Prefork) -> None:
    pids = f"{prefork.client.pid},{prefork.one.pid}"
    with Tracer(*TRANSITIONS, "--pid", pids) as tracer:
        local = prefork.call(prefork.one)
        records = stop_after(tracer, len(CLIENT_LIFE) + LIFE)
    assert steps(life(records, local, prefork.port)) == CLIENT_LIFE
    assert steps(prefork.child(records, local)) == CHILD_LIFE
