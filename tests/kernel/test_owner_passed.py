"""Descriptors that change hands where no probe is: passed over a UNIX socket.

Nothing happens to a connection when its descriptor is passed on: whose it is by then is found by
the next look at all descriptors, here one that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness import TRANSITIONS, Record, Tracer, states, wait_until
from tests.programs.driver import Process, Program
from tests.programs.reading import (
    CHILD_BIRTH,
    CHILD_END,
    CHILD_LIFE,
    CLIENT_LIFE,
    life,
    owned,
    owners,
)
from tests.programs.watch import Watch, counted

pytestmark = pytest.mark.kernel

ADDRESS = "127.0.0.1"
COUNT = 7
ONE_CALL = len(CLIENT_LIFE) + len(CHILD_LIFE)


@dataclass
class Office:
    """Who accepts, who is to handle it, and a client: none is the other's parent."""

    acceptor: Program
    handler: Program
    client: Program
    port: int
    path: Path

    def accept(self, count: int = COUNT) -> list[int]:
        """So many connections, accepted; the client's ports."""
        made = self.client.do("hold", address=ADDRESS, port=self.port, count=count)["ports"]
        assert self.acceptor.do("accept_waiting", listener="l")["peers"] == made
        return list(made)

    def pass_all(self, giver: Program, taker: Process, keep: bool = False) -> list[int]:
        """Every connection goes over a UNIX socket; returns the peers' ports."""
        carrier = str(self.path / "carrier")
        taker.do("wait_for_gift", through=carrier)
        giver.do("give_all_away", through=carrier, keep=keep)
        Path(carrier).unlink()
        return list(taker.do("take_all")["peers"])

    def pass_listener(self, taker: Process, keep: bool = False) -> None:
        carrier = str(self.path / "carrier")
        taker.do("wait_for_gift", through=carrier)
        self.acceptor.do("give_away", name="l", through=carrier, keep=keep)
        Path(carrier).unlink()
        taker.do("take", name="l")

    def hang_up(self, holder: Process) -> None:
        """The client closes first."""
        self.client.do("half_close_all")
        assert set(holder.do("receive_all")["bytes"]) == {0}
        holder.do("let_go")
        assert set(self.client.do("receive_all")["bytes"]) == {0}
        self.client.do("let_go")


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with (
        Program("tt-acceptor") as acceptor,
        Program("tt-handler") as handler,
        Program("tt-client") as client,
    ):
        port = acceptor.do("bind", name="l", address=ADDRESS)["port"]
        acceptor.do("listen", name="l")
        yield Office(acceptor, handler, client, port, tmp_path)


def owners_of(records: list[Record], port: int, local: int) -> list[tuple[str, int | None, str]]:
    return owners(life(records, port, local))


def accepted_by(pid: int) -> list[tuple[str, int | None, str]]:
    return owned(CHILD_BIRTH, pid, "listener") + owned(["accept"], pid)


@pytest.mark.parametrize("older", [False, True], ids=["new", "older-than-the-tracer"])
def test_a_connection_passed_on_belongs_to_who_holds_it(office: Office, older: bool) -> None:
    acceptor, handler, client = office.acceptor, office.handler, office.client
    made = office.accept() if older else []
    with Watch(office.path, office.port, acceptor.pid, handler.pid) as watch:
        made = made or office.accept()
        assert sorted(office.pass_all(acceptor, handler)) == sorted(made)
        client.do("send_all")
        assert handler.do("receive_all")["bytes"] == [1] * COUNT
        watch.look(
            {
                client.pid: {"ESTABLISHED": COUNT},
                acceptor.pid: {"LISTEN": 1},
                handler.pid: {"ESTABLISHED": COUNT},
            }
        )
        office.hang_up(handler)
        watch.stop(COUNT * (2 * len(CHILD_END) if older else ONE_CALL))
    records = watch.records()
    before = [] if older else accepted_by(acceptor.pid)
    for local in made:
        assert owners_of(records, office.port, local) == before + owned(CHILD_END, handler.pid)
    ends = states(records, old="ESTABLISHED", lport=office.port)
    assert {r["comm"] for r in ends} == {"tt-handler"}
    assert {r["oncpu_pid"] for r in ends} == {client.pid}
    check_filters(watch, made, before, office)
    ended = {(name, handler.pid): COUNT for name in CHILD_END}
    assert watch.counted(handler.pid) == ended
    assert ended.items() <= watch.counted().items()
    assert ended.items() <= counted(watch.replayed_states()).items()
    assert {name for name, _ in watch.counted(acceptor.pid)} == (
        set() if older else set(CHILD_BIRTH)
    )


