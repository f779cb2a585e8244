"""Servers of several processes: who owns a connection before accept(), and who from then on."""

from __future__ import annotations

import os
import time
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
    step,
    stop_after,
)

pytestmark = pytest.mark.kernel

SERVER, CLIENT = "tt-master", "tt-client"
ONE_CALL = len(CLIENT_LIFE) + len(CHILD_LIFE)
ADDRESS = "127.0.0.1"
Owned = list[tuple[str, int | None, str]]  # what owners() gives


def call(client: Program, acceptor: Process, port: int) -> int:
    """One connection, accepted by this process; returns the client's port."""
    local = int(client.do("connect", name="c", address=ADDRESS, port=port)["port"])
    assert acceptor.do("accept", name="a", listener="l")["peer"] == local
    end_call(client, acceptor)
    return local


def end_call(client: Program, holder: Process) -> None:
    client.do("half_close", name="c")
    holder.do("receive", name="a")
    holder.do("close", name="a")
    client.do("receive", name="c")
    client.do("close", name="c")


def test_a_connection_belongs_to_the_worker_that_accepted_it() -> None:
    """And before that to the listener's owner: who listened, then who accepted last."""
    with Program(SERVER) as master, Program(CLIENT) as client:
        port = master.do("bind", name="l", address=ADDRESS)["port"]
        with Tracer(*TRANSITIONS, "--port", str(port)) as tracer:
            master.do("listen", name="l")
            workers = [master.fork() for _ in range(3)]
            acceptors = [workers[i] for i in (0, 2, 1, 1, 2)] + [master, workers[0]]
            calls = [call(client, acceptor, port) for acceptor in acceptors]
            records = stop_after(tracer, 1 + len(calls) * ONE_CALL)
    holder = master.pid
    for local, acceptor in zip(calls, acceptors, strict=True):
        assert owners(life(records, local, port)) == owned(CLIENT_LIFE, client.pid)
        child = life(records, port, local)
        before = owned(CHILD_BIRTH, holder, "listener")
        assert owners(child) == before + owned(["accept", *CHILD_END], acceptor.pid)
        assert child[2]["listener_pid"] == holder
        holder = acceptor.pid
    of_server = [r for r in records if r["lport"] == port]
    assert any(r["oncpu_pid"] != r["pid"] for r in of_server)


def test_workers_that_compete_own_what_each_of_them_accepted() -> None:
    count = 211
    with Program(SERVER) as master, Program(CLIENT) as client:
        port = master.do("bind", name="l", address=ADDRESS)["port"]
        with Tracer(*TRANSITIONS, "--port", str(port)) as tracer:
            master.do("listen", name="l")
            workers = [master.fork() for _ in range(3)]
            for worker in workers:
                worker.tell("serve", listener="l")
            made = client.do("call", address=ADDRESS, port=port, count=count)["ports"]
            took = {worker.pid: worker.stop()["peers"] for worker in workers}
            records = stop_after(tracer, 1 + count * ONE_CALL)
    assert sorted(peer for peers in took.values() for peer in peers) == sorted(made)
    for pid, peers in took.items():
        mine = [r for r in records if r["lport"] == port and r["rport"] in peers]
        accepted = [r["rport"] for r in mine if r["kind"] == "accept" and r["pid"] == pid]
        assert sorted(accepted) == sorted(peers)
        for name in CHILD_END:
            assert [r["pid"] for r in mine if step(r) == name] == [pid] * len(peers)
    assert any(r["oncpu_pid"] != r["pid"] for r in records)


