"""Connections accepted through io_uring: counted once, for who took them, with their wait."""

from __future__ import annotations

import json
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.harness import Namespace, Record, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, build

pytestmark = pytest.mark.kernel

NEAR_US = 100  # what lies between the end of a handshake and its client's return from connect()
COUNT = 53
PATIENCE_S = 20


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


@pytest.fixture
def client(ns: Namespace) -> Iterator[Program]:
    with Program("tt-client", ns.enter) as made:
        yield made


class Server:
    """tests/programs/uring.c, listening; `took` is what it accepted, or failed with."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        assert process.stdout
        self._output = process.stdout
        self.pid: int = self._hear()["pid"]

    def _hear(self) -> Any:
        assert select.select([self._output], [], [], PATIENCE_S)[0], "it says nothing"
        return json.loads(self._output.readline())

    def took(self) -> Any:
        return self._hear()["did"]

    def end(self) -> None:
        """Let it come to its end: its ring is taken down afterwards, by the kernel."""
        self._process.communicate(timeout=PATIENCE_S)
        assert self._process.returncode == 0


@contextmanager
def serving(ns: Namespace, way: str, count: int = COUNT, pause_us: int = 0) -> Iterator[Server]:
    command = [*ns.enter, str(build("uring")), way, ADDRESS, str(PORT), str(count), str(pause_us)]
    # unbuffered: select() sees all that was not read yet
    process = subprocess.Popen(command, 0, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield Server(process)
    finally:
        process.kill()
        process.communicate()


def trace(ns: Namespace, *arguments: str) -> Tracer:
    return Tracer(*arguments, "--netns", ns.name)


def connect(client: Program, count: int = COUNT) -> list[int]:
    """So many connections, each of which sends a byte; their ports."""
    said = client.do("hold", address=ADDRESS, port=PORT, count=count)
    assert said["failures"] == {}
    client.do("send_all")
    return list(said["ports"])


@pytest.mark.parametrize(
    "way",
    ["single", "async", "polled", "multishot", "overflow", "direct", "multishot_direct"],
)
def test_what_io_uring_accepts_is_counted_once_for_who_took_it(
    ns: Namespace, client: Program, way: str
) -> None:
    with trace(ns, "events", "--kind", "accept") as tracer, serving(ns, way) as server:
        made = connect(client)
        took = server.took()
        records = tracer.stop()
    assert tracer.counts["lost"] == 0, tracer.stderr
    assert [r["rport"] for r in records] == made
    if way != "multishot_direct":  # which does not learn its peers
        assert [peer for peer, _, _ in took] == made
    assert_taken_by(server, records)


def assert_taken_by(server: Server, records: list[Record]) -> None:
    for r in records:
        assert (r["pid"], r["comm"], r["owner_is"]) == (server.pid, "uring", "process")
        assert (r["listener_pid"], r["listener_port"]) == (server.pid, PORT)
        assert (r["precision"], r["errno"]) == ("exact", None)


@pytest.mark.guest("io_uring", "raw_tp")
@pytest.mark.parametrize("way", ["single", "multishot"])
def test_what_io_uring_accepts_is_told_beside_the_system_calls_where_those_are_watched(
    ns: Namespace, client: Program, way: str
) -> None:
    asked = ("events", "--kind", "accept", "--attach", "tracepoint")
    with trace(ns, *asked) as tracer, serving(ns, way) as server:
        made = connect(client)
        server.took()
        records = tracer.stop()
    assert tracer.counts["lost"] == 0, tracer.stderr
    assert [r["rport"] for r in records] == made
    assert_taken_by(server, records)


@pytest.mark.parametrize("way", ["single", "polled", "multishot", "direct"])
def test_each_wait_is_what_the_server_and_the_client_measured(
    ns: Namespace, client: Program, way: str
) -> None:
    count = 101
    with (
        trace(ns, "events", "--kind", "accept") as tracer,
        serving(ns, way, count, 3000) as server,
    ):
        client.tell("connect_timed", address=ADDRESS, port=PORT, pauses_us=[2000] * count)
        connects = {port: (called, done) for port, called, done in client.answer()["log"]}
        accepts = {peer: (called, done) for peer, called, done in server.took()}
        records = tracer.stop()
    assert sorted(r["rport"] for r in records) == sorted(connects) == sorted(accepts)
    for r in records:
        called, returned = connects[r["rport"]]
        assert accepts[r["rport"]][0] <= r["mono_ns"] <= accepts[r["rport"]][1], r
        if r["wait_us"] is None:
            continue  # it became ESTABLISHED where no BPF program runs
        assert r["wait_us"] <= (r["mono_ns"] - called) / 1000, r
        assert r["wait_us"] >= (r["mono_ns"] - returned) / 1000 - NEAR_US, r


def test_what_is_accepted_without_an_answer_is_told_by_its_first_use(
    ns: Namespace, client: Program
) -> None:
    with (
        trace(ns, "events", "--kind", "accept") as tracer,
        trace(ns, "accepts") as summary,
        serving(ns, "unanswered") as server,
    ):
        made = connect(client)
        took = {peer: (called, done) for peer, called, done in server.took()}
        records = tracer.stop()
        (summed,) = summary.stop()
    assert (summed["pid"], summed["accepts"]) == (server.pid, COUNT)
    assert f"{COUNT} accepted unseen are told by their first I/O" in summary.stderr
    assert [r["rport"] for r in records] == made
    for r in records:
        assert (r["pid"], r["owner_is"]) == (server.pid, "process")
        assert r["precision"] == "first_io"
        assert took[r["rport"]][0] <= r["mono_ns"] <= took[r["rport"]][1]


def test_what_is_accepted_and_closed_unseen_is_an_accept_with_no_known_wait(
    ns: Namespace, client: Program
) -> None:
    others = sockets_of(ns)
    with trace(ns, "accepts") as tracer, serving(ns, "unused") as server:
        made = client.do("hold", address=ADDRESS, port=PORT, count=COUNT)["ports"]
        assert [peer for peer, _, _ in server.took()] == made
        wait_until(lambda: sockets_of(ns) == others + COUNT + 1, "the kernel to let go of them")
        (record,) = tracer.stop()
    assert (record["pid"], record["accepts"], record["wait_us"]) == (server.pid, COUNT, None)
    ends = ("waiting", "reset_in_queue", "never_accepted")
    assert [record[name] for name in ends] == [0, 0, 0]


def test_what_was_accepted_unseen_and_is_reset_is_an_accept_once_it_is_let_go(
    ns: Namespace, client: Program
) -> None:
    """Its peer's RST comes before anything is done with it; one more waits for an accept."""
    count = 7
    names = [f"c{i}" for i in range(count + 1)]
    others = sockets_of(ns)
    with trace(ns, "accepts") as tracer, serving(ns, "idle", count) as server:
        for name in names:
            client.do("connect", name=name, address=ADDRESS, port=PORT)
        wait_until(lambda: queue_of(ns) == 1, "all but one to be accepted")
        (before,) = look(tracer)
        for name in names[:count]:
            client.do("reset", name=name)
        (reset,) = look(tracer)
        server.end()
        wait_until(lambda: sockets_of(ns) == others + 1, "its ring to be taken down")
        *_, total = tracer.stop()
    assert (before["accepts"], before["waiting"], before["reset_in_queue"]) == (0, 1, 0)
    assert (reset["accepts"], reset["waiting"], reset["reset_in_queue"]) == (0, 1, 0)
    assert (total["pid"], total["accepts"], total["wait_us"]) == (server.pid, count, None)
    assert (total["waiting"], total["reset_in_queue"], total["never_accepted"]) == (0, 0, 1)


