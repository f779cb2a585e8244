"""`accepts`: every accept for its process and listener, and what failed.

How long each waited is test_accept_waits.py's.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace, wait_until
from tests.hidden import hidden_events
from tests.programs.driver import Process, Program
from tests.programs.places import ADDRESS, PORT, flood, server_in

pytestmark = pytest.mark.kernel

IN_ACCEPT = ("43", "288", "202", "242")  # accept, accept4: x86-64, arm64
MEMBERS = [
    *("ts", "span_us", "kind", "total"),
    *("listener_addr", "listener_port", "listener_pid", "listener_comm", "listener_cookie"),
    *("netns", "pid", "comm", "accepts", "failed", "wait_us"),
    *("wait_at_least_count", "wait_at_least_us"),
    *("reset_in_queue", "never_accepted", "waiting"),
    *("oldest_waiting_us", "oldest_waiting_at_least_us"),
]


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


@pytest.fixture
def server(ns: Namespace) -> Iterator[Program]:
    with server_in(ns) as made:
        yield made


@pytest.fixture
def client(ns: Namespace) -> Iterator[Program]:
    with Program("tt-client", ns.enter) as made:
        yield made


def trace(ns: Namespace, *options: str, json: bool = True) -> Tracer:
    return Tracer("accepts", "--netns", ns.name, *options, json=json)


def replay(*arguments: str) -> str:
    done = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def counts(records: list[Record]) -> dict[int | None, int]:
    """Accepts by process; every record has one."""
    found = {record["pid"]: record["accepts"] for record in records}
    assert len(found) == len(records)
    return found


def hold(client: Process, count: int, port: int = PORT) -> list[int]:
    """So many connections that stay open; their ports."""
    said = client.do("hold", address=ADDRESS, port=port, count=count)
    assert said["failures"] == {}
    return list(said["ports"])


def look(tracer: Tracer) -> list[Record]:
    """Have an interim summary printed, and read it."""
    before = len(tracer.so_far())
    tracer.process.send_signal(signal.SIGQUIT)
    wait_until(lambda: len(tracer.so_far()) > before, "an interim summary")
    return tracer.so_far()[before:]


# --- every accept, for its process and its listener ------------------------------


@pytest.mark.parametrize(
    ("way", "options"),
    [
        ("accept_some", {"old_call": True}),
        ("accept_some", {"old_call": False}),
        ("accept_by_epoll", {}),
    ],
    ids=["accept", "accept4", "epoll"],
)
def test_every_connection_is_counted_once_for_who_accepted_it(
    ns: Namespace, server: Program, client: Program, way: str, options: dict[str, Any]
) -> None:
    count = 53
    with trace(ns) as tracer:
        server.tell(way, listener="l", count=count, **options)
        made = hold(client, count)
        assert sorted(server.answer()["peers"]) == sorted(made)
        (record,) = tracer.stop()
    assert counts([record]) == {server.pid: count}
    assert (record["comm"], record["listener_pid"]) == (server.comm, server.pid)
    assert (record["listener_addr"], record["listener_port"]) == (ADDRESS, PORT)
    assert record["netns"] == ns.inode
    assert record["wait_us"]["count"] == count
    assert record["failed"] == {}
    assert tracer.counts["matched"] == count


def test_threads_that_wait_in_one_accept_are_their_process(
    ns: Namespace, server: Program, client: Program
) -> None:
    with trace(ns) as tracer:
        server.tell("accept_in_threads", listener="l", counts=[11, 13, 17])
        made = hold(client, 41)
        assert sorted(server.answer()["peers"]) == sorted(made)
        records = tracer.stop()
    assert counts(records) == {server.pid: 41}


@pytest.mark.guest
def test_workers_forked_before_are_told_apart_and_add_up(
    ns: Namespace, server: Program, client: Program
) -> None:
    shares = [13, 17, 23]
    with trace(ns) as tracer:
        workers = [server.fork() for _ in shares]
        for worker, share in zip(workers, shares, strict=True):
            worker.tell("accept_some", listener="l", count=share)
        hold(client, sum(shares))
        for worker in workers:
            worker.answer()
        records = tracer.stop()
    expected = {worker.pid: share for worker, share in zip(workers, shares, strict=True)}
    assert counts(records) == expected
    assert len({record["listener_cookie"] for record in records}) == 1


def test_reuseport_twins_are_two_listeners(ns: Namespace, tmp_path: Path, client: Program) -> None:
    count, path = 61, str(tmp_path / "a.rec")
    with Program("tt-one", ns.enter) as one, Program("tt-two", ns.enter) as two:
        for twin in (one, two):
            twin.do("bind", name="l", address=ADDRESS, port=PORT, share=True)
            twin.do("listen", name="l", backlog=100)
        with trace(ns, "-w", path) as tracer:
            hold(client, count)
            took = {
                twin.pid: twin.do("accept_waiting", listener="l")["peers"] for twin in (one, two)
            }
            records = tracer.stop()
    assert counts(records) == {pid: len(peers) for pid, peers in took.items() if peers}
    assert sum(counts(records).values()) == count
    assert len({record["listener_cookie"] for record in records}) == len(records) == 2
    assert {record["listener_pid"] for record in records} == set(took)
    table = replay("accepts", "-r", path)
    assert f"{ADDRESS}:{PORT} (1 of 2)" in table
    assert f"{ADDRESS}:{PORT} (2 of 2)" in table


@pytest.mark.guest
def test_a_call_of_accept_begun_before_tracing_is_seen(
    ns: Namespace, server: Program, client: Program
) -> None:
    server.tell("accept_some", listener="l", count=1)
    call = Path(f"/proc/{server.pid}/syscall")
    wait_until(lambda: call.read_text().split()[0] in IN_ACCEPT, "accept() to wait")
    with trace(ns) as tracer:
        hold(client, 1)
        server.answer()
        records = tracer.stop()
    assert counts(records) == {server.pid: 1}
    assert records[0]["wait_us"]["count"] == 1


def test_counts_stay_exact_when_every_cpu_is_busy_with_connections(ns: Namespace) -> None:
    count = 20011
    with hidden_events(PORT) as hidden, trace(ns) as tracer:
        _, server = flood(ns, count)
        (record,) = tracer.stop()
    assert tracer.counts["lost"] == 0, tracer.stderr
    assert counts([record]) == {server: count}
    # where one became ESTABLISHED unseen, that it waited is seen, and how long is not
    assert record["wait_us"]["count"] == count - hidden.steps["SYN_RECV ESTABLISHED"]
    ends = ("waiting", "reset_in_queue", "never_accepted")
    assert [record[name] for name in ends] == [0, 0, 0]


# --- what did not come to an accept ------------------------------------------------


@pytest.mark.guest
def test_connections_that_end_in_the_queue_are_counted_by_how(
    ns: Namespace, server: Program, client: Program
) -> None:
    names = [f"c{i}" for i in range(7)]
    with trace(ns) as tracer:
        for name in names:
            client.do("connect", name=name, address=ADDRESS, port=PORT)
        (waiting,) = look(tracer)
        for name in names[:3]:
            client.do("reset", name=name)
        (reset,) = look(tracer)
        server.do("close", name="l")
        *blocks, total = tracer.stop()
    assert blocks == [waiting, reset]
    assert [block["total"] for block in (*blocks, total)] == [False, False, True]
    ends = ("waiting", "reset_in_queue", "never_accepted")
    assert [waiting[name] for name in ends] == [7, 0, 0]
    assert [reset[name] for name in ends] == [4, 3, 0]
    assert [total[name] for name in ends] == [0, 3, 4]
    assert 0 < waiting["oldest_waiting_us"] < reset["oldest_waiting_us"]
    assert (total["oldest_waiting_us"], total["pid"], total["accepts"]) == (None, None, 0)
    assert total["listener_port"] == PORT


def test_what_waited_before_tracing_has_a_lower_bound_for_its_wait(
    ns: Namespace, server: Program, client: Program
) -> None:
    before_us = time.monotonic_ns() / 1000
    made = hold(client, 5)
    with trace(ns) as tracer:
        traced_us = time.monotonic_ns() / 1000
        (before,) = look(tracer)
        asked_us = time.monotonic_ns() / 1000
        assert server.do("accept_some", listener="l", count=2)["peers"] == made[:2]
        accepted_us = time.monotonic_ns() / 1000
        (total,) = tracer.stop()[-1:]
    assert (before["waiting"], before["accepts"]) == (5, 0)
    assert (total["waiting"], total["accepts"], total["wait_us"]) == (3, 2, None)
    assert total["wait_at_least_count"] == 2
    assert asked_us - traced_us < total["wait_at_least_us"] < accepted_us - before_us


def test_the_table_tells_how_many_of_its_accepts_are_timed(
    ns: Namespace, server: Program, client: Program, tmp_path: Path
) -> None:
    path = str(tmp_path / "a.rec")
    hold(client, 5)
    with trace(ns, "-w", path, json=False) as tracer:
        made = hold(client, 3)
        assert server.do("accept_some", listener="l", count=8)["peers"][5:] == made
        tracer.stop()
    lines = tracer.stdout.splitlines()
    assert lines[1].split()[3:6] == ["ACCEPTS", "TIMED", "FAILED"]
    row = lines[2].split()
    assert (row[2:4], row[-1][:2]) == (["8", "3"], ">=")
    (told,) = (line for line in lines if "waited since before tracing" in line)
    assert told == f"5 waited since before tracing: up to {row[-1]}, not timed"
    bars = [line for line in lines if line.endswith("%")]
    assert sum(int(bar.split()[-2]) for bar in bars) == 3
    assert replay("accepts", "-r", path) == tracer.stdout


def test_an_accept_of_what_waited_before_tracing_is_a_line_with_its_bound(
    ns: Namespace, server: Program, client: Program
) -> None:
    hold(client, 1)
    with Tracer("events", "--netns", ns.name, "--kind", "accept") as tracer:
        server.do("accept_some", listener="l", count=1)
        wait_until(lambda: bool(tracer.so_far()), "the accept to be told")
        (record,) = tracer.stop()
    assert (record["wait_us"], record["established"]) == (None, None)
    assert record["wait_at_least_us"] > 0


def test_an_accept_that_fails_belongs_to_who_called_it(
    ns: Namespace, server: Program, client: Program
) -> None:
    with trace(ns) as tracer:
        worker = server.fork()
        hold(client, 3)
        assert worker.do("accept_without_room", listener="l", count=5)["failed"] == ["EMFILE"] * 5
        assert len(server.do("accept_waiting", listener="l")["peers"]) == 3
        # nothing waits: EAGAIN, which is no failure
        assert server.do("accept_waiting", listener="l")["peers"] == []
        records = tracer.stop()
    assert {r["pid"]: r["failed"] for r in records} == {worker.pid: {"EMFILE": 5}, server.pid: {}}
    assert counts(records) == {worker.pid: 0, server.pid: 3}
    assert {r["pid"]: r["wait_us"] and r["wait_us"]["count"] for r in records} == {
        worker.pid: None,
        server.pid: 3,
    }
    assert tracer.counts["matched"] == 8


def test_who_is_out_of_descriptors_is_told_with_how_many_it_may_have(
    ns: Namespace, server: Program, client: Program, tmp_path: Path
) -> None:
    path = str(tmp_path / "a.rec")
    with trace(ns, "-w", path, json=False) as tracer:
        hold(client, 1)
        said = server.do("accept_without_room", listener="l", count=3, keep=True)
        wait_until(lambda: b"DESC" in Path(path).read_bytes(), "the descriptors to be looked at")
        tracer.stop()
    used = len(os.listdir(f"/proc/{server.pid}/fd"))
    line = f"{server.comm}[{server.pid}]: {used} of {said['limit']} descriptors in use"
    assert used == said["limit"]
    assert line in tracer.stdout.splitlines()
    assert replay("accepts", "-r", path) == tracer.stdout


def test_a_filter_leaves_out_other_listeners_and_their_queues(
    ns: Namespace, server: Program, client: Program, tmp_path: Path
) -> None:
    path, other = str(tmp_path / "a.rec"), PORT + 1
    server.do("bind", name="other", address=ADDRESS, port=other)
    server.do("listen", name="other")
    filters = ["--lport", str(other)]
    with trace(ns, "-w", path) as whole, trace(ns, *filters) as part:
        hold(client, 3)
        hold(client, 2, other)
        server.do("close", name="l")
        whole.stop()
        part.stop()
    assert {r["listener_port"]: r["never_accepted"] for r in whole.records} == {PORT: 3, other: 0}
    for records in (
        part.records,
        map(json.loads, replay("accepts", "-jr", path, *filters).splitlines()),
    ):
        assert [(r["listener_port"], r["waiting"]) for r in records] == [(other, 2)]


# --- forms ---------------------------------------------------------------------------


def work(server: Program, client: Program, count: int) -> None:
    """Connections with waits, of which three stay in the queue."""
    server.tell("accept_slowly", listener="l", pauses_us=[2000] * (count - 3))
    hold(client, count)
    server.answer()


def test_json_has_the_members_that_are_documented(
    ns: Namespace, server: Program, client: Program
) -> None:
    with trace(ns, "--by", "listener,pid,peer/8") as tracer:
        work(server, client, 11)
        (record,) = tracer.stop()
    assert record.pop("peer") == "127.0.0.0/8"
    assert list(record) == MEMBERS
    assert record["kind"] == "accept_summary"
    assert list(record["wait_us"]) == ["count", "sum", "min", "p50", "p90", "p99", "p999", "max"]
    assert list(record["wait_us"].values())[2:] == sorted(list(record["wait_us"].values())[2:])
    assert (record["accepts"], record["waiting"]) == (8, 3)


def test_intervals_add_up_to_the_total(ns: Namespace, server: Program, client: Program) -> None:
    with trace(ns, "-i", "20ms") as tracer:
        work(server, client, 103)
        wait_until(lambda: sum(r["accepts"] for r in tracer.so_far()) == 100, "the last accepts")
        *blocks, total = tracer.stop()
    waits = [block["wait_us"] for block in blocks if block["wait_us"]]
    assert len(waits) > 2
    assert sum(block["accepts"] for block in blocks) == total["accepts"] == 100
    assert sum(wait["count"] for wait in waits) == total["wait_us"]["count"]
    assert sum(wait["sum"] for wait in waits) == pytest.approx(total["wait_us"]["sum"])
    assert max(wait["max"] for wait in waits) == total["wait_us"]["max"]
    assert min(wait["min"] for wait in waits) == total["wait_us"]["min"]


@pytest.mark.parametrize("form", ["table", "json", "csv"])
@pytest.mark.parametrize("interval", [[], ["-i", "50ms"]], ids=["whole", "intervals"])
def test_a_recording_prints_byte_for_byte_what_its_run_printed(
    ns: Namespace, server: Program, client: Program, tmp_path: Path, form: str, interval: list[str]
) -> None:
    path = str(tmp_path / "a.rec")
    with trace(ns, "-f", form, *interval, "-w", path, json=False) as tracer:
        work(server, client, 31)
        server.do("close", name="l")
    assert replay("accepts", "-f", form, "-r", path) == tracer.stdout
    if form == "table":
        assert "never accepted 3\n" in tracer.stdout
        assert re.search(r"^\d+ seen, 28 matched, 0 lost in ", tracer.stdout.splitlines()[-1])


def test_a_recording_of_everything_shows_its_accepts_alone(
    ns: Namespace, server: Program, client: Program, tmp_path: Path
) -> None:
    path = str(tmp_path / "a.rec")
    with Tracer("record", path, "--netns", ns.name, json=False):
        work(server, client, 31)
    (record,) = [json.loads(line) for line in replay("accepts", "-j", "-r", path).splitlines()]
    assert counts([record]) == {server.pid: 28}
    assert (record["wait_us"]["count"], record["waiting"]) == (28, 3)
    assert record["listener_pid"] == server.pid
    # its counters are kept by `accepts` alone
    assert (record["reset_in_queue"], record["never_accepted"]) == (None, None)
    assert " seen, 28 matched, 0 lost in " in replay("accepts", "-r", path).splitlines()[-1]


def test_a_recording_of_other_kinds_is_refused(
    ns: Namespace, server: Program, client: Program, tmp_path: Path
) -> None:
    path = str(tmp_path / "a.rec")
    with Tracer("record", path, "--netns", ns.name, "--kind", "state", json=False):
        hold(client, 1)
    done = subprocess.run(
        [*COMMAND, "accepts", "-r", path], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "this recording keeps no accept records" in done.stderr
