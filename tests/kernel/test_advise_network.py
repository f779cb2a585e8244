"""`advise` of connects that fail, of losses, of what is thrown away here, of full tables."""

from __future__ import annotations

import pytest

from tests.harness import Namespace
from tests.programs.advising import advising, told
from tests.programs.crafted import SYN, Host
from tests.programs.driver import Program
from tests.programs.losing import DATA, Losing
from tests.programs.places import ADDRESS, PORT, SILENT, server_in

pytestmark = [pytest.mark.kernel, pytest.mark.timers]

CLOSED = PORT + 7
STRANGER = "203.0.113.9"  # there is no route to it
TRACKED = "/proc/net/stat/nf_conntrack"


def test_connects_that_were_refused_are_told_by_process_and_peer(
    ns: Namespace, client: Program
) -> None:
    count = 7
    with server_in(ns), advising(ns) as tracer:
        refused = client.do("hold", address=ADDRESS, port=CLOSED, count=count)["failures"]
        assert client.do("hold", address=ADDRESS, port=PORT, count=count)["failures"] == {}
        (one,) = told(ns, tracer)
    assert refused == {"ECONNREFUSED": count}
    assert (one["id"], one["severity"], one["pid"]) == ("failed-connects", "crit", client.pid)
    assert one["where"].endswith(f" -> {ADDRESS}:{CLOSED}")
    numbers = one["evidence"]
    assert (numbers["attempts"], numbers["failed"], numbers["refused"]) == (count, count, count)
    assert any(f"sport = :{CLOSED}" in text for text in one["fix"])


def test_connects_that_nobody_answered_say_how_often_they_were_tried_again(
    ns: Namespace, client: Program
) -> None:
    count = 4
    with advising(ns) as tracer:
        client.do("time_out", address=SILENT, port=PORT, count=count, limit_ms=1200)
        (one,) = told(ns, tracer)
    assert (one["id"], one["severity"], one["pid"]) == ("failed-connects", "crit", client.pid)
    numbers = one["evidence"]
    assert (numbers["timeout"], numbers["refused"]) == (count, 0)
    assert numbers["syns_sent_again"] == ns.counters()["TcpExtTCPSynRetrans"] >= count
    assert "ETIMEDOUT" in one["meaning"]


def test_segments_sent_again_are_told_as_a_share_of_what_was_sent(
    ns: Namespace, client: Program
) -> None:
    size, times, of = 101, 500, 10
    with server_in(ns) as server, advising(ns) as tracer:
        client.do("connect", name="c", address=ADDRESS, port=PORT)
        server.do("accept", name="s", listener="l")
        losing = Losing(ns)
        losing.lose(f"tcp dport {PORT} {DATA}", count=1, every=of)
        client.do("send_each", name="c", count=size, times=times)
        assert server.do("receive", name="s", count=size * times)["bytes"] == size * times
        losing.stop()
        found = {one["id"]: one for one in told(ns, tracer)}
        counters = ns.counters()  # before the two say that they close
    one = found["retransmits"]
    assert (one["id"], one["severity"]) == ("retransmits", "warn")
    numbers = one["evidence"]
    again = counters["TcpRetransSegs"] - counters["TcpExtTCPSynRetrans"]
    assert numbers["sent_again"] == again > 0
    assert numbers["sent"] == counters["TcpOutSegs"] + again
    assert numbers["timeouts"] == counters["TcpExtTCPTimeouts"]


def test_connections_that_found_no_room_for_time_wait_are_counted(
    ns: Namespace, client: Program
) -> None:
    count, room = 50, 5
    ns.run("sysctl", "-qw", f"net.ipv4.tcp_max_tw_buckets={room}")
    with server_in(ns) as server:
        server.tell("serve", listener="l")
        with advising(ns) as tracer:
            client.do("call", address=ADDRESS, port=PORT, count=count)
            (one,) = told(ns, tracer)
        server.stop()
        counted = ns.counters()
    assert (one["id"], one["severity"]) == ("time-wait", "warn")
    numbers = one["evidence"]
    begun = room + sum(counted[f"TcpExt{name}"] for name in ("TW", "TWRecycled", "TWKilled"))
    assert numbers["overflows"] == ns.counters()["TcpExtTCPTimeWaitOverflow"] > 0
    assert numbers["tcp_max_tw_buckets"] == room
    assert numbers["closed_first_by"] == f"tt-client[{client.pid}]"
    assert numbers["closed_first"] == numbers["time_wait"] == room
    assert begun >= room
    assert numbers["time_wait_per_s"] == pytest.approx(begun * 1e6 / one["span_us"], abs=0.1)
    assert f"sysctl -w net.ipv4.tcp_max_tw_buckets={2 * room}" in one["fix"]


