"""Examples make the trouble that they are named for, and the command they show tells of it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.harness import ROOT, Namespace, Tracer, namespace, wait_until

pytestmark = pytest.mark.kernel

WORK_US = 5000  # what slow_accept's server does for each connection
BACKLOG = 16  # of full_backlog's


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


@contextmanager
def example(ns: Namespace, name: str) -> Iterator[tuple[str, str]]:
    """Have it run in the namespace; its PID and its port."""
    command = [*ns.enter, sys.executable, str(ROOT / "examples" / name / "run.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            said = re.fullmatch(r"PID (\d+), port (\d+)\n", process.stdout.readline())
            assert said
            yield said[1], said[2]
        finally:
            process.kill()


def test_a_slow_accept_is_told_by_the_wait_and_by_nothing_else(ns: Namespace) -> None:
    with (
        example(ns, "slow_accept") as (pid, port),
        Tracer("accepts", "--pid", pid, "-i", "500ms") as tracer,
    ):
        wait_until(lambda: sum(r["accepts"] for r in tracer.so_far()) > 97, "accepts")
        total = tracer.stop()[-1]
    assert (total["pid"], total["listener_port"]) == (int(pid), int(port))
    assert total["wait_us"]["sum"] / total["wait_us"]["count"] > WORK_US
    assert (total["failed"], total["reset_in_queue"], total["never_accepted"]) == ({}, 0, 0)
    assert ns.counters()["TcpExtListenDrops"] == 0


@pytest.mark.parametrize("command", [("listeners",), ("drops", "--syn")])
def test_a_full_backlog_is_told_with_its_listener_and_its_limit(
    ns: Namespace, command: tuple[str, ...]
) -> None:
    with example(ns, "full_backlog") as (pid, port):
        with Tracer(*command, "--lport", port) as tracer:
            before = ns.counters()["TcpExtListenOverflows"]
            enough = "the queue to overflow"
            wait_until(lambda: ns.counters()["TcpExtListenOverflows"] > before + 7, enough)
            records = tracer.stop()
        assert {r["unexplained"] for r in records if r["kind"] == "reconciliation"} <= {0}
    if command == ("listeners",):
        (row,) = (r for r in records if r["kind"] == "listener")
        assert (row["listener_pid"], row["listener_port"]) == (int(pid), int(port))
        assert (row["accept_queue_max"], row["max_set_by"]) == (BACKLOG, "listen")
        assert row["syn_drops"].keys() == {"accept_queue_full"}
        assert row["syn_drops"]["accept_queue_full"] == row["overflows"] > 7
    else:
        rows = [r for r in records if r["kind"] == "drop_summary"]
        assert {(r["reason"], r["lport"], r["pid"]) for r in rows} == {
            ("accept_queue_full", int(port), int(pid))
        }
        assert sum(r["count"] for r in rows) > 7