@pytest.mark.parametrize(
    "older",
    [
        pytest.param(False, id="new"),
        pytest.param(True, id="older-than-the-tracer", marks=pytest.mark.guest),
    ],
)
def test_reuseport_workers_own_what_their_own_listener_received(older: bool) -> None:
    count = 61
    with (
        Program("tt-one") as one,
        Program("tt-two") as two,
        Program("tt-three") as three,
        Program(CLIENT) as client,
    ):
        workers = [one, two, three]
        port = one.do("bind", name="l", address=ADDRESS, share=True)["port"]
        for worker in (two, three):
            worker.do("bind", name="l", address=ADDRESS, share=True, port=port)
        if older:
            listen(workers)
        with Tracer(*TRANSITIONS, "--port", str(port)) as tracer:
            if not older:
                listen(workers)
            client.do("hold", address=ADDRESS, port=port, count=count)
            took = {worker: worker.do("accept_waiting", listener="l") for worker in workers}
            records = stop_after(tracer, (0 if older else 3) + count * 5)
    assert sum(len(said["peers"]) for said in took.values()) == count
    listeners = [check_own(records, worker, port, said["peers"]) for worker, said in took.items()]
    assert len(set(listeners)) == 3
    if not older:
        opened = {r["pid"]: r["cookie"] for r in states(records, new="LISTEN")}
        assert listeners == [opened[worker.pid] for worker in workers]


def listen(workers: list[Program]) -> None:
    for worker in workers:
        worker.do("listen", name="l")


def check_own(records: list[Record], worker: Program, port: int, peers: list[int]) -> str:
    """What this worker accepted was its own from the start; returns its listener's cookie."""
    before = owned(CHILD_BIRTH, worker.pid, "listener")
    listeners = set()
    for peer in peers:
        child = life(records, port, peer)
        assert owners(child) == [*before, ("accept", worker.pid, "process")]
        assert {r["comm"] for r in child} == {worker.comm}
        assert child[2]["listener_pid"] == worker.pid
        listeners.add(str(child[2]["listener_cookie"]))
        assert any(r["oncpu_pid"] != worker.pid for r in child)
    (cookie,) = listeners
    return cookie


def ticks_now() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK") // 10**9