def test_an_accept_that_fails_in_io_uring_belongs_to_who_asked_for_it(
    ns: Namespace, client: Program
) -> None:
    with trace(ns, "accepts") as tracer, serving(ns, "no_room", 5) as server:
        client.do("hold", address=ADDRESS, port=PORT, count=3)
        assert server.took() == [24] * 5
        (record,) = tracer.stop()
    assert (record["pid"], record["failed"]) == (server.pid, {"EMFILE": 5})
    assert (record["accepts"], record["waiting"]) == (0, 3)


def test_the_listener_counts_what_io_uring_accepted(ns: Namespace, client: Program) -> None:
    with trace(ns, "listeners") as tracer, serving(ns, "multishot") as server:
        connect(client)
        server.took()
        records = tracer.stop()
    (record,) = [r for r in records if r["kind"] == "listener"]
    assert (record["accepts"], record["listener_pid"]) == (COUNT, server.pid)


def look(tracer: Tracer) -> list[Record]:
    """Have an interim summary printed, and read it."""
    before = len(tracer.so_far())
    tracer.process.send_signal(signal.SIGQUIT)
    wait_until(lambda: len(tracer.so_far()) > before, "an interim summary")
    return tracer.so_far()[before:]


def sockets_of(ns: Namespace) -> int:
    """Sockets of every kind and state that are open there."""
    return int(ns.run("cat", "/proc/net/sockstat").split()[2])


def queue_of(ns: Namespace) -> int:
    """Connections in the accept queue of the one listener there is, as ss tells it."""
    return int(ns.run("ss", "-Hltn").split()[1])
