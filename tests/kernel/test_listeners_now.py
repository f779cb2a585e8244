"""`listeners --now` against `ss -ltn` and against what was done to the sockets."""

from __future__ import annotations

import csv
import io
import subprocess
from collections.abc import Iterator

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, namespace, wait_until
from tests.kernel.test_listeners import BACKLOG, PORT, connect, listen, of, ss
from tests.programs.driver import Program
from tests.programs.places import server_in
from tests.schemas import checked

pytestmark = pytest.mark.kernel
# what takes watching, and is not known of one look
WATCHED = (
    *("accept_queue_peak", "syn_queue_peak", "full_us", "finished", "accepts", "overflows"),
    *("reset_in_queue", "never_accepted", "syn_drops", "cookies_sent"),
)


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


def run(space: Namespace, *arguments: str) -> str:
    command = [*COMMAND, "listeners", "--now", "--netns", space.name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    return done.stdout


def now(space: Namespace, *arguments: str) -> list[Record]:
    return checked(run(space, "-j", *arguments).splitlines())


@pytest.mark.guest("listeners", "iter")
def test_queues_and_limits_are_those_of_ss_at_once(ns: Namespace) -> None:
    with listen(ns), listen(ns, 9, PORT + 1), listen(ns, 0, PORT + 2):
        clients = connect(ns, 3) + connect(ns, 2, PORT + 1)
        wanted = {PORT: (3, BACKLOG), PORT + 1: (2, 9), PORT + 2: (0, 0)}
        wait_until(lambda: ss(ns) == wanted, "the queues to fill")
        records = now(ns)
        assert clients
    found = {r["listener_port"]: (r["accept_queue"], r["accept_queue_max"]) for r in records}
    assert found == wanted


def test_half_open_ones_are_those_of_ss(ns: Namespace) -> None:
    """ACKs are lost on their way, so handshakes stay half-open."""
    with listen(ns, 20) as server:
        ns.run("nft", "add table ip t; add chain ip t in { type filter hook input priority 0; }")
        rule = f"tcp dport {PORT} tcp flags & (syn | ack) == ack drop"
        ns.run("nft", f"add rule ip t in {rule}")
        clients = connect(ns, 7)
        wait_until(lambda: half_open(ns) == 7, "them to be half-open")
        record = of(now(ns))
        assert clients
        assert server
    assert (record["syn_queue"], record["accept_queue"]) == (7, 0)


def half_open(space: Namespace) -> int:
    return len(space.run("ss", "-Htan", "state", "syn-recv").splitlines())


def test_its_owner_is_who_holds_it_and_all_holders_are_counted(ns: Namespace) -> None:
    with server_in(ns) as server:
        children = [server.fork() for _ in range(3)]
        record = of(now(ns))
        assert len(children) == 3
        (mine,) = now(ns, "--pid", str(children[0].pid))
    assert record["holders"] == 4
    assert (record["listener_pid"], record["listener_comm"]) == (server.pid, f"tt-server-{PORT}")
    assert mine["listener_cookie"] == record["listener_cookie"]


def test_what_takes_watching_is_unknown_and_has_no_column(ns: Namespace) -> None:
    with server_in(ns):
        record = of(now(ns))
        assert {name: record[name] for name in WATCHED} == dict.fromkeys(WATCHED)
        (row,) = csv.DictReader(io.StringIO(run(ns, "-f", "csv")))
        assert {row[name] for name in WATCHED} == {""}
        scope, headings, line, proof = run(ns).splitlines()
    assert scope.startswith("listeners --now ")
    assert scope.endswith("nothing traced")
    assert headings.split() == ["LISTENER", "OWNER", "QUEUE", "MAX", "SET", "BY", "SYNQ", "MAX"]
    assert line.split()[2:] == ["0", "1000", "listen", "0", "1000"]
    assert proof.startswith("1 seen, 1 matched, 0 lost in ")


def test_a_full_queue_comes_first(ns: Namespace) -> None:
    with listen(ns, 9), listen(ns, 0, PORT + 1):
        clients = connect(ns, 3) + connect(ns, 1, PORT + 1)
        wait_until(lambda: ss(ns)[PORT + 1] == (1, 0), "the queue to be full")
        ports = [record["listener_port"] for record in now(ns)]
        assert clients
    assert ports == [PORT + 1, PORT]


def test_rows_are_put_together_as_while_tracing(ns: Namespace) -> None:
    with Program("tt-one", ns.enter) as one, Program("tt-two", ns.enter) as two:
        for twin in (one, two):
            twin.do("bind", name="l", address="127.0.0.1", port=PORT, share=True)
            twin.do("listen", name="l", backlog=BACKLOG)
        clients = connect(ns, 5)
        wait_until(lambda: sum(r["accept_queue"] for r in now(ns)) == 5, "all of them to wait")
        (both,) = now(ns, "--by", "listener")
        by_pid = {record["pid"]: record["listeners"] for record in now(ns, "--by", "pid")}
        assert clients
    assert (both["listener"], both["listeners"]) == (f"127.0.0.1:{PORT}", 2)
    assert (both["accept_queue"], both["accepts"], both["syn_drops"]) == (5, None, None)
    assert by_pid == {one.pid: 1, two.pid: 1}