def start_of(pid: int) -> int:
    """When a process began, in ticks: those of one tick are of the same age."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def connect_until_inherited(tracer: Tracer, client: Program, port: int, heir: Process) -> list[int]:
    """Connect until a child belongs to the heir, and thrice more; nobody accepts yet.

    Nothing is called when a descriptor is closed: who holds a listener is looked at now and then.
    """
    made: list[int] = []

    def belongs_to() -> int | None:
        made.extend(client.do("hold", address=ADDRESS, port=port, count=1)["ports"])
        child = {"old": "SYN_RECV", "lport": port, "rport": made[-1]}
        found = wait_until(lambda: states(tracer.so_far(), **child), f"the child of {made[-1]}")
        pid: int | None = found[0]["pid"]
        return pid

    wait_until(lambda: belongs_to() == heir.pid, "the listener to be inherited", 10)
    assert [belongs_to() for _ in range(3)] == [heir.pid] * 3
    return made


def end_calls(tracer: Tracer, client: Program, acceptor: Process, made: list[int]) -> None:
    """Accept all that wait; then the client closes first."""

    def closed() -> bool:
        ended = states(tracer.so_far(), old="ESTABLISHED", new="CLOSE_WAIT")
        return set(made) <= {record["rport"] for record in ended}

    assert acceptor.do("accept_waiting", listener="l")["peers"] == made
    client.do("let_go")
    wait_until(closed, "the client's ends to arrive")
    acceptor.do("let_go")


def check_inherited(
    records: list[Record], port: int, made: list[int], former: Owned, heir: Process
) -> list[list[Record]]:
    """Children belong to the one, and from some time on to the other alone; returns them all."""
    children = [life(records, port, local) for local in made]
    born = [owners(child)[: len(CHILD_BIRTH)] for child in children]
    before = born.index(owned(CHILD_BIRTH, heir.pid, "listener"))
    assert born[:before] == [former] * before
    assert born[before:] == [born[before]] * (len(born) - before)
    assert len(born) - before == 1 + 3
    return children


def test_a_listener_that_its_opener_let_go_belongs_to_its_youngest_holder() -> None:
    with Program(SERVER) as master, Program(CLIENT) as client:
        port = master.do("bind", name="l", address=ADDRESS)["port"]
        with Tracer(*TRANSITIONS, "--port", str(port)) as tracer:
            master.do("listen", name="l", backlog=1000)
            workers = [master.fork()]
            wait_until(lambda: ticks_now() > start_of(workers[0].pid), "the next tick")
            workers.append(master.fork())
            master.do("close", name="l")
            made = connect_until_inherited(tracer, client, port, workers[1])
            end_calls(tracer, client, workers[0], made)
            records = stop_after(tracer, 1 + len(made) * ONE_CALL)
    former = owned(CHILD_BIRTH, master.pid, "listener")
    for child in check_inherited(records, port, made, former, workers[1]):
        assert owners(child)[2:] == owned(["accept", *CHILD_END], workers[0].pid)


def test_a_worker_that_was_killed_owns_the_listener_no_longer() -> None:
    """It accepted last, but who called listen() is the one of the two that still holds it."""
    with Program(SERVER) as master, Program(CLIENT) as client:
        port = master.do("bind", name="l", address=ADDRESS)["port"]
        with Tracer(*TRANSITIONS, "--port", str(port)) as tracer:
            master.do("listen", name="l", backlog=1000)
            worker = master.fork()
            call(client, worker, port)
            client.do("connect", name="c", address=ADDRESS, port=port)
            worker.do("accept", name="a", listener="l")
            worker.kill()
            assert client.do("receive", name="c")["bytes"] == 0
            client.do("close", name="c")
            made = connect_until_inherited(tracer, client, port, master)
            end_calls(tracer, client, master, made)
            records = stop_after(tracer, 1 + (2 + len(made)) * ONE_CALL)
    former = owned(CHILD_BIRTH, worker.pid, "exited")
    for child in check_inherited(records, port, made, former, master):
        assert owners(child)[2:] == owned(["accept", *CHILD_END], master.pid)


def test_the_last_holder_closes_a_listener_as_its_owner() -> None:
    with Program(SERVER) as master:
        port = master.do("bind", name="l", address=ADDRESS)["port"]
        with Tracer(*TRANSITIONS, "--port", str(port)) as tracer:
            master.do("listen", name="l")
            worker = master.fork()
            master.do("close", name="l")
            worker.do("close", name="l")
            records = stop_after(tracer, 2)
    assert owners(records) == [
        ("CLOSE LISTEN", master.pid, "process"),
        ("LISTEN CLOSE", worker.pid, "process"),
    ]


def test_a_connection_left_to_a_forked_child_is_closed_by_the_child() -> None:
    """One process accepts and forks for every connection, as inetd does."""
    with Program(SERVER) as master, Program(CLIENT) as client:
        port = master.do("bind", name="l", address=ADDRESS)["port"]
        with Tracer(*TRANSITIONS, "--port", str(port)) as tracer:
            master.do("listen", name="l")
            local = client.do("connect", name="c", address=ADDRESS, port=port)["port"]
            master.do("accept", name="a", listener="l")
            child = master.fork()
            master.do("close", name="a")
            end_call(client, child)
            records = stop_after(tracer, 1 + ONE_CALL)
    found = {name: pid for name, pid, _ in owners(life(records, port, local))}
    assert found["accept"] == master.pid
    assert (found["CLOSE_WAIT LAST_ACK"], found["LAST_ACK CLOSE"]) == (child.pid, child.pid)


def test_a_descriptor_passed_on_belongs_to_who_closes_it(tmp_path: Path) -> None:
    carrier = str(tmp_path / "carrier")
    with (
        Program(SERVER) as acceptor,
        Program("tt-handler") as handler,
        Program(CLIENT) as client,
    ):
        port = acceptor.do("bind", name="l", address=ADDRESS)["port"]
        handler.do("wait_for_gift", through=carrier)
        with Tracer(*TRANSITIONS, "--port", str(port)) as tracer:
            acceptor.do("listen", name="l")
            local = client.do("connect", name="c", address=ADDRESS, port=port)["port"]
            acceptor.do("accept", name="a", listener="l")
            acceptor.do("give_away", name="a", through=carrier)
            handler.do("take", name="a")
            end_call(client, handler)
            records = stop_after(tracer, 1 + ONE_CALL)
    child = life(records, port, local)
    assert [(r["pid"], r["comm"]) for r in child if step(r) in CHILD_END[1:]] == [
        (handler.pid, handler.comm),
        (handler.pid, handler.comm),
    ]
    assert [r["pid"] for r in child if r["kind"] == "accept"] == [acceptor.pid]