def test_packets_that_the_host_threw_away_are_told_by_the_kernels_own_counters(
    ns: Namespace,
) -> None:
    strange, broken = 13, 7
    ns.run("sysctl", "-qw", "net.ipv4.conf.near.rp_filter=1")
    with Host(ns) as host, advising(ns) as tracer:
        for i in range(strange):
            host.send(SYN, 20000 + i, source=STRANGER)
        for i in range(broken):
            host.send(SYN, 30000 + i, good=False)
        (one,) = told(ns, tracer)
    assert (one["id"], one["severity"]) == ("dropped-here", "warn")
    numbers, counters = one["evidence"], ns.counters()
    assert numbers["IPReversePathFilter"] == counters["TcpExtIPReversePathFilter"] == strange
    assert numbers["InCsumErrors"] == counters["TcpInCsumErrors"] == broken
    assert f"IP_RPFILTER {strange}" in numbers["text"]
    assert f"TCP_CSUM {broken}" in numbers["text"]
    assert "tcptrace explain IPReversePathFilter" in one["see"]


def test_frames_that_a_device_threw_away_are_told_by_its_own_counter(ns: Namespace) -> None:
    count = 23
    with Host(ns) as host, advising(ns) as tracer:
        for _ in range(count):
            host.send_unknown()
        (one,) = told(ns, tracer)
    dropped = int(ns.run("cat", "/sys/class/net/near/statistics/rx_dropped"))
    assert (one["id"], one["severity"]) == ("lost-before", "info")
    assert one["where"] == f"near of network namespace {ns.inode}"
    assert one["evidence"]["lost_rx_dropped"] == dropped == count


def test_connections_in_use_that_a_peer_resets_are_told_and_those_that_it_closes_are_not(
    ns: Namespace, client: Program
) -> None:
    broken, closed = 11, 13
    with server_in(ns) as server, advising(ns) as tracer:
        for i in range(broken + closed):
            client.do("connect", name="c", address=ADDRESS, port=PORT)
            server.do("accept", name="s", listener="l")
            client.do("send", name="c", count=10)
            server.do("receive", name="s", count=10)
            server.do("reset" if i < broken else "close", name="s")
            client.do("close", name="c")
        (one,) = told(ns, tracer)
        counted = ns.counters()["TcpOutRsts"]
    assert (one["id"], one["severity"], one["pid"]) == ("resets", "warn", client.pid)
    assert one["evidence"]["resets_received"] == counted == broken


def test_answers_that_may_be_lost_as_requests_were_not_read_are_worth_a_word(
    ns: Namespace, client: Program
) -> None:
    unread, read = 11, 13
    with server_in(ns) as server, advising(ns) as tracer:
        for i in range(unread + read):
            client.do("connect", name="c", address=ADDRESS, port=PORT)
            server.do("accept", name="s", listener="l")
            client.do("send", name="c", count=10)
            if i >= unread:
                server.do("receive", name="s", count=10)
            server.do("close", name="s")
            client.do("close", name="c")
        found = {one["pid"]: one for one in told(ns, tracer)}
        counted = ns.counters()["TcpExtTCPAbortOnClose"]
    assert {one["id"] for one in found.values()} == {"resets"}
    one = found[server.pid]
    assert (one["severity"], one["evidence"]["closed_unread"]) == ("info", unread)
    assert counted == unread == found[client.pid]["evidence"]["resets_received"]


# --- connection tracking ------------------------------------------------------------


def test_a_table_of_connection_tracking_that_fills_up_and_is_full_is_told(
    ns: Namespace, client: Program
) -> None:
    """The limit is the machine's; each namespace may have as many."""
    most = int(ns.run("sysctl", "-n", "net.netfilter.nf_conntrack_max"))
    near, over = most * 92 // 100, most * 5 // 100  # from 95 % on the kernel makes room by itself
    ns.run("nft", "add", "table", "inet", "tracking")
    hook = "{ type filter hook output priority 0; }"
    ns.run("nft", "add", "chain", "inet", "tracking", "out", hook)
    ns.run("nft", "add", "rule", "inet", "tracking", "out", "ct", "state", "invalid", "counter")
    ns.run("sysctl", "-qw", "net.netfilter.nf_conntrack_udp_timeout=600")
    assert client.do("send_from_many", address=ADDRESS, first=0, count=near)["sent"] == near
    with advising(ns) as tracer:
        (one,) = told(ns, tracer)
    counted = int(ns.run("sysctl", "-n", "net.netfilter.nf_conntrack_count"))
    assert (one["id"], one["severity"]) == ("conntrack", "warn")
    assert (one["evidence"]["entries"], one["evidence"]["max"]) == (counted, most)
    assert near <= counted < near + 10
    with advising(ns) as tracer:
        more = most + over - near
        sent = client.do("send_from_many", address=ADDRESS, first=near, count=more)["sent"]
        (one,) = told(ns, tracer)
    names, *lines = (line.split() for line in ns.run("cat", TRACKED).splitlines())
    forgotten = sum(int(line[names.index("early_drop")], 16) for line in lines)
    assert one["id"] == "conntrack"
    assert one["title"].startswith("the table of connection tracking was full in ")
    assert 0 < one["evidence"]["conntrack_early_drop"] <= forgotten
    assert one["evidence"]["conntrack_drop"] == more - sent
