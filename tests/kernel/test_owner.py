"""Every record's owner against what the programs say of themselves: one client, one server.

On loopback the client's own CPU does the server's half of the work and the other way round, so a
tracer that takes whoever runs for the owner is wrong here about half the time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.bench.traffic import trickle
from tests.harness import TRANSITIONS, Record, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import looker
from tests.programs.reading import (
    CHILD_BIRTH,
    CHILD_END,
    CHILD_LIFE,
    CLIENT_LIFE,
    life,
    owned,
    owners,
    step,
    steps,
    stop_after,
    tally,
)

pytestmark = pytest.mark.kernel

SERVER, CLIENT, THREAD = "tt-server", "tt-client", "tt-thread"
ONE_CALL = 1 + len(CLIENT_LIFE) + len(CHILD_LIFE)  # with CLOSE -> LISTEN
CHILD = [*CHILD_BIRTH, "accept", *CHILD_END]


@contextmanager
def pair(*enter: str) -> Iterator[tuple[Program, Program]]:
    with Program(SERVER, enter) as server, Program(CLIENT, enter) as client:
        yield server, client


def hang_up(client: Program, server: Program) -> None:
    """End the connection of `c` and `a`, the client first."""
    client.do("half_close", name="c")
    server.do("receive", name="a")
    server.do("close", name="a")
    client.do("receive", name="c")
    client.do("close", name="c")


def call(client: Program, server: Program, address: str, port: int) -> int:
    """One connection from beginning to end; returns the client's port."""
    mine = client.do("connect", name="c", address=address, port=port)
    theirs = server.do("accept", name="a", listener="l")
    assert theirs["peer"] == mine["port"]
    assert mine["peer"] == port
    hang_up(client, server)
    return int(mine["port"])


def child_owners(listener: int, acceptor: int) -> list[tuple[str, int | None, str]]:
    """Whose a server's side of a connection is, step by step."""
    return owned(CHILD_BIRTH, listener, "listener") + owned(["accept", *CHILD_END], acceptor)


def check_call(records: list[Record], local: int, port: int, client: int, server: int) -> None:
    """A whole call is there, and every record belongs to the side that it is of."""
    mine, theirs = life(records, local, port), life(records, port, local)
    assert owners(mine) == owned(CLIENT_LIFE, client)
    assert owners(theirs) == child_owners(server, server)
    # before it is SYN_SENT it has no port yet; all others have theirs to the last
    assert {(r["lport"], r["rport"]) for r in mine[1:]} == {(local, port)}
    assert {(r["lport"], r["rport"]) for r in theirs} == {(port, local)}
    assert any(r["oncpu_pid"] != r["pid"] for r in records)


@pytest.mark.parametrize(
    ("bound", "called", "family", "shown"),
    [
        ("127.0.0.1", "127.0.0.1", 4, "127.0.0.1"),
        ("::1", "::1", 6, "::1"),
        ("::", "127.0.0.1", 4, "127.0.0.1"),
        ("::", "::ffff:127.0.0.1", 4, "127.0.0.1"),
        ("127.0.0.1", "::ffff:127.0.0.1", 4, "127.0.0.1"),
    ],
    ids=["v4", "v6", "v4-to-v6-server", "v4-mapped-both", "v4-mapped-client"],
)
def test_each_side_belongs_to_its_process(bound: str, called: str, family: int, shown: str) -> None:
    with pair() as (server, client):
        port = server.do("bind", name="l", address=bound)["port"]
        with Tracer(*TRANSITIONS, "--port", str(port)) as tracer:
            server.do("listen", name="l")
            local = call(client, server, called, port)
            records = stop_after(tracer, ONE_CALL)
    check_call(records, local, port, client.pid, server.pid)
    assert owners(records[:1]) == [("CLOSE LISTEN", server.pid, "process")]
    of_packets = records[1:]
    assert {(r["family"], r["laddr"], r["raddr"]) for r in of_packets} == {(family, shown, shown)}
    assert {(r["pid"], r["comm"]) for r in records} == {(server.pid, SERVER), (client.pid, CLIENT)}


@pytest.mark.guest
def test_an_accept_names_its_listener() -> None:
    with pair() as (server, client):
        port = server.do("bind", name="l", address="127.0.0.1")["port"]
        with Tracer(*TRANSITIONS, "--port", str(port)) as tracer:
            server.do("listen", name="l", backlog=11)
            call(client, server, "127.0.0.1", port)
            records = stop_after(tracer, ONE_CALL)
    (accept,) = (r for r in records if r["kind"] == "accept")
    assert accept["listener_cookie"] == records[0]["cookie"]
    assert (accept["listener_pid"], accept["listener_comm"]) == (server.pid, SERVER)
    assert (accept["listener_addr"], accept["listener_port"]) == ("127.0.0.1", port)
    assert (accept["accept_queue"], accept["accept_queue_max"]) == (0, 11)


