"""Every attempt to connect ends in one `handshake` record that says how, and how long it took."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.harness import Namespace, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import (
    ADDRESS,
    CALLED,
    PORT,
    SHUT_PORT,
    SILENT,
    add_silent_host,
    answering,
    link,
    packets_waiting,
    server_in,
)
from tests.programs.reading import only, stop_after, told

pytestmark = [pytest.mark.kernel, pytest.mark.timers]

UNROUTED, REJECTED, ABSENT = "10.97.0.1", "10.96.0.1", "10.99.0.3"


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


def opened(ns: Namespace) -> int:
    return ns.counters()["TcpActiveOpens"]


def find_nobody(ns: Namespace) -> None:
    """Give up soon where the link does not know a host: ABSENT is not there."""
    for name, value in (("retrans_time_ms", 50), ("mcast_solicit", 1)):
        ns.run("sysctl", "-qw", f"net.ipv4.neigh.near.{name}={value}")


# --- one attempt, one record ------------------------------------------------------


@pytest.mark.parametrize("address", [pytest.param(ADDRESS, marks=pytest.mark.guest), "::1"])
def test_a_connection_is_told_once_by_each_side(
    ns: Namespace, client: Program, address: str
) -> None:
    with server_in(ns, address=address) as server, trace(ns) as tracer:
        port = client.do("connect", name="c", address=address, port=PORT)["port"]
        records = stop_after(tracer, 2)
    by_role = {r["role"]: r for r in records}
    active, passive = by_role["active"], by_role["passive"]
    assert (active["outcome"], active["pid"], active["lport"]) == ("ok", client.pid, port)
    assert (passive["outcome"], passive["pid"], passive["rport"]) == ("ok", server.pid, port)
    assert (active["latency_from"], passive["latency_from"]) == ("syn", "synack")
    assert passive["owner_is"] == "listener"
    assert {(r["syn_sent"], r["syn_retransmits"], r["errno"]) for r in records} == {(1, 0, None)}


def test_a_refused_attempt_is_told_once_blocking_or_not(ns: Namespace, client: Program) -> None:
    with trace(ns) as tracer:
        assert client.attempt("connect", name="a", address=ADDRESS, port=SHUT_PORT)["errno"]
        client.do("begin", name="b", address=ADDRESS, port=SHUT_PORT)
        assert client.do("settle", name="b")["error"] == "ECONNREFUSED"
        records = stop_after(tracer, 2)
    assert told(records) == [("active", "refused", "ECONNREFUSED")] * 2
    assert all(r["syn_sent"] == 1 and r["latency_us"] > 0 for r in records)
    assert {r["pid"] for r in records} == {client.pid}


def test_an_error_that_connect_tells_again_is_no_second_attempt(
    ns: Namespace, client: Program
) -> None:
    with trace(ns) as tracer:
        client.do("begin", name="c", address=ADDRESS, port=SHUT_PORT)
        client.do("wait_writable", name="c")
        again = client.do("again", name="c", address=ADDRESS, port=SHUT_PORT)
        assert again["said"] == "ECONNREFUSED"
        client.do("close", name="c")
        client.attempt("connect", name="d", address=ADDRESS, port=SHUT_PORT)
        records = stop_after(tracer, 2)
    assert told(records) == [("active", "refused", "ECONNREFUSED")] * 2
    assert opened(ns) == 2


def test_an_error_that_was_asked_for_before_is_no_second_attempt(
    ns: Namespace, client: Program
) -> None:
    """Once SO_ERROR has been read, connect() answers ECONNABORTED."""
    with trace(ns) as tracer:
        client.do("begin", name="c", address=ADDRESS, port=SHUT_PORT)
        assert client.do("settle", name="c")["error"] == "ECONNREFUSED"
        again = client.do("again", name="c", address=ADDRESS, port=SHUT_PORT)
        assert again["said"] == "ECONNABORTED"
        client.attempt("connect", name="d", address=ADDRESS, port=SHUT_PORT)
        records = stop_after(tracer, 2)
    assert told(records) == [("active", "refused", "ECONNREFUSED")] * 2
    assert opened(ns) == 2


def test_an_error_that_was_told_hides_no_later_attempt_of_the_same_socket(
    ns: Namespace, client: Program
) -> None:
    """Let go of by connect() to nowhere, the socket never hears of the first from connect()."""
    add_silent_host(ns)
    find_nobody(ns)
    ns.run("ip", "route", "add", "unreachable", REJECTED)
    with trace(ns) as tracer:
        client.do("begin", name="c", address=ABSENT, port=PORT)
        assert client.do("settle", name="c")["error"] == "EHOSTUNREACH"
        client.do("give_up_by_connect", name="c")
        assert client.do("again", name="c", address=REJECTED, port=PORT)["said"] == "EHOSTUNREACH"
        records = stop_after(tracer, 2)
    assert told(records) == [("active", "unreachable", "EHOSTUNREACH")] * 2
    assert [(r["raddr"], r["syn_sent"]) for r in records] == [(ABSENT, 1), (REJECTED, 0)]
    assert opened(ns) == 1


def test_one_socket_that_is_refused_twice_and_asked_in_between_is_two_attempts(
    ns: Namespace, client: Program
) -> None:
    with trace(ns) as tracer:
        for _ in range(2):
            client.do("begin", name="c", address=ADDRESS, port=SHUT_PORT)
            assert client.do("settle", name="c")["error"] == "ECONNREFUSED"
            # how the kernel ends an attempt that was asked about: no attempt of its own
            said = client.do("again", name="c", address=ADDRESS, port=SHUT_PORT)["said"]
            assert said == "ECONNABORTED"
        records = stop_after(tracer, 2)
    assert told(records) == [("active", "refused", "ECONNREFUSED")] * 2
    assert opened(ns) == 2


def test_one_socket_that_is_refused_and_then_succeeds_is_two_attempts(
    ns: Namespace, client: Program
) -> None:
    with server_in(ns), trace(ns) as tracer:
        client.attempt("connect", name="c", address=ADDRESS, port=SHUT_PORT)
        assert client.do("again", name="c", address=ADDRESS, port=PORT)["said"] == "OK"
        records = [r for r in stop_after(tracer, 3) if r["role"] == "active"]
    assert told(records) == [("active", "refused", "ECONNREFUSED"), ("active", "ok", None)]
    assert records[0]["cookie"] == records[1]["cookie"]
    assert opened(ns) == 2


def test_both_sides_that_call_at_once_are_two_active_attempts(
    ns: Namespace, client: Program
) -> None:
    ports = [client.do("bind", name=name, address=ADDRESS)["port"] for name in "ab"]
    with trace(ns) as tracer:
        with packets_waiting(ns):
            # its SYN is the one packet that is let through
            client.do("begin", name="first", address=ADDRESS, port=SHUT_PORT)
            client.do("begin", name="a", address=ADDRESS, port=ports[1])
            client.do("begin", name="b", address=ADDRESS, port=ports[0])
        for name in "ab":
            assert client.do("settle", name=name)["error"] == "OK"
        records = stop_after(tracer, 3)
    both = [r for r in records if r["lport"] in ports]
    assert told(both) == [("active", "ok", None)] * 2
    assert {(r["lport"], r["rport"]) for r in both} == {tuple(ports), tuple(ports[::-1])}
    assert opened(ns) == 3


def test_a_reset_in_the_middle_of_a_simultaneous_open_is_told_as_reset(
    ns: Namespace, client: Program
) -> None:
    add_silent_host(ns)
    with trace(ns) as tracer:
        with answering(ns, PORT, "syn", "rst"):
            client.do("begin", name="c", address=SILENT, port=PORT)
            assert client.do("settle", name="c")["error"] == "ECONNRESET"
        record = only(stop_after(tracer, 1))
    assert told([record]) == [("active", "reset", "ECONNRESET")]
    assert (record["latency_from"], record["syn_sent"]) == ("syn", 1)


# --- nobody answers ---------------------------------------------------------------


def test_what_the_kernel_gives_up_is_told_as_timeout_with_its_syns(
    ns: Namespace, client: Program
) -> None:
    add_silent_host(ns)
    with trace(ns) as tracer:
        client.do("begin", name="c", address=SILENT, port=PORT, retries=1)
        assert client.do("settle", name="c")["error"] == "ETIMEDOUT"
        record = only(stop_after(tracer, 1))
        counters = ns.counters()
    assert told([record]) == [("active", "timeout", "ETIMEDOUT")]
    # how often, tcp_syn_linear_timeouts has a say in as well
    assert record["syn_retransmits"] == counters["TcpExtTCPSynRetrans"] >= 1
    assert record["syn_sent"] == record["syn_retransmits"] + 1
    assert record["latency_us"] > 1_000_000


def test_what_the_application_gives_up_after_a_full_rto_is_told_as_gave_up(
    ns: Namespace, client: Program
) -> None:
    add_silent_host(ns)
    with trace(ns) as tracer:
        client.do("begin", name="c", address=SILENT, port=PORT)
        assert not client.do("wait_in_vain", name="c", limit_ms=1200)["ended"]
        client.do("close", name="c")
        record = only(stop_after(tracer, 1))
        counters = ns.counters()
    assert told([record]) == [("active", "gave_up", None)]
    assert record["syn_retransmits"] == counters["TcpExtTCPSynRetrans"] == 1
    assert 1_200_000 <= record["latency_us"] < 3_000_000


def test_what_is_closed_before_an_answer_is_due_is_told_as_aborted(
    ns: Namespace, client: Program
) -> None:
    count = 11
    add_silent_host(ns)
    with trace(ns) as tracer:
        client.do("give_up", address=SILENT, port=PORT, count=count)
        records = stop_after(tracer, count)
    assert told(records) == [("active", "aborted", None)] * count
    assert {r["syn_sent"] for r in records} == {1}
    assert opened(ns) == count


def test_an_attempt_whose_process_is_killed_in_connect_is_told_once(ns: Namespace) -> None:
    add_silent_host(ns)
    with Program("tt-killed", ns.enter) as client, trace(ns) as tracer:
        client.tell("connect", name="c", address=SILENT, port=PORT)
        wait_until(lambda: attempts_now(ns), "the SYN to be sent")
        client.kill()
        record = only(stop_after(tracer, 1))
    assert told([record]) == [("active", "aborted", None)]
    assert (record["pid"], record["syn_sent"]) == (client.pid, 1)


def attempts_now(ns: Namespace) -> str:
    return ns.run("ss", "-Htn", "state", "syn-sent")


def test_an_attempt_that_connect_itself_lets_go_of_is_told_once(
    ns: Namespace, client: Program
) -> None:
    add_silent_host(ns)
    with trace(ns) as tracer:
        client.do("begin", name="c", address=SILENT, port=PORT)
        client.do("give_up_by_connect", name="c")
        client.attempt("connect", name="d", address=ADDRESS, port=SHUT_PORT)
        records = stop_after(tracer, 2)
    assert told(records) == [("active", "aborted", None), ("active", "refused", "ECONNREFUSED")]


def test_an_attempt_older_than_the_tracer_ends_with_a_lower_bound_for_its_latency(
    ns: Namespace, client: Program
) -> None:
    add_silent_host(ns)
    before_us = time.monotonic_ns() / 1000
    client.do("begin", name="c", address=SILENT, port=PORT)
    with trace(ns) as tracer:
        traced_us = time.monotonic_ns() / 1000
        client.do("wait_in_vain", name="c", limit_ms=50)
        asked_us = time.monotonic_ns() / 1000
        client.do("close", name="c")
        ended_us = time.monotonic_ns() / 1000
        record = only(stop_after(tracer, 1))
    assert (record["role"], record["latency_us"], record["latency_from"]) == ("active", None, None)
    assert asked_us - traced_us < record["latency_at_least_us"] < ended_us - before_us
    assert record["pid"] == client.pid


# --- no SYN, or no way ------------------------------------------------------------


def test_an_address_without_a_route_is_unreachable_before_a_syn(
    ns: Namespace, client: Program
) -> None:
    ns.run("ip", "route", "add", "unreachable", REJECTED)
    with trace(ns) as tracer:
        for address, error in ((UNROUTED, "ENETUNREACH"), (REJECTED, "EHOSTUNREACH")):
            said = client.attempt("connect", name=address, address=address, port=PORT)
            assert said["errno"] == error
        records = stop_after(tracer, 2)
    assert told(records) == [
        ("active", "unreachable", "ENETUNREACH"),
        ("active", "unreachable", "EHOSTUNREACH"),
    ]
    assert [(r["raddr"], r["rport"]) for r in records] == [(UNROUTED, PORT), (REJECTED, PORT)]
    assert {(r["syn_sent"], r["pid"]) for r in records} == {(0, client.pid)}
    assert opened(ns) == 0


def test_a_host_that_its_link_does_not_find_is_unreachable(ns: Namespace, client: Program) -> None:
    add_silent_host(ns)
    find_nobody(ns)
    with trace(ns) as tracer:
        said = client.attempt("connect", name="c", address=ABSENT, port=PORT)
        record = only(stop_after(tracer, 1))
    assert said["errno"] == "EHOSTUNREACH"
    assert told([record]) == [("active", "unreachable", "EHOSTUNREACH")]
    assert opened(ns) == 1


@pytest.mark.guest
def test_an_attempt_that_gets_no_port_is_told_as_such_and_once(
    ns: Namespace, client: Program
) -> None:
    ns.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=32000 32000")
    with server_in(ns), trace(ns) as tracer:
        client.do("connect", name="a", address=ADDRESS, port=PORT)
        said = client.attempt("connect", name="b", address=ADDRESS, port=PORT)
        assert said["errno"] == "EADDRNOTAVAIL"
        records = [r for r in stop_after(tracer, 3) if r["role"] == "active"]
    assert told(records) == [("active", "ok", None), ("active", "no_port", "EADDRNOTAVAIL")]
    assert [r["syn_sent"] for r in records] == [1, 0]
    assert opened(ns) == 1


def test_a_bound_port_that_is_in_use_to_there_is_told_as_no_port_and_once(
    ns: Namespace, client: Program
) -> None:
    for name in "ab":
        client.do("bind", name=name, address=ADDRESS, port=32001, share=True)
    with server_in(ns), trace(ns) as tracer:
        client.do("begin", name="a", address=ADDRESS, port=PORT)
        said = client.do("begin", name="b", address=ADDRESS, port=PORT)
        assert said["said"] == "EADDRNOTAVAIL"
        records = [r for r in stop_after(tracer, 3) if r["role"] == "active"]
    assert told(records) == [("active", "ok", None), ("active", "no_port", "EADDRNOTAVAIL")]
    assert opened(ns) == 1


def test_what_a_security_module_forbids_is_told_as_denied(ns: Namespace, client: Program) -> None:
    client.do("forbid_connects")
    with trace(ns) as tracer:
        said = client.attempt("connect", name="c", address=ADDRESS, port=PORT)
        assert said["errno"] == "EACCES"
        record = only(stop_after(tracer, 1))
    assert told([record]) == [("active", "denied", "EACCES")]
    assert (record["raddr"], record["rport"], record["syn_sent"]) == (ADDRESS, PORT, 0)
    assert (record["pid"], opened(ns)) == (client.pid, 0)


# --- what is sent again -----------------------------------------------------------


def test_a_lost_syn_is_counted_as_the_kernel_counts_it() -> None:
    with link() as cable, server_in(cable.there, address=CALLED):
        with Program("tt-client", cable.here.enter) as client, trace(cable.here) as tracer:
            cable.cut(cable.here)
            client.do("begin", name="c", address=CALLED, port=PORT)
            cable.mend(cable.here)
            assert client.do("settle", name="c")["error"] == "OK"
            record = only(stop_after(tracer, 1))
        counters = cable.here.counters()
    assert told([record]) == [("active", "ok", None)]
    assert record["syn_retransmits"] == counters["TcpExtTCPSynRetrans"] == 1
    assert record["syn_sent"] == 2
    assert 1_000_000 < record["latency_us"] < 2_000_000
    assert record["rtt_us"] < 500_000  # of the SYN that arrived


def test_a_lost_syn_ack_is_counted_and_timed_from_the_first() -> None:
    with link() as cable, server_in(cable.there, address=CALLED):
        with Program("tt-client", cable.here.enter) as client, trace(cable.there) as tracer:
            cable.cut(cable.there)
            client.do("begin", name="c", address=CALLED, port=PORT)
            waiting = ["ss", "-Htn", "state", "syn-recv"]
            wait_until(lambda: cable.there.run(*waiting), "the SYN to be taken up")
            cable.mend(cable.there)
            assert client.do("settle", name="c")["error"] == "OK"
            record = only(stop_after(tracer, 1))
        counters = cable.there.counters()
    assert told([record]) == [("passive", "ok", None)]
    assert record["syn_retransmits"] == counters["TcpExtTCPSynRetrans"] >= 1
    assert record["syn_sent"] == record["syn_retransmits"] + 1
    assert record["latency_from"] == "synack"
    assert 900_000 < record["latency_us"] < 2_000_000
