"""Sockets that come with fork() and stay through exec(): activation, and a new name for one PID."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.programs.driver import Process, Program
from tests.programs.reading import CHILD_BIRTH, CHILD_END, CLIENT_LIFE, life, owned, owners, step
from tests.programs.watch import Watch

pytestmark = pytest.mark.kernel

ADDRESS, CLIENT, SERVICE = "127.0.0.1", "tt-client", "tt-service"
ENDS = ["accept", *CHILD_END]
ONE_CALL = len(CLIENT_LIFE) + len(CHILD_BIRTH) + len(ENDS)


@contextmanager
def activator() -> Iterator[tuple[Program, Program, int]]:
    """A program that listens and accepts nothing, a client, and the port."""
    with Program("tt-activator") as first, Program(CLIENT) as client:
        port = first.do("bind", name="l", address=ADDRESS)["port"]
        first.do("listen", name="l")
        yield first, client, port


def start_service(first: Program) -> Process:
    """What systemd does: fork, and exec the service with the socket open."""
    service = first.fork()
    service.exec_as(SERVICE)
    return service


def begin(client: Program, port: int) -> int:
    (local,) = client.do("hold", address=ADDRESS, port=port, count=1)["ports"]
    return int(local)


def serve(client: Program, service: Process, local: int) -> None:
    """The service accepts what waits; the client closes first."""
    assert service.do("accept_waiting", listener="l")["peers"] == [local]
    client.do("half_close", name=f"held:{local}")
    service.do("receive_all")
    service.do("let_go")
    client.do("receive_all")
    client.do("let_go")


def test_before_its_first_accept_an_activated_listener_is_its_openers_if_that_keeps_it(
    tmp_path: Path,
) -> None:
    with activator() as (first, client, port), Watch(tmp_path, port, first.pid) as watch:
        service = start_service(first)
        watch.look({first.pid: {"LISTEN": 1}})
        calls = [begin(client, port)]
        serve(client, service, calls[0])
        watch.look({service.pid: {"LISTEN": 1}, client.pid: {"TIME_WAIT": 1}})
        calls.append(begin(client, port))
        serve(client, service, calls[1])
        watch.stop(2 * ONE_CALL)
    records = watch.records()
    after = owned(ENDS, service.pid)
    one, two = (life(records, port, local) for local in calls)
    assert owners(one) == owned(CHILD_BIRTH, first.pid, "listener") + after
    assert owners(two) == owned(CHILD_BIRTH, service.pid, "listener") + after
    assert [r["comm"] for r in one] == ["tt-activator"] * 2 + [SERVICE] * 4
    assert {r["comm"] for r in two} == {SERVICE}
    assert {r["oncpu_pid"] for r in two} > {service.pid}
    check_filters(watch, {first.pid: 4, service.pid: 4 + 2 * len(ENDS), client.pid: 10})


def check_filters(watch: Watch, expected: dict[int, int]) -> None:
    """How many records --pid shows of each, children of a listener with each of its holders."""
    found = {pid: len(watch.records("--pid", str(pid), "--no-follow")) for pid in expected}
    assert found == expected


def test_an_activated_listener_that_its_opener_closes_is_the_services(tmp_path: Path) -> None:
    with activator() as (first, client, port), Watch(tmp_path, port) as watch:
        service = start_service(first)
        first.do("close", name="l")
        watch.look({service.pid: {"LISTEN": 1}})
        local = begin(client, port)
        serve(client, service, local)
        service.do("close", name="l")
        watch.stop(ONE_CALL + 1)
    records = watch.records()
    child = life(records, port, local)
    assert owners(child) == owned(CHILD_BIRTH, service.pid, "listener") + owned(ENDS, service.pid)
    assert {r["comm"] for r in child} == {SERVICE}
    (end,) = [r for r in records if step(r) == "LISTEN CLOSE"]
    assert (end["pid"], end["comm"], end["owner_is"]) == (service.pid, SERVICE, "process")
    check_filters(watch, {first.pid: 0, service.pid: 2 + len(ENDS) + 1})


def test_what_waits_while_a_service_is_started_is_the_openers_and_then_the_services(
    tmp_path: Path,
) -> None:
    """As when the first connection starts the service: its socket came before it."""
    with activator() as (first, client, port), Watch(tmp_path, port, first.pid) as watch:
        local = begin(client, port)
        service = start_service(first)
        first.do("close", name="l")
        serve(client, service, local)
        watch.look({service.pid: {"LISTEN": 1}, client.pid: {"TIME_WAIT": 1}})
        watch.stop(ONE_CALL)
    child = life(watch.records(), port, local)
    assert owners(child) == owned(CHILD_BIRTH, first.pid, "listener") + owned(ENDS, service.pid)
    assert child[2]["listener_pid"] == first.pid
    assert {r["comm"] for r in child[2:]} == {SERVICE}


def test_a_process_that_execs_keeps_its_sockets_under_its_new_name(tmp_path: Path) -> None:
    with activator() as (server, client, port), Watch(tmp_path, port, server.pid) as watch:
        local = begin(client, port)
        server.do("accept", name="a", listener="l")
        server.exec_as(SERVICE)
        client.exec_as("tt-caller")
        watch.look({server.pid: {"LISTEN": 1, "ESTABLISHED": 1}, client.pid: {"ESTABLISHED": 1}})
        client.do("half_close", name=f"held:{local}")
        server.do("receive", name="a")
        server.do("close", name="a")
        client.do("receive_all")
        client.do("let_go")
        server.do("close", name="l")
        watch.stop(ONE_CALL + 1)
    records = watch.records()
    ours, theirs = life(records, port, local), life(records, local, port)
    assert owners(ours) == owned(CHILD_BIRTH, server.pid, "listener") + owned(ENDS, server.pid)
    assert [r["comm"] for r in ours] == ["tt-activator"] * 3 + [SERVICE] * 3
    assert owners(theirs) == owned(CLIENT_LIFE, client.pid)
    assert [r["comm"] for r in theirs] == [CLIENT] * 2 + ["tt-caller"] * 3
    (end,) = [r for r in records if step(r) == "LISTEN CLOSE"]
    assert (end["pid"], end["comm"]) == (server.pid, SERVICE)
    summed = [r for r in watch.states[0].records if r["total"]]
    assert {(r["pid"], r["comm"]) for r in summed if r["transitions"]} == {
        (server.pid, SERVICE),
        (client.pid, "tt-caller"),
    }
    check_filters(watch, {server.pid: 7, client.pid: 5})


def test_a_child_that_execs_after_its_fork_has_what_it_inherited_under_its_own_name(
    tmp_path: Path,
) -> None:
    with activator() as (server, client, port), Watch(tmp_path, port) as watch:
        local = begin(client, port)
        server.do("accept", name="a", listener="l")
        service = start_service(server)
        server.do("close", name="a")
        watch.look(
            {
                server.pid: {"LISTEN": 1},
                service.pid: {"ESTABLISHED": 1},
                client.pid: {"ESTABLISHED": 1},
            }
        )
        client.do("half_close", name=f"held:{local}")
        service.do("receive", name="a")
        service.do("close", name="a")
        watch.stop(ONE_CALL)
    child = life(watch.records(), port, local)
    before = owned(CHILD_BIRTH, server.pid, "listener") + owned(["accept"], server.pid)
    assert owners(child) == before + owned(CHILD_END[:2], service.pid) + owners(child)[5:]
    assert [r["comm"] for r in child][:5] == ["tt-activator"] * 3 + [SERVICE] * 2
    assert {r["pid"] for r in child[3:]} == {service.pid}