def test_what_a_thread_does_belongs_to_its_process_by_the_name_of_the_process() -> None:
    with pair() as (server, client):
        port = server.do("bind", name="l", address="127.0.0.1")["port"]
        with Tracer(*TRANSITIONS, "--port", str(port)) as tracer:
            server.do("listen", name="l")
            connect = {"do": "connect", "name": "c", "address": "127.0.0.1", "port": port}
            mine = client.do("thread", name=THREAD, then=connect)
            accept = {"do": "accept", "name": "a", "listener": "l"}
            theirs = server.do("thread", name=THREAD, then=accept)
            hang_up(client, server)
            records = stop_after(tracer, ONE_CALL)
    assert mine["tid"] != client.pid
    assert theirs["tid"] != server.pid
    check_call(records, mine["port"], port, client.pid, server.pid)
    assert {(r["pid"], r["comm"]) for r in records} == {(server.pid, SERVER), (client.pid, CLIENT)}


def test_a_listener_opened_by_a_thread_belongs_to_the_process() -> None:
    with pair() as (server, client):
        port = server.do("bind", name="l", address="127.0.0.1")["port"]
        with Tracer(*TRANSITIONS, "--port", str(port)) as tracer:
            server.do("thread", name=THREAD, then={"do": "listen", "name": "l"})
            client.do("connect", name="c", address="127.0.0.1", port=port)
            records = stop_after(tracer, 5)
    of_server = [r for r in records if r["lport"] == port]
    assert owners(of_server) == [
        ("CLOSE LISTEN", server.pid, "process"),
        *owned(CHILD_BIRTH, server.pid, "listener"),
    ]
    assert {r["comm"] for r in of_server} == {SERVER}
    assert any(r["oncpu_pid"] != r["pid"] for r in of_server)


def test_owners_in_another_network_namespace_are_the_processes_in_it() -> None:
    with namespace() as ns, pair(*ns.enter) as (server, client):
        with Tracer(*TRANSITIONS, "--netns", ns.name) as tracer:
            port = server.do("bind", name="l", address="127.0.0.1")["port"]
            server.do("listen", name="l")
            local = call(client, server, "127.0.0.1", port)
            records = stop_after(tracer, ONE_CALL)
        inode = ns.inode
    check_call(records, local, port, client.pid, server.pid)
    assert {r["netns"] for r in records} == {inode}


def test_owners_hold_with_client_and_server_on_different_cpus() -> None:
    calls = 53
    with pair() as (server, client):
        server.do("pin", cpu=0)
        client.do("pin", cpu=1)
        port = server.do("bind", name="l", address="127.0.0.1")["port"]
        with Tracer(*TRANSITIONS, "--port", str(port)) as tracer:
            server.do("listen", name="l")
            server.tell("serve", listener="l")
            made = client.do("call", address="127.0.0.1", port=port, count=calls, half=True)
            assert server.stop()["peers"] == made["ports"]
            records = stop_after(tracer, 1 + calls * (ONE_CALL - 1))
    for local in made["ports"]:
        check_call(records, local, port, client.pid, server.pid)


def test_a_bystander_on_the_cpu_that_takes_the_packets_owns_nothing() -> None:
    """Receive steering moves all of the work in softirq to CPU 0, where a third process runs."""
    calls = 53
    with (
        namespace() as ns,
        pair(*ns.enter) as (server, client),
        Program("tt-bystander", ns.enter) as bystander,
    ):
        ns.run("sh", "-c", "echo 1 > /sys/class/net/lo/queues/rx-0/rps_cpus")
        server.do("pin", cpu=1)
        client.do("pin", cpu=1)
        bystander.do("pin", cpu=0)
        bystander.tell("spin")
        with Tracer(*TRANSITIONS, "--netns", ns.name) as tracer:
            port = server.do("bind", name="l", address="127.0.0.1")["port"]
            server.do("listen", name="l")
            server.tell("serve", listener="l")
            made = client.do("call", address="127.0.0.1", port=port, count=calls, half=True)
            assert server.stop()["peers"] == made["ports"]
            records = stop_after(tracer, 1 + calls * (ONE_CALL - 1))
        bystander.stop()
    for local in made["ports"]:
        check_call(records, local, port, client.pid, server.pid)
    assert bystander.pid in {r["oncpu_pid"] for r in records}
    assert {r["pid"] for r in records} == {client.pid, server.pid}


