"""`listeners` against `ss -ltn` and against what was done to the sockets.

Each test has a network namespace of its own; the accept queue of a listener with backlog N holds
N + 1.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.harness import Namespace, Record, Tracer, namespace, wait_until
from tests.programs.driver import Process, Program
from tests.programs.places import inside
from tracer.kernel import maps
from tracer.kernel.live import LiveSource, Settings
from tracer.wire.filters import Filters

pytestmark = pytest.mark.kernel

BACKLOG = 5
PORT = 7001


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


def listen(space: Namespace, backlog: int = BACKLOG, port: int = PORT) -> socket.socket:
    def work() -> socket.socket:
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("127.0.0.1", port))
        made.listen(backlog)
        return made

    made: socket.socket = inside(space, work)
    return made


def connect(space: Namespace, count: int, port: int = PORT) -> list[socket.socket]:
    def work() -> list[socket.socket]:
        return [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]

    made: list[socket.socket] = inside(space, work)
    return made


@contextmanager
def traced(space: Namespace, *arguments: str) -> Iterator[Tracer]:
    with Tracer("listeners", "--netns", space.name, *arguments) as tracer:
        yield tracer


def of(records: list[Record], port: int = PORT) -> Record:
    """The last record of the listener on a port: that of the whole span."""
    return [r for r in records if r["listener_port"] == port][-1]


def ss(space: Namespace) -> dict[int, tuple[int, int]]:
    """Accept queue now and its limit by port, as `ss -ltn` has them."""
    rows = [line.split() for line in space.run("ss", "-Hltn").splitlines()]
    return {int(row[3].rpartition(":")[2]): (int(row[1]), int(row[2])) for row in rows}


@pytest.mark.guest("listeners", "iter")
def test_queues_and_limits_are_those_of_ss(ns: Namespace) -> None:
    with listen(ns), listen(ns, 9, PORT + 1), traced(ns) as tracer:
        clients = connect(ns, 3) + connect(ns, 2, PORT + 1)
        wait_until(lambda: ss(ns) == {PORT: (3, BACKLOG), PORT + 1: (2, 9)}, "the queues to fill")
        records = tracer.stop()
        assert clients
    found = {r["listener_port"]: (r["accept_queue"], r["accept_queue_max"]) for r in records}
    assert found == {PORT: (3, BACKLOG), PORT + 1: (2, 9)}


def test_what_befell_the_same_address_in_two_namespaces_is_told_of_each(ns: Namespace) -> None:
    with namespace() as other:
        both = f"{ns.name},{other.name}"
        with Tracer("listeners", "--netns", both, json=False) as tracer:
            for space, count in ((ns, 3), (other, 2)):
                with listen(space):
                    assert connect(space, count)
            tracer.stop()
        told = [line for line in tracer.stdout.splitlines() if "never accepted" in line]
        assert sorted(told) == sorted(
            f"127.0.0.1:{PORT} netns {space.inode}  never accepted {count}"
            for space, count in ((ns, 3), (other, 2))
        )


def test_a_peak_between_two_looks_is_seen(ns: Namespace) -> None:
    """The queue is full and empty again long before anybody looks."""
    with listen(ns) as server, traced(ns) as tracer:
        clients = connect(ns, BACKLOG + 1)
        taken = [server.accept()[0] for _ in clients]
        record = of(tracer.stop())
        assert taken
    assert record["accept_queue"] == 0
    assert record["accept_queue_peak"] == BACKLOG + 1
    assert record["finished"] == record["accepts"] == BACKLOG + 1
    assert record["full_us"] > 0


def test_a_peak_belongs_to_its_interval_and_to_the_total(ns: Namespace) -> None:
    with listen(ns) as server, traced(ns, "-i", "300ms") as tracer:
        clients = connect(ns, 4)
        taken = [server.accept()[0] for _ in clients]
        blocks = wait_until(
            lambda: (found := tracer.so_far()) and found[-1]["accept_queue_peak"] == 0 and found,
            "an interval after the peak",
        )
        last = of(tracer.stop())
        assert taken
    assert max(r["accept_queue_peak"] for r in blocks) == 4
    assert last["accept_queue_peak"] == 4
    assert sum(r["accepts"] for r in tracer.records[:-1]) == last["accepts"] == 4


def test_the_time_at_full_is_the_time_between_the_last_in_and_the_first_out(ns: Namespace) -> None:
    with listen(ns) as server, traced(ns) as tracer:
        before = time.monotonic_ns()
        clients = connect(ns, BACKLOG + 1)
        full = time.monotonic_ns()
        wait_until(lambda: time.monotonic_ns() - full > 50_000_000, "50 ms")
        emptying = time.monotonic_ns()
        taken = [server.accept()[0] for _ in clients]
        after = time.monotonic_ns()
        record = of(tracer.stop())
        assert taken
    assert (emptying - full) // 1000 <= record["full_us"] <= (after - before) // 1000


def test_a_queue_that_was_full_before_tracing_is_full_all_the_span(ns: Namespace) -> None:
    with listen(ns):
        clients = connect(ns, BACKLOG + 1)
        with traced(ns, "-i", "200ms") as tracer:
            wait_until(lambda: len(tracer.so_far()) > 1, "a second interval")
            records = tracer.stop()
        assert clients
    shares = [r["full_us"] / r["span_us"] for r in records if r["span_us"]]
    assert [share > 0.9 for share in shares] == [True] * len(shares)
    assert all(r["full_us"] <= r["span_us"] for r in records if r["total"])


def test_listen_or_somaxconn_is_named_as_what_sets_the_limit(ns: Namespace) -> None:
    ns.run("sh", "-c", "echo 64 >/proc/sys/net/core/somaxconn")
    with listen(ns, 10), listen(ns, 1000, PORT + 1), traced(ns) as tracer:
        records = tracer.stop()
    found = {r["listener_port"]: (r["accept_queue_max"], r["max_set_by"]) for r in records}
    assert found == {PORT: (10, "listen"), PORT + 1: (64, "somaxconn")}


def test_a_listener_that_came_and_went_stays_listed_with_its_times(ns: Namespace) -> None:
    with traced(ns) as tracer:
        with listen(ns) as server:
            client = connect(ns, 1)[0]
            server.accept()[0].close()
            client.close()
        record = of(tracer.stop())
    assert record["opened"]
    assert record["closed"] > record["opened"]
    assert record["accept_queue"] is None
    assert (record["accept_queue_max"], record["max_set_by"]) == (BACKLOG, "listen")
    assert record["accepts"] == 1


def listen_again(server: socket.socket) -> None:
    server.shutdown(socket.SHUT_RDWR)
    server.listen(BACKLOG)


def take(ns: Namespace, server: socket.socket, count: int) -> None:
    clients = connect(ns, count)
    taken = [server.accept()[0] for _ in clients]
    for one in (*taken, *clients):
        one.close()


def test_a_socket_that_listens_again_is_one_listener_and_counts_on(ns: Namespace) -> None:
    with listen(ns) as server, traced(ns) as tracer:
        for count in (3, 2, 5):
            take(ns, server, count)
            listen_again(server)
        records = tracer.stop()
    (record,) = [r for r in records if r["listener_port"] == PORT]
    assert record["accepts"] == ns.counters()["TcpPassiveOpens"] == 10
    assert record["accept_queue_peak"] >= 1
    assert (record["opened"], record["closed"]) == (None, None)


def test_one_that_listens_again_after_it_was_told_to_have_closed_counts_on(ns: Namespace) -> None:
    with listen(ns) as server, traced(ns, "-i", "1s") as tracer:
        take(ns, server, 3)
        server.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: any(r["closed"] for r in tracer.so_far()), "its end to be told")
        server.listen(BACKLOG)
        take(ns, server, 2)
        records = tracer.stop()
    assert of(records)["accepts"] == ns.counters()["TcpPassiveOpens"] == 5
    assert of(records)["closed"] is None
    assert sum(r["accepts"] for r in records if not r["total"]) == 5
    assert all(r["accepts"] >= 0 for r in records)


def test_connections_reset_in_the_queue_and_never_accepted_are_told_apart(ns: Namespace) -> None:
    with traced(ns) as tracer:
        server = listen(ns)
        clients = connect(ns, 5)
        for client in clients[:2]:
            linger = struct.pack("ii", 1, 0)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            client.close()
        server.close()
        record = of(tracer.stop())
    assert record["finished"] == 5
    assert record["reset_in_queue"] == 2
    assert record["never_accepted"] == 3
    assert record["accepts"] == 0


def test_every_process_with_a_descriptor_for_it_is_a_holder(ns: Namespace) -> None:
    with Program("holder", ns.enter) as server, traced(ns) as tracer:
        port = server.do("bind", name="l", address="127.0.0.1")["port"]
        server.do("listen", name="l")
        children = [server.fork() for _ in range(3)]
        record = of(tracer.stop(), port)
        assert len(children) == 3
    assert record["holders"] == 4
    assert record["listener_pid"] == server.pid
    assert record["listener_comm"] == "holder"


def test_listeners_that_share_a_port_are_each_listed_with_their_own_queue(ns: Namespace) -> None:
    count = 31
    with Program("tt-one", ns.enter) as one, Program("tt-two", ns.enter) as two:
        for twin in (one, two):
            twin.do("bind", name="l", address="127.0.0.1", port=PORT, share=True)
            twin.do("listen", name="l", backlog=count)
        with traced(ns) as tracer:
            clients = connect(ns, count)
            rows = [line.split() for line in ns.run("ss", "-Hltne").splitlines()]
            records = tracer.stop()
            assert clients
    depths = {next(w[3:] for w in row if w.startswith("sk:")): int(row[1]) for row in rows}
    assert {r["listener_cookie"]: r["accept_queue"] for r in records} == depths
    assert sum(depths.values()) == count
    assert {r["listener_pid"] for r in records} == {one.pid, two.pid}
    assert all(r["reuseport"] and r["finished"] == r["accept_queue"] for r in records)


def test_listeners_of_another_port_are_left_out_open_and_closed(ns: Namespace) -> None:
    with listen(ns), traced(ns, "--lport", str(PORT)) as tracer:
        with listen(ns, port=PORT + 1):
            pass
        with listen(ns, port=PORT + 2):
            records = tracer.stop()
    assert {r["listener_port"] for r in records} == {PORT}


def test_a_recording_shows_what_the_session_showed(ns: Namespace, tmp_path: Any) -> None:
    path = tmp_path / "kept"
    with listen(ns) as server, traced(ns, "-w", str(path)) as tracer:
        clients = connect(ns, 3)
        server.accept()[0].close()
        tracer.stop()
        assert clients
    command = [sys.executable, "-m", "tracer", "listeners", "-j", "-r", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout == tracer.stdout
    assert of(tracer.records)["accept_queue"] == 2


# --- what is counted is kept apart from what user space corrects ----------------------


def test_what_is_counted_while_a_listener_finds_an_heir_is_not_overwritten(
    ns: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner lets go of it; between the look at it and the correction others accept."""
    before, between, after = 3, 7, 11
    replaced = []
    with Program("tt-server", ns.enter) as server, Program("tt-client", ns.enter) as client:
        server.do("bind", name="l", address="127.0.0.1", port=PORT)
        server.do("listen", name="l", backlog=100)
        worker = server.fork()
        settings = Settings(Filters(netns=frozenset({ns.inode})), stream=False, listen_stats=True)
        source = LiveSource(settings)
        real = maps.replace

        def take(process: Process, count: int) -> None:
            client.do("hold", address="127.0.0.1", port=PORT, count=count)
            process.do("accept_some", listener="l", count=count)

        def late(fd: int, key: Any, value: Any) -> None:
            take(worker, between)
            replaced.append(int(key[0]))
            real(fd, key, value)

        try:
            take(server, before)
            server.do("close", name="l")
            monkeypatch.setattr(maps, "replace", late)
            source.reseed()
            take(worker, after)
            (row,) = source.listeners()
        finally:
            source.close()
    assert replaced == [row["cookie"]]
    assert (row["accepts"], row["finished"]) == (before + between + after,) * 2
    assert row["pid"] == worker.pid
