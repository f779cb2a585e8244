"""`advise` of a server's SYN queue, its descriptors, and of what it does not read."""

from __future__ import annotations

import pytest

from tests.harness import Namespace
from tests.programs.advising import advising, told
from tests.programs.driver import Program
from tests.programs.places import NEAR, PORT, SILENT

pytestmark = pytest.mark.kernel

FIRST, SYNS, BACKLOG = 20000, 101, 8
HELD_SYNS = BACKLOG + 1  # the kernel lets in one more than the limit
FAILED, HELD = 5, 3


def send_syns(client: Program) -> None:
    client.do("send_syns", source=SILENT, address=NEAR, port=PORT, first=FIRST, count=SYNS)


def finish(server: Program, client: Program, first: int) -> None:
    """The last ACKs of as many handshakes as the queue holds, and their accept()."""
    client.do("send_acks", source=SILENT, address=NEAR, port=PORT, first=first, count=BACKLOG)
    server.do("accept_some", listener="l", count=BACKLOG)


# --- SYN queues -------------------------------------------------------------------


@pytest.mark.parametrize("kept_by", ["its own limit", "tcp_max_syn_backlog"])
def test_syns_dropped_for_a_full_syn_queue_are_told_by_the_limit_that_binds(
    ns: Namespace, server: Program, client: Program, kept_by: str
) -> None:
    ns.run("sysctl", "-qw", "net.ipv4.tcp_syncookies=0")
    reserve = kept_by == "tcp_max_syn_backlog"
    if reserve:
        ns.run("sysctl", "-qw", "net.ipv4.tcp_max_syn_backlog=32")
    server.do("listen", name="l", backlog=1000 if reserve else BACKLOG)
    with advising(ns) as tracer:
        send_syns(client)
        (one,) = told(ns, tracer)
    numbers, counters = one["evidence"], ns.counters()
    assert (one["id"], one["severity"], one["pid"]) == ("syn-queue-full", "crit", server.pid)
    dropped = numbers["dropped_full"] + numbers["dropped_reserve"]
    assert dropped == counters["TcpExtListenDrops" if reserve else "TcpExtTCPReqQFullDrop"]
    assert numbers["dropped_reserve" if reserve else "dropped_full"] == dropped > 0
    assert numbers["queue_peak"] == SYNS - dropped
    assert one["fix"][0].startswith("sysctl -w net.ipv4.tcp_syncookies=1")
    assert any("tcp_max_syn_backlog" in text for text in one["fix"]) == reserve


def test_cookies_sent_to_who_never_answers_are_told_as_a_flood(
    ns: Namespace, server: Program, client: Program
) -> None:
    server.do("listen", name="l", backlog=BACKLOG)
    with advising(ns) as tracer:
        send_syns(client)
        (one,) = told(ns, tracer)
    assert (one["id"], one["severity"]) == ("syn-queue-full", "warn")
    assert one["evidence"]["cookies_sent"] == ns.counters()["TcpExtSyncookiesSent"] > 0
    assert "a flood" in one["meaning"]


def test_clients_that_fill_the_syn_queue_and_finish_are_told_from_a_flood(
    ns: Namespace, server: Program, client: Program
) -> None:
    count = 5 * BACKLOG
    server.do("listen", name="l", backlog=BACKLOG)
    with advising(ns) as tracer:
        client.do("send_syns", source=SILENT, address=NEAR, port=PORT, first=FIRST, count=count)
        for first in range(FIRST, FIRST + count, BACKLOG):
            finish(server, client, first)
        (one,) = told(ns, tracer)
    counters = ns.counters()
    assert (one["id"], one["severity"], one["pid"]) == ("syn-queue-full", "info", server.pid)
    numbers = one["evidence"]
    assert numbers["cookies_sent"] == counters["TcpExtSyncookiesSent"] == count - HELD_SYNS
    assert numbers["finished"] == counters["TcpPassiveOpens"] == count
    assert numbers["dropped_full"] == counters["TcpExtTCPReqQFullDrop"] == 0
    assert one["meaning"].startswith("clients that mean it")
    assert "nobody was turned away" in str(one["fix"])


def test_clients_that_are_turned_away_for_want_of_cookies_and_come_again_need_a_longer_queue(
    ns: Namespace, server: Program, client: Program
) -> None:
    ns.run("sysctl", "-qw", "net.ipv4.tcp_syncookies=0")
    server.do("listen", name="l", backlog=BACKLOG)
    with advising(ns) as tracer:
        for first, count in ((FIRST, 2 * BACKLOG), (FIRST + BACKLOG, BACKLOG)):
            client.do("send_syns", source=SILENT, address=NEAR, port=PORT, first=first, count=count)
            finish(server, client, first)
        (one,) = told(ns, tracer)
    counters = ns.counters()
    assert (one["id"], one["severity"], one["pid"]) == ("syn-queue-full", "crit", server.pid)
    numbers = one["evidence"]
    assert numbers["dropped_full"] == counters["TcpExtTCPReqQFullDrop"] == 2 * BACKLOG - HELD_SYNS
    assert numbers["finished"] == counters["TcpPassiveOpens"] == 2 * BACKLOG
    assert one["meaning"].startswith("clients that mean it")
    assert f"or a longer queue: listen() with more than {BACKLOG}" in one["fix"]