def test_a_process_that_looks_at_a_descriptor_owns_nothing() -> None:
    """It holds the file for a moment: a close() in that moment is finished in its name."""
    calls = 2003
    with pair() as (server, client):
        for process in (server, client):
            process.do("pin", cpu=0)
        port = server.do("bind", name="l", address="127.0.0.1")["port"]
        server.do("listen", name="l")
        server.tell("serve", listener="l")
        (fd,) = client.do("call", address="127.0.0.1", port=port, count=1)["fds"]
        with Tracer(*TRANSITIONS, "--port", str(port)) as tracer, looker(client.pid, fd) as looking:
            os.sched_setaffinity(looking, {1})
            client.do("call", address="127.0.0.1", port=port, count=calls)
            server.stop()
            records = stop_after(tracer, calls * (ONE_CALL - 1))
    assert looking in {r["oncpu_pid"] for r in records}
    expected = {(name, client.pid): calls for name in CLIENT_LIFE}
    expected |= {(name, server.pid): calls for name in CHILD_LIFE}
    assert tally(records) == expected


def test_a_killed_client_keeps_its_connections_to_their_end() -> None:
    open_ones, unread = 5, 1
    with Program(SERVER) as server, Program(CLIENT) as client:
        port = server.do("bind", name="l", address="127.0.0.1")["port"]
        server.do("listen", name="l")
        with Tracer(*TRANSITIONS, "--port", str(port)) as tracer:
            ports = client.do("hold", address="127.0.0.1", port=port, count=open_ones)["ports"]
            assert server.do("accept_waiting", listener="l")["peers"] == ports
            server.do("send", name=f"l:{ports[0]}")
            client.kill()
            server.do("let_go")
            fins = open_ones - unread
            each = len(CLIENT_LIFE) + len(CHILD_LIFE)
            reset = 3 + 4  # both sides go from ESTABLISHED to CLOSE
            records = stop_after(tracer, fins * each + unread * reset)
    for local in ports[1:]:
        assert owners_but_gone(life(records, local, port)) == owned(CLIENT_LIFE, client.pid)
    torn = life(records, ports[0], port)
    assert owners(torn) == owned([*CLIENT_LIFE[:2], "ESTABLISHED CLOSE"], client.pid)
    of_client = [r for r in records if r["rport"] == port]
    assert {r["comm"] for r in of_client} == {CLIENT}
    check_gone(of_client, client.pid)


def owners_but_gone(records: list[Record]) -> list[tuple[str, int | None, str]]:
    """owners(), where one that has gone counts as the process it was."""
    return [
        (name, pid, "process" if how == "exited" else how) for name, pid, how in owners(records)
    ]


def check_gone(records: list[Record], pid: int) -> None:
    """From its first FIN on, a killed process owns by itself or as one that has gone."""
    death = min(r["mono_ns"] for r in records if step(r) == "ESTABLISHED FIN_WAIT1")
    for record in (r for r in records if r["mono_ns"] >= death):
        how = "process" if record["oncpu_pid"] == pid else "exited"
        assert record["owner_is"] == how, record
    assert any(r["owner_is"] == "exited" for r in records)


def test_a_killed_server_ends_what_it_accepted_and_what_it_had_not() -> None:
    accepted, waiting = 3, 2
    with Program(SERVER) as server, Program(CLIENT) as client:
        port = server.do("bind", name="l", address="127.0.0.1")["port"]
        with Tracer(*TRANSITIONS, "--port", str(port)) as tracer:
            server.do("listen", name="l")
            first = client.do("hold", address="127.0.0.1", port=port, count=accepted)["ports"]
            assert server.do("accept_waiting", listener="l")["peers"] == first
            second = client.do("hold", address="127.0.0.1", port=port, count=waiting)["ports"]
            server.kill()
            client.do("let_go")
            sides = [*CLIENT_LIFE[:2], *CHILD_BIRTH]
            by_fin = accepted * (len(sides) + 1 + 6)
            by_reset = waiting * (len(sides) + 2)
            records = stop_after(tracer, 2 + by_fin + by_reset)
    of_server = [r for r in records if r["lport"] == port]
    assert {r["pid"] for r in of_server} == {server.pid}
    for local in first:
        ended = owners_but_gone(life(records, port, local))
        ends = ["accept", "ESTABLISHED FIN_WAIT1", "FIN_WAIT1 FIN_WAIT2", "FIN_WAIT2 CLOSE"]
        births = owned(CHILD_BIRTH, server.pid, "listener")
        assert ended == births + owned(ends, server.pid)
    for local in second:
        found = life(records, port, local)
        assert steps(found) == [*CHILD_BIRTH, "ESTABLISHED CLOSE"]
        assert {r["owner_is"] for r in found} == {"listener"}
    assert {r["pid"] for r in records if r["rport"] == port} == {client.pid}
    assert any(r["oncpu_pid"] != r["pid"] for r in of_server)


def test_a_process_that_connects_while_the_tracer_starts_has_its_pid() -> None:
    with (
        trickle(pause_us=1000) as (where, pid),
        Tracer(*TRANSITIONS, "--netns", str(where.inode), "-c", "2000") as tracer,
    ):
        wait_until(lambda: tracer.process.poll() is not None, "so many records")
    assert len(tracer.records) == 2000
    assert {record["pid"] for record in tracer.records} == {pid}
