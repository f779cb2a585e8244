"""Who has gone answers for what is left, by PID and name; whoever has the PID next does not."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.harness import Record, wait_until
from tests.programs.driver import Process, Program
from tests.programs.places import CALLED, PORT, Link, link
from tests.programs.reading import CHILD_BIRTH, CLIENT_LIFE, life, lives, owners, step
from tests.programs.watch import Watch, counted

pytestmark = pytest.mark.kernel

ADDRESS, SERVER, CLIENT = "127.0.0.1", "tt-server", "tt-client"


@contextmanager
def cable() -> Iterator[tuple[Link, Program, Program]]:
    """A server and a client with a cable between them that can be cut."""
    with (
        link() as between,
        Program(SERVER, between.there.enter) as server,
        Program(CLIENT, between.here.enter) as client,
    ):
        server.do("bind", name="l", address=CALLED, port=PORT)
        server.do("listen", name="l")
        client.do("connect", name="c", address=CALLED, port=PORT)
        server.do("accept", name="a", listener="l")
        yield between, server, client


def unanswered(between: Link, program: Program, by: str) -> None:
    """End a process whose FIN then is not answered."""
    between.cut(between.here)
    between.cut(between.there)
    if by == "killed":
        program.kill()
    else:
        program.end()


@pytest.mark.parametrize("by", ["killed", "ended"])
def test_a_fin_answered_after_its_process_has_gone_is_the_exited_processs(
    tmp_path: Path, by: str
) -> None:
    with cable() as (between, server, client):
        with Watch(tmp_path, PORT, client.pid, server.pid, netns=between.names) as watch:
            unanswered(between, client, by)
            watch.look({client.pid: {"FIN_WAIT1": 1}, server.pid: {"LISTEN": 1, "ESTABLISHED": 1}})
            between.mend(between.here)
            between.mend(between.there)
            assert server.do("receive", name="a")["bytes"] == 0
            server.do("close", name="a")
            watch.stop(6)
        records = watch.records("--rport", str(PORT))
        assert owners(records) == [
            ("ESTABLISHED FIN_WAIT1", client.pid, "process"),
            ("FIN_WAIT1 FIN_WAIT2", client.pid, "exited"),
            ("FIN_WAIT2 CLOSE", client.pid, "exited"),
        ]
        assert {r["comm"] for r in records} == {CLIENT}
        assert all(r["oncpu_pid"] != client.pid for r in records[1:])
        check_both(watch, client, server, CLIENT_LIFE[2:])


@pytest.mark.parametrize("by", ["killed", "ended"])
def test_a_last_ack_that_comes_after_its_process_has_gone_is_the_exited_processs(
    tmp_path: Path, by: str
) -> None:
    with cable() as (between, server, client):
        with Watch(tmp_path, PORT, client.pid, server.pid, netns=between.names) as watch:
            server.do("half_close", name="a")
            assert client.do("receive", name="c")["bytes"] == 0
            # its FIN is acknowledged some 40 ms after it was read
            acknowledged = partial(between.there.run, "ss", "-Htan", "state", "fin-wait-2")
            wait_until(acknowledged, "the server's FIN to be acknowledged")
            unanswered(between, client, by)
            watch.look({client.pid: {"LAST_ACK": 1}, server.pid: {"LISTEN": 1, "FIN_WAIT2": 1}})
            between.mend(between.here)
            between.mend(between.there)
            assert server.do("receive", name="a")["bytes"] == 0
            watch.stop(6)
        records = watch.records("--rport", str(PORT))
        assert owners(records) == [
            ("ESTABLISHED CLOSE_WAIT", client.pid, "process"),
            ("CLOSE_WAIT LAST_ACK", client.pid, "process"),
            ("LAST_ACK CLOSE", client.pid, "exited"),
        ]
        assert {r["comm"] for r in records} == {CLIENT}
        check_both(watch, client, server, [step(r) for r in records])


def check_both(watch: Watch, client: Program, server: Program, names: list[str]) -> None:
    """`states` and --pid have the client's under its PID, though it has gone, and no other's."""
    mine = {(name, client.pid): 1 for name in names}
    assert watch.counted(client.pid) == mine
    assert mine.items() <= watch.counted().items()
    assert mine.items() <= counted(watch.replayed_states()).items()
    assert {pid for _, pid in watch.counted(server.pid)} == {server.pid}
    assert [step(r) for r in watch.records("--pid", str(client.pid))] == names
    assert {r["pid"] for r in watch.records("--pid", str(server.pid))} == {server.pid}
    gone = [r for r in watch.states[0].records if r["pid"] == client.pid]
    assert {r["comm"] for r in gone} == {CLIENT}


def test_the_time_wait_of_a_process_that_has_gone_is_its_own(tmp_path: Path) -> None:
    with Program(SERVER) as server, Program(CLIENT) as client:
        port = server.do("bind", name="l", address=ADDRESS)["port"]
        server.do("listen", name="l")
        with Watch(tmp_path, port) as watch:
            local = client.do("connect", name="c", address=ADDRESS, port=port)["port"]
            server.do("accept", name="a", listener="l")
            client.kill()
            assert server.do("receive", name="a")["bytes"] == 0
            server.do("close", name="a")
            watch.look({client.pid: {"TIME_WAIT": 1}, server.pid: {"LISTEN": 1}})
            watch.stop(len(CLIENT_LIFE) + 6)
    (found,) = [r for r in watch.states[0].records if r["now"].get("TIME_WAIT") and r["total"]]
    assert (found["pid"], found["comm"]) == (client.pid, CLIENT)
    assert {r["pid"] for r in life(watch.records(), local, port)} == {client.pid}


def ticks_now() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK") // 10**9


def let_a_tick_pass() -> None:
    """No PID comes back within one by itself: there are thousands of others before."""
    before = ticks_now()
    wait_until(lambda: ticks_now() > before, "the next tick")


def call(caller: Process, server: Program, port: int, name: str) -> int:
    """A connection that both keep."""
    local = caller.do("connect", name=name, address=ADDRESS, port=port)["port"]
    server.do("accept", name=f"a:{local}", listener="l")
    return int(local)


def test_a_later_process_with_the_same_pid_is_another(tmp_path: Path) -> None:
    """It runs, with sockets of its own, while those of the first are closed by their peer."""
    with (
        Program(SERVER) as server,
        Program("tt-second") as parent,
        Program("tt-first") as first,
    ):
        port = server.do("bind", name="l", address=ADDRESS)["port"]
        server.do("listen", name="l")
        with Watch(tmp_path, port, first.pid) as watch:
            old = call(first, server, port, "c")
            first.kill()
            assert server.do("receive", name=f"a:{old}")["bytes"] == 0
            let_a_tick_pass()
            second = parent.fork_as(first.pid)
            assert second.pid == first.pid
            new = call(second, server, port, "d")
            # the second is on the CPU while the first's connection comes to its end
            server.do("pin", cpu=0)
            second.do("pin", cpu=0)
            second.tell("spin")
            server.do("close", name=f"a:{old}")
            second.stop()
            second.do("close", name="d")
            server.do("receive", name=f"a:{new}")
            server.do("close", name=f"a:{new}")
            watch.stop(2 * 11)
        records = watch.records()
        theirs = [life(records, local, port) for local in (old, new)]
        assert [{r["comm"] for r in mine} for mine in theirs] == [{"tt-first"}, {"tt-second"}]
        assert [[step(r) for r in mine] for mine in theirs] == [CLIENT_LIFE] * 2
        assert {r["pid"] for mine in theirs for r in mine} == {first.pid}
        # its FIN was answered at once, or when it had gone
        assert theirs[0][-1]["owner_is"] == "exited"
        assert {r["owner_is"] for r in theirs[1]} == {"process"}
        check_not_followed(watch, first, old, port)


def check_not_followed(watch: Watch, first: Program, old: int, port: int) -> None:
    """--pid of the first is not the second's: nor `states` of it, nor the recording's replay."""
    assert watch.counted(first.pid) == {(name, first.pid): 1 for name in CLIENT_LIFE}
    shown = watch.records("--pid", str(first.pid))
    assert [step(r) for r in shown] == CLIENT_LIFE
    assert {r["lport"] for r in shown[1:]} == {old}
    summed: list[Record] = [
        r for r in watch.states[0].records if r["pid"] == first.pid and r["total"]
    ]
    assert sorted(r["comm"] for r in summed) == ["tt-first", "tt-second"]
    assert len(lives(shown)) == 1
    assert {name for name, _ in watch.counted()} > set(CHILD_BIRTH)