# --- descriptors ------------------------------------------------------------------


def test_accepts_that_found_no_descriptor_are_told_with_how_many_there_may_be(
    ns: Namespace, server: Program, client: Program
) -> None:
    server.do("listen", name="l", backlog=BACKLOG)
    with advising(ns) as tracer:
        assert client.do("hold", address=NEAR, port=PORT, count=HELD)["failures"] == {}
        said = server.do("accept_without_room", listener="l", count=FAILED, keep=True)
        (one,) = told(ns, tracer)
    assert said["failed"] == ["EMFILE"] * FAILED
    assert (one["id"], one["severity"], one["pid"]) == ("descriptors", "crit", server.pid)
    numbers = one["evidence"]
    assert (numbers["failed"], numbers["errno"]) == (FAILED, "EMFILE")
    assert numbers["descriptors"] == numbers["descriptors_max"] == said["limit"]
    assert f"at once: prlimit --pid {server.pid} --nofile={2 * said['limit']}" in one["fix"]


# --- what is not read -------------------------------------------------------------


def test_who_reads_nothing_is_told_and_who_reads_some_is_not(
    ns: Namespace, server: Program, client: Program
) -> None:
    server.do("listen", name="l", backlog=BACKLOG)
    for name in ("read", "unread"):
        client.do("connect", name=name, address=NEAR, port=PORT)
        server.do("accept", name=name, listener="l")
        client.do("send", name=name, count=50_000)
        server.do("receive", name=name, count=10_000)
    with advising(ns) as tracer:
        server.do("receive", name="read", count=1000)
        client.do("send", name="unread", count=77)
        (one,) = told(ns, tracer)
    assert (one["id"], one["severity"], one["pid"]) == ("not-reading", "warn", server.pid)
    numbers = one["evidence"]
    assert (numbers["connections"], numbers["grown_bytes"]) == (1, 77)
    queue = ns.run("ss", "-Htn", "state", "established", f"sport = :{PORT}").split()
    assert numbers["unread_bytes"] == numbers["largest_bytes"] == 50_000 - 10_000 + 77
    assert str(numbers["unread_bytes"]) in queue


# --- what may not be sent ---------------------------------------------------------


def test_who_sends_to_one_that_reads_nothing_is_held_up_by_the_peers_window(
    ns: Namespace, server: Program, client: Program
) -> None:
    server.do("listen", name="l", backlog=BACKLOG)
    client.do("connect", name="c", address=NEAR, port=PORT)
    server.do("accept", name="s", listener="l")
    client.do("send_what_fits", name="c")
    with advising(ns) as tracer:
        found = {one["id"]: one for one in told(ns, tracer)}
    assert found.keys() == {"not-reading", "held-back"}
    held, unread = found["held-back"], found["not-reading"]
    assert (held["severity"], held["pid"], unread["pid"]) == ("warn", client.pid, server.pid)
    numbers = held["evidence"]
    assert (numbers["held_by"], numbers["connections"]) == ("rwnd", 1)
    assert 0.9 * held["span_us"] <= numbers["limited_s"] * 1e6 <= 1.1 * held["span_us"]
    assert numbers["bytes_per_s"] == 0
    of_client = ns.run("ss", "-Htni", "state", "established", f"dport = :{PORT}")
    assert "rwnd_limited:" in of_client
    assert "the peer does not read" in held["meaning"]


def test_who_sends_much_and_has_nothing_to_send_for_most_of_the_time_waits_for_itself(
    ns: Namespace, server: Program, client: Program
) -> None:
    """Another connection of its is idle, and no finding."""
    piece, every_s = 200_000, 0.05
    server.do("listen", name="l", backlog=BACKLOG)
    for name in ("idle", "busy"):
        client.do("connect", name=name, address=NEAR, port=PORT)
        server.do("accept", name=name, listener="l")
    server.tell("drain", name="busy")
    client.tell("trickle", name="busy", count=piece, every_s=every_s)
    with advising(ns) as tracer:
        (one,) = told(ns, tracer)
    of_client = ns.run("ss", "-Htni", "state", "established", f"dport = :{PORT}")
    client.stop()
    client.do("close", name="busy")
    came = server.answer()
    assert (one["id"], one["severity"], one["pid"]) == ("held-back", "info", client.pid)
    numbers = one["evidence"]
    assert (numbers["held_by"], numbers["connections"]) == ("application", 1)
    assert 0.5 * one["span_us"] <= numbers["limited_s"] * 1e6 <= 1.1 * one["span_us"]
    assert numbers["bytes_per_s"] == pytest.approx(came["bytes"] / came["seconds"], rel=0.3)
    assert "busy:" in of_client
    assert "rwnd_limited:" not in of_client


def test_small_requests_and_idle_connections_are_not_said_to_wait_for_themselves(
    ns: Namespace, server: Program, client: Program
) -> None:
    server.do("listen", name="l", backlog=BACKLOG)
    for name in ("idle", "asks"):
        client.do("connect", name=name, address=NEAR, port=PORT)
        server.do("accept", name=name, listener="l")
    server.tell("drain", name="asks")
    client.tell("trickle", name="asks", count=1000, every_s=0.01)
    with advising(ns) as tracer:
        assert told(ns, tracer) == []
    client.stop()
    client.do("close", name="asks")
    assert server.answer()["bytes"] > 10_000