def check_filters(
    watch: Watch, made: list[int], before: list[tuple[str, int | None, str]], office: Office
) -> None:
    """--pid of the one shows what it had, that of the other the rest."""
    for who, expected in (
        (office.acceptor, before),
        (office.handler, owned(CHILD_END, office.handler.pid)),
    ):
        found = watch.records("--pid", str(who.pid))
        assert {r["rport"] for r in found} <= set(made)
        assert sorted(owners(found)) == sorted(expected * COUNT)


def test_a_connection_that_both_hold_remains_its_acceptors_until_it_lets_go(office: Office) -> None:
    acceptor, handler, client = office.acceptor, office.handler, office.client
    with Watch(office.path, office.port, acceptor.pid) as watch:
        made = office.accept()
        office.pass_all(acceptor, handler, keep=True)
        both = {client.pid: {"ESTABLISHED": COUNT}}
        watch.look(both | {acceptor.pid: {"LISTEN": 1, "ESTABLISHED": COUNT}})
        acceptor.do("let_go")
        watch.look(both | {acceptor.pid: {"LISTEN": 1}, handler.pid: {"ESTABLISHED": COUNT}})
        office.hang_up(handler)
        watch.stop(COUNT * ONE_CALL)
    records = watch.records()
    expected = accepted_by(acceptor.pid) + owned(CHILD_END, handler.pid)
    for local in made:
        assert owners_of(records, office.port, local) == expected
    assert {name for name, _ in watch.counted(acceptor.pid)} == set(CHILD_BIRTH)


def test_whoever_of_those_that_hold_it_closes_it_has_it_from_there_on(office: Office) -> None:
    """Between two looks, and with the acceptor's copy still open: shutdown() ends it."""
    with Watch(office.path, office.port) as watch:
        (local,) = office.accept(1)
        office.pass_all(office.acceptor, office.handler, keep=True)
        office.handler.do("half_close_all")
        watch.stop(5 + 3)
    found = owners_of(watch.records(), office.port, local)
    after = owned(["ESTABLISHED FIN_WAIT1", "FIN_WAIT1 FIN_WAIT2"], office.handler.pid)
    assert found == accepted_by(office.acceptor.pid) + after


def test_of_several_that_hold_it_the_oldest_has_what_its_owner_let_go_of(office: Office) -> None:
    """The others have it from that one: here its children, as of every server that forks."""
    with Watch(office.path, office.port) as watch:
        office.accept()
        office.pass_all(office.acceptor, office.handler)
        office.handler.fork()
        watch.look(
            {
                office.client.pid: {"ESTABLISHED": COUNT},
                office.acceptor.pid: {"LISTEN": 1},
                office.handler.pid: {"ESTABLISHED": COUNT},
            }
        )


def test_a_client_socket_passed_on_belongs_to_who_holds_it(office: Office) -> None:
    acceptor, handler, client = office.acceptor, office.handler, office.client
    with Watch(office.path, office.port, client.pid, handler.pid) as watch:
        made = office.accept()
        office.pass_all(client, handler)
        watch.look(
            {
                acceptor.pid: {"LISTEN": 1, "ESTABLISHED": COUNT},
                handler.pid: {"ESTABLISHED": COUNT},
            }
        )
        acceptor.do("half_close_all")
        assert set(handler.do("receive_all")["bytes"]) == {0}
        handler.do("let_go")
        watch.stop(COUNT * ONE_CALL)
    records = watch.records()
    opened = owned(CLIENT_LIFE[:2], client.pid)
    for local in made:
        found = owners_of(records, local, office.port)
        assert found == opened + owned(CHILD_END, handler.pid)
    assert {name for name, _ in watch.counted(client.pid)} == set(CLIENT_LIFE[:2])
    assert watch.counted(handler.pid) == {(name, handler.pid): COUNT for name in CHILD_END}


