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


@pytest.mark.guest
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
        (one,) = told(ns, tracer)
        counters = ns.counters()  # before the two say that they close
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
    assert (one["id"], one["severity"]) == ("time-wait", "warn")
    numbers = one["evidence"]
    assert numbers["overflows"] == ns.counters()["TcpExtTCPTimeWaitOverflow"] > 0
    assert numbers["tcp_max_tw_buckets"] == room
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
    assert "tcptrace explain IPReversePathFilter" in one["see"]
