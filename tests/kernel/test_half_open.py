"""Handshakes that end in a listener's SYN queue, or wait there, are told with their outcome."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.harness import Namespace, Record, Tracer, wait_until
from tests.programs.driver import Program
from tests.programs.places import NEAR, PORT, SILENT, server_in
from tests.programs.reading import stop_after, told

pytestmark = [pytest.mark.kernel, pytest.mark.timers]

FIRST = 20001  # port of the first caller that is not there
FIRST_RTO_US = 1_000_000  # TCP_TIMEOUT_INIT, include/net/tcp.h


@pytest.fixture
def server(ns: Namespace) -> Iterator[Program]:
    with server_in(ns, address=NEAR) as made:
        yield made


@pytest.fixture
def caller(ns: Namespace) -> Iterator[Program]:
    """Sends packets from a host that is not there: what is answered goes nowhere."""
    with Program("tt-caller", ns.enter) as made:
        made.do("watch", device="far")
        yield made


def trace(ns: Namespace) -> Tracer:
    return Tracer("events", "--kind", "handshake", "--netns", ns.name)


def answers(ns: Namespace, count: int) -> None:
    """How often a SYN-ACK is sent again before the request is let go of."""
    ns.run("sysctl", "-qw", f"net.ipv4.tcp_synack_retries={count}")


def half_open(ns: Namespace) -> int:
    return len(ns.run("ss", "-Htn", "state", "syn-recv").splitlines())


def call(caller: Program, what: str, count: int, first: int = FIRST) -> None:
    where = {"source": SILENT, "address": NEAR, "port": PORT}
    caller.do(what, **where, first=first, count=count)


def callers(records: list[Record]) -> set[int]:
    return {r["rport"] for r in records}


@pytest.mark.guest("request", "tp_btf")
@pytest.mark.parametrize("retries", [0, 1])
def test_a_syn_ack_that_nobody_answers_is_told_as_syn_ack_timeout(
    ns: Namespace, server: Program, caller: Program, retries: int
) -> None:
    count = 13
    answers(ns, retries)
    with trace(ns) as tracer:
        call(caller, "send_syns", count)
        records = stop_after(tracer, count)
        counters = ns.counters()
    assert told(records) == [("passive", "syn_ack_timeout", None)] * count
    assert callers(records) == set(range(FIRST, FIRST + count))
    assert {(r["raddr"], r["laddr"], r["lport"]) for r in records} == {(SILENT, NEAR, PORT)}
    assert {(r["pid"], r["owner_is"]) for r in records} == {(server.pid, "listener")}
    assert {r["syn_retransmits"] for r in records} == {retries}
    assert counters["TcpExtTCPSynRetrans"] == retries * count
    assert {r["latency_from"] for r in records} == {"synack"}
    least = FIRST_RTO_US * (2 ** (retries + 1) - 1)
    assert all(0.9 * least < r["latency_us"] < 1.6 * least + FIRST_RTO_US for r in records)
    assert half_open(ns) == 0


def test_a_final_ack_that_finds_the_accept_queue_full_is_told_as_queue_full(
    ns: Namespace, server: Program, caller: Program
) -> None:
    count, backlog = 7, 10
    answers(ns, 0)
    server.do("listen", name="l", backlog=backlog)
    with trace(ns) as tracer:
        call(caller, "send_syns", count)
        caller.do("hold", address=NEAR, port=PORT, count=backlog + 1)
        call(caller, "send_acks", count)
        records = stop_after(tracer, 2 * (backlog + 1) + count)
        counters = ns.counters()
    mine = [r for r in records if r["raddr"] == SILENT]
    assert told(mine) == [("passive", "queue_full", None)] * count
    assert counters["TcpExtListenOverflows"] == count
    assert callers(mine) == set(range(FIRST, FIRST + count))
    assert {r["outcome"] for r in records if r not in mine} == {"ok"}


def test_an_answer_that_defer_accept_waits_past_is_no_full_queue(
    ns: Namespace, server: Program, caller: Program
) -> None:
    count = 3
    answers(ns, 0)
    server.do("defer_accept", name="l", seconds=1)
    with trace(ns) as tracer:
        call(caller, "send_syns", count)
        call(caller, "send_acks", count)
        records = stop_after(tracer, count)
        counters = ns.counters()
    assert counters["TcpExtTCPDeferAcceptDrop"] == count
    assert told(records) == [("passive", "syn_ack_timeout", None)] * count


def test_what_a_listener_leaves_behind_as_it_closes_is_told_as_aborted(
    ns: Namespace, server: Program, caller: Program
) -> None:
    count = 5
    with trace(ns) as tracer:
        call(caller, "send_syns", count)
        wait_until(lambda: half_open(ns) == count, "the SYNs to be taken up")
        server.do("close", name="l")
        records = stop_after(tracer, count)
    assert told(records) == [("passive", "aborted", None)] * count
    assert callers(records) == set(range(FIRST, FIRST + count))


def test_a_handshake_that_is_finished_late_is_told_once_and_as_ok(
    ns: Namespace, server: Program, caller: Program
) -> None:
    """Its timer has run, and has sent the SYN-ACK again."""
    count = 3
    with trace(ns) as tracer:
        call(caller, "send_syns", count)
        again = "the SYN-ACKs to be sent again"
        wait_until(lambda: ns.counters()["TcpExtTCPSynRetrans"] == count, again)
        call(caller, "send_acks", count)
        records = stop_after(tracer, count)
    assert told(records) == [("passive", "ok", None)] * count
    assert {r["syn_retransmits"] for r in records} == {1}


def test_resets_in_the_syn_queue_are_no_attempts_and_nothing_is_left_over(
    ns: Namespace, server: Program, caller: Program
) -> None:
    """No record tells of them, and the proof under the table has them all the same."""
    count, good = 11, 5
    with Tracer("handshakes", "--netns", ns.name) as tracer:
        call(caller, "send_syns", count + good)
        call(caller, "send_acks", good)
        call(caller, "send_resets", count, FIRST + good)
        counters = ns.counters()
        records = tracer.stop()
    assert counters["TcpExtEmbryonicRsts"] == counters["TcpAttemptFails"] == count
    (summary,) = (r for r in records if r["kind"] == "handshake_summary")
    assert (summary["attempts"], summary["pending"], summary["outcomes"]) == (good, 0, {"ok": good})
    proof = {
        r["counter"]: (r["kernel"], r["explained"], r["unexplained"])
        for r in records
        if r["kind"] == "reconciliation"
    }
    assert proof == {"PassiveOpens": (good, good, 0), "EmbryonicRsts": (count, count, 0)}


def test_handshakes_that_a_listener_waits_for_are_pending_with_owner_and_age(
    ns: Namespace, server: Program, caller: Program
) -> None:
    count = 7
    with Tracer("handshakes", "--netns", ns.name, "--by", "pid") as tracer:
        before = time.monotonic()
        call(caller, "send_syns", 1)
        begun = time.monotonic()
        call(caller, "send_syns", count - 1, FIRST + 1)
        wait_until(lambda: half_open(ns) == count, "the SYNs to be taken up")
        stopping = time.monotonic()
        records = tracer.stop()
        stopped = time.monotonic()
    (one,) = (r for r in records if r["kind"] == "handshake_summary")
    assert (one["role"], one["pid"], one["pending"]) == ("passive", server.pid, count)
    assert one["outcomes"] == {}
    assert stopping - begun < one["oldest_pending_us"] / 1e6 < stopped - before


def test_a_handshake_that_began_before_tracing_has_its_age(
    ns: Namespace, server: Program, caller: Program
) -> None:
    """The request knows when its SYN-ACK was sent, traced or not."""
    before = time.monotonic()
    call(caller, "send_syns", 1)
    wait_until(lambda: half_open(ns) == 1, "the SYN to be taken up")
    begun = time.monotonic()
    with Tracer("handshakes", "--netns", ns.name) as tracer:
        stopping = time.monotonic()
        records = tracer.stop()
        stopped = time.monotonic()
    (one,) = (r for r in records if r["kind"] == "handshake_summary")
    assert one["pending"] == 1
    assert stopping - begun < one["oldest_pending_us"] / 1e6 < stopped - before


def test_the_sums_tell_what_a_listener_gave_up_and_leave_nothing_over(
    ns: Namespace, server: Program, caller: Program
) -> None:
    count, good = 5, 3
    answers(ns, 1)
    with (
        Tracer("handshakes", "--netns", ns.name) as tracer,
        Tracer("handshakes", "--netns", ns.name, json=False) as table,
    ):
        call(caller, "send_syns", count + good)
        call(caller, "send_acks", good)
        wait_until(lambda: half_open(ns) == count, "some to be finished")
        wait_until(lambda: half_open(ns) == 0, "the others to be let go of")
        counters = ns.counters()
        table.stop()
        records = tracer.stop()
    (one,) = (r for r in records if r["kind"] == "handshake_summary")
    assert (one["attempts"], one["pending"]) == (count + good, 0)
    assert one["outcomes"] == {"ok": good, "syn_ack_timeout": count}
    proof = {
        r["counter"]: (r["kernel"], r["unexplained"])
        for r in records
        if r["kind"] == "reconciliation"
    }
    assert proof == {"PassiveOpens": (good, 0), "TCPSynRetrans": (count, 0)}
    assert counters["TcpExtTCPSynRetrans"] == count
    (line,) = (line for line in table.stdout.splitlines() if "no answer to the SYN-ACK" in line)
    assert line.startswith(f"{SILENT}  {count} had no answer to the SYN-ACK for ")
    assert line.endswith("(1 SYN-ACK each sent again)")


def _records_of_a_dropped_syn(ns: Namespace, caller: Program) -> tuple[list[Record], int, int]:
    """What is told, and the ports of the one that came at once and of the one that had to wait."""
    before = ns.counters()["TcpExtListenOverflows"]
    with Program("tt-server", ns.enter) as server:
        server.do("bind", name="l", address=NEAR, port=PORT)
        server.do("listen", name="l", backlog=0)
        kinds = ["--kind", "handshake,syn_drop"]
        with Tracer("events", *kinds, "--netns", ns.name) as tracer:
            plain = caller.do("connect", name="a", address=NEAR, port=PORT)["port"]
            late = caller.do("begin", name="b", address=NEAR, port=PORT)["port"]
            dropped = "the SYN to be dropped"
            wait_until(lambda: ns.counters()["TcpExtListenOverflows"] > before, dropped)
            server.do("accept_waiting", listener="l")
            assert caller.do("settle", name="b")["error"] == "OK"
            return stop_after(tracer, 5), plain, late


def test_an_attempt_whose_syn_was_dropped_here_says_why_on_both_sides(
    ns: Namespace, caller: Program
) -> None:
    records, plain, late = _records_of_a_dropped_syn(ns, caller)
    found = {
        (r["role"], r["lport"] if r["role"] == "active" else r["rport"]): r["local_reason"]
        for r in records
        if r["kind"] == "handshake"
    }
    assert found == {
        ("active", plain): None,
        ("passive", plain): None,
        ("active", late): "accept_queue_full",
        ("passive", late): "accept_queue_full",
    }