def test_a_listener_passed_on_belongs_to_who_holds_it_and_so_do_its_children(
    office: Office,
) -> None:
    acceptor, handler, client = office.acceptor, office.handler, office.client
    with Watch(office.path, office.port, handler.pid) as watch:
        office.pass_listener(handler)
        watch.look({handler.pid: {"LISTEN": 1}})
        made = client.do("hold", address=ADDRESS, port=office.port, count=COUNT)["ports"]
        assert handler.do("accept_waiting", listener="l")["peers"] == made
        office.hang_up(handler)
        watch.stop(COUNT * ONE_CALL)
    expected = accepted_by(handler.pid) + owned(CHILD_END, handler.pid)
    for local in made:
        child = life(watch.records(), office.port, local)
        assert owners(child) == expected
        assert {r["comm"] for r in child} == {"tt-handler"}
    assert watch.records("--pid", str(acceptor.pid)) == []
    assert watch.counted(handler.pid) == {
        (name, handler.pid): COUNT for name in CHILD_LIFE if name != "accept"
    }


def test_a_listener_that_both_hold_goes_to_the_one_that_accepts(office: Office) -> None:
    acceptor, handler, client = office.acceptor, office.handler, office.client
    with Watch(office.path, office.port, acceptor.pid, handler.pid) as watch:
        office.pass_listener(handler, keep=True)
        watch.look({acceptor.pid: {"LISTEN": 1}})
        client.do("hold", address=ADDRESS, port=office.port, count=1)
        (first,) = handler.do("accept_waiting", listener="l")["peers"]
        client.do("hold", address=ADDRESS, port=office.port, count=1)
        (second,) = handler.do("accept_waiting", listener="l")["peers"]
        watch.stop(2 * 5)
    records = watch.records()
    accepted = owned(["accept"], handler.pid)
    before = owned(CHILD_BIRTH, acceptor.pid, "listener") + accepted
    after = owned(CHILD_BIRTH, handler.pid, "listener") + accepted
    assert owners_of(records, office.port, first) == before
    assert owners_of(records, office.port, second) == after
    # a child that waits is shown with every process that holds its listener
    births = 2 * len(CHILD_BIRTH)
    for who in (acceptor, handler):
        assert sum(watch.counted(who.pid).values()) == births


def test_events_show_within_some_seconds_who_holds_what_was_passed_on(office: Office) -> None:
    """No look is asked for: one comes by itself."""
    many = 127  # one is ended after the other until it has come
    with Tracer(*TRANSITIONS, "--port", str(office.port)) as tracer:
        made = office.accept(many)
        office.pass_all(office.acceptor, office.handler)
        closed: list[int | None] = []

        def belongs_to() -> int | None:
            local = made[len(closed)]
            office.client.do("half_close", name=f"held:{local}")
            ended = {"old": "ESTABLISHED", "new": "CLOSE_WAIT", "rport": local}
            found = wait_until(lambda: states(tracer.so_far(), **ended), f"the end of {local}")
            closed.append(found[0]["pid"])
            return closed[-1]

        wait_until(lambda: belongs_to() == office.handler.pid, "a look", 20)
        assert [belongs_to() for _ in range(3)] == [office.handler.pid] * 3
        office.handler.do("let_go")
        office.client.do("let_go")
        tracer.stop()
    before = len(closed) - 4
    assert closed[:before] == [office.acceptor.pid] * before
    for local in made:
        assert owners_of(tracer.records, office.port, local)[-1][1] == office.handler.pid
