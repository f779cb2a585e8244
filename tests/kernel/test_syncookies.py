"""Handshakes finished by a SYN cookie are marked as such, as many as the kernel counts."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, NEAR, PORT, SILENT, add_silent_host, server_in
from tests.programs.reading import stop_after
from tests.schemas import checked

pytestmark = pytest.mark.kernel

FIRST = 20001  # port of the first caller that is not there


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


@pytest.fixture
def client(ns: Namespace) -> Iterator[Program]:
    with Program("tt-client", ns.enter) as made:
        yield made


def trace(ns: Namespace) -> Tracer:
    return Tracer("events", "--kind", "handshake", "--netns", ns.name)


def sysctl(ns: Namespace, name: str, value: int) -> None:
    ns.run("sysctl", "-qw", f"net.ipv4.{name}={value}")


def received(ns: Namespace) -> int:
    return ns.counters()["TcpExtSyncookiesRecv"]


def passive(records: list[Record]) -> list[Record]:
    return [r for r in records if r["role"] == "passive"]


@pytest.mark.parametrize("address", [ADDRESS, "::1"])
@pytest.mark.parametrize("timestamps", [0, 1])
def test_where_all_are_by_cookie_each_is_marked(
    ns: Namespace, client: Program, address: str, timestamps: int
) -> None:
    count = 211
    sysctl(ns, "tcp_syncookies", 2)
    sysctl(ns, "tcp_timestamps", timestamps)
    with server_in(ns, address=address), trace(ns) as tracer:
        client.do("hold", address=address, port=PORT, count=count)
        records = stop_after(tracer, 2 * count)
    assert received(ns) == count
    marked = passive(records)
    assert len(marked) == count
    assert {(r["outcome"], r["syncookie"]) for r in marked} == {("ok", True)}
    # nothing was kept that a time could be taken from
    assert {(r["latency_us"], r["latency_from"], r["rtt_us"]) for r in marked} == {(None,) * 3}
    assert {r["syncookie"] for r in records if r["role"] == "active"} == {False}


@pytest.mark.guest("cookies", "iter")
def test_a_full_syn_queue_makes_a_mixture_and_each_is_marked_for_what_it_is(
    ns: Namespace, client: Program
) -> None:
    before, beyond, backlog = 5, 13, 31
    add_silent_host(ns)
    with Program("tt-server", ns.enter) as server:
        server.do("bind", name="l", address="0.0.0.0", port=PORT)
        server.do("listen", name="l", backlog=backlog)
        with trace(ns) as tracer:
            plain = client.do("hold", address=ADDRESS, port=PORT, count=before)["ports"]
            # a queue of 31 takes 32
            syns = {"source": SILENT, "address": "10.99.0.1", "port": PORT, "first": FIRST}
            client.do("send_syns", **syns, count=backlog + 1)
            held = client.do("hold", address=ADDRESS, port=PORT, count=beyond)["ports"]
            records = stop_after(tracer, 2 * (before + beyond))
    assert received(ns) == beyond
    marks = {r["rport"]: r["syncookie"] for r in passive(records)}
    assert marks == dict.fromkeys(plain, False) | dict.fromkeys(held, True)


def test_cookies_that_came_before_tracing_mark_nothing(ns: Namespace, client: Program) -> None:
    older, count = 17, 29
    with server_in(ns):
        sysctl(ns, "tcp_syncookies", 2)
        client.do("hold", address=ADDRESS, port=PORT, count=older)
        assert received(ns) == older
        with trace(ns) as tracer:
            client.do("hold", address=ADDRESS, port=PORT, count=count)
            sysctl(ns, "tcp_syncookies", 1)
            client.do("hold", address=ADDRESS, port=PORT, count=count)
            records = stop_after(tracer, 4 * count)
    assert received(ns) == older + count
    assert sum(r["syncookie"] for r in passive(records)) == count


def test_the_sums_count_them_as_the_kernel_does_and_say_so(ns: Namespace, client: Program) -> None:
    count = 101
    sysctl(ns, "tcp_syncookies", 2)
    with server_in(ns), Tracer("handshakes", "--netns", ns.name) as tracer:
        with Tracer("handshakes", "--netns", ns.name, json=False) as table:
            client.do("hold", address=ADDRESS, port=PORT, count=count)
            table.stop()
        records = tracer.stop()
    (one,) = (r for r in records if r.get("role") == "passive")
    assert (one["syncookies"], one["latency_us"], one["rtt_us"]) == (count, None, None)
    proof = {r["counter"]: r["explained"] for r in records if r["kind"] == "reconciliation"}
    assert proof["SyncookiesRecv"] == received(ns) == count
    (line,) = (line for line in table.stdout.splitlines() if "SYN cookie" in line)
    assert line.startswith(f"{ADDRESS}  {count} finished by a SYN cookie")


@pytest.mark.parametrize(
    "timestamps", [pytest.param(0, marks=pytest.mark.guest("unrecorded", "raw_tp")), 1]
)
def test_good_cookies_that_find_the_accept_queue_full_are_counted_live_and_replayed(
    ns: Namespace, client: Program, tmp_path: Path, timestamps: int
) -> None:
    """Before those that do make a connection, between them, and after them."""
    count, backlog, kept = 7, 10, tmp_path / "kept"
    sysctl(ns, "tcp_syncookies", 2)
    sysctl(ns, "tcp_timestamps", timestamps)
    add_silent_host(ns)
    client.do("watch", device="far")
    with Program("tt-server", ns.enter) as server:
        server.do("bind", name="l", address=NEAR, port=PORT)
        server.do("listen", name="l", backlog=backlog)
        calls = {"source": SILENT, "address": NEAR, "port": PORT}
        with (
            Tracer("handshakes", "--netns", ns.name, "-w", str(kept)) as tracer,
            Tracer("handshakes", "--netns", ns.name, json=False) as table,
        ):
            for turn in range(2):
                first = FIRST + turn * count
                client.do("send_syns", **calls, first=first, count=count)
                client.do("hold", address=NEAR, port=PORT, count=backlog + 1)
                client.do("send_acks", **calls, first=first, count=count)
                server.do("accept_waiting", listener="l")
            wait_until(lambda: received(ns) == 2 * (backlog + 1 + count), "all cookies")
            table.stop()
            records = tracer.stop()
    line = [*COMMAND, "handshakes", "-r", str(kept), "-j"]
    again = checked(subprocess.check_output(line, text=True, cwd=ROOT).splitlines())
    for told in (records, again):
        proof = {
            r["counter"]: (r["kernel"], r["unexplained"])
            for r in told
            if r["kind"] == "reconciliation"
        }
        assert proof["SyncookiesRecv"] == (received(ns), 0)
        assert {left for _, left in proof.values()} == {0}
        (one,) = (r for r in told if r.get("role") == "passive")
        assert one["syncookies"] == one["attempts"] == 2 * (backlog + 1)
    assert f"of SyncookiesRecv {2 * count} were good and made no connection" in table.stdout
