"""What is told of a handshake's latency is what a capture of its packets shows.

The claim is one of time, on a quiet machine: within 50 us in the median, 500 us at the 99th
percentile. A machine that tests run on is not always quiet, and a packet that was made to wait
between the device and TCP says nothing about the tracer. So there are up to three rounds, each
whole and with all its connections, and one of them must hold for both roles; what does not depend
on time, that every connection is told once and how often a packet was sent, must hold in each.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

import pytest

from tests.harness import Namespace, Record, Tracer, namespace
from tests.programs.capture import Moments, Packet, capture, moments
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, CALLED, PORT, server_in, slow_link
from tests.programs.reading import stop_after

pytestmark = pytest.mark.kernel

MEDIAN_US, TAIL_US = 50, 500
ROUNDS = 3
Wrong = dict[str, list[float]]  # by role: what was told less what was captured, us


def trace(*spaces: Namespace) -> Tracer:
    names = ",".join(ns.name for ns in spaces)
    return Tracer("events", "--kind", "handshake", "--netns", names)


def latencies(records: list[Record], role: str) -> dict[int, float]:
    """Microseconds by the caller's port; each is told once."""
    side = "lport" if role == "active" else "rport"
    mine = [r for r in records if r["role"] == role]
    found = {r[side]: r["latency_us"] for r in mine}
    assert len(found) == len(mine)
    assert {r["outcome"] for r in mine} == {"ok"}
    return found


def compare(records: list[Record], at_caller: list[Packet], at_called: list[Packet]) -> Wrong:
    """What was told less what each side's own capture shows, connection by connection."""
    wrong = {}
    for role, seen, first, last in (
        ("active", moments(at_caller, PORT, of_caller=True), "syn", "synack"),
        ("passive", moments(at_called, PORT, of_caller=False), "synack", "ack"),
    ):
        told = latencies(records, role)
        assert set(told) == set(seen)
        wrong[role] = [told[port] - us_between(one, first, last) for port, one in seen.items()]
    return wrong


def us_between(one: Moments, first: str, last: str) -> float:
    return (one[last] - one[first]) / 1000


def agree(one_round: Callable[[], Wrong]) -> None:
    """One of the rounds holds, for both roles."""
    found = []
    for _ in range(ROUNDS):
        errors = {role: sorted(map(abs, wrong)) for role, wrong in one_round().items()}
        figures = {
            role: (statistics.median(ones), ones[math.ceil(0.99 * len(ones)) - 1])
            for role, ones in errors.items()
        }
        if all(half <= MEDIAN_US and tail <= TAIL_US for half, tail in figures.values()):
            return
        found.append(figures)
    raise AssertionError(f"median and 99th percentile of |told - captured|, us: {found}")


def test_latency_on_the_loopback_agrees_with_a_capture() -> None:
    count = 211

    def one_round() -> Wrong:
        with (
            namespace() as ns,
            server_in(ns),
            Program("tt-client", ns.enter) as client,
            capture(ns, PORT) as packets,
            trace(ns) as tracer,
        ):
            client.do("hold", address=ADDRESS, port=PORT, count=count)
            records = stop_after(tracer, 2 * count)
        assert len(latencies(records, "active")) == count
        return compare(records, packets, packets)

    agree(one_round)


# --- made slow ------------------------------------------------------------------

LOSSES: list[dict[str, float]] = [
    {"lose_syn": 1},
    {"lose_synack": 1},
    {"lose_syn": 1, "hold_synack_ms": 7},
    {"lose_synack": 1, "hold_ack_ms": 11},
    {"lose_syn": 1, "lose_synack": 1},
]
COUNT = 211
LONGEST_MS = 40


def delays(number: int) -> dict[str, float]:
    """By turns: none, a SYN-ACK that is late, an ACK that is late, both; from 1 to 40 ms."""
    late_ms = 1 + number * 7 % LONGEST_MS
    plan: dict[str, float] = {}
    if number % 4 in (1, 3):
        plan["hold_synack_ms"] = late_ms
    if number % 4 in (2, 3):
        plan["hold_ack_ms"] = LONGEST_MS + 1 - late_ms
    return plan


PLAN = LOSSES + [delays(number) for number in range(COUNT - len(LOSSES))]


def slow_round() -> Wrong:
    with slow_link(PLAN) as path:
        here, there = path.here, path.there
        with (
            server_in(there, address=CALLED),
            Program("tt-client", here.enter) as client,
            capture(here, PORT, "cable") as at_caller,
            capture(there, PORT, "cable") as at_called,
            trace(here, there) as tracer,
        ):
            for name in range(len(LOSSES)):
                client.do("begin", name=str(name), address=CALLED, port=PORT)
            client.do("hold", address=CALLED, port=PORT, count=COUNT - len(LOSSES))
            for name in range(len(LOSSES)):
                assert client.do("settle", name=str(name))["error"] == "OK"
            records = stop_after(tracer, 2 * COUNT)
            counters = [ns.counters() for ns in (here, there)]
    assert list(path.did.values()) == PLAN
    check_what_was_done(records, path.did)
    again = sum(r["syn_retransmits"] for r in records)
    assert again == sum(one["TcpExtTCPSynRetrans"] for one in counters)
    return compare(records, at_caller, at_called)


def check_what_was_done(records: list[Record], did: dict[int, dict[str, float]]) -> None:
    """What the relay did to a connection is in what is told of it."""
    active, passive = latencies(records, "active"), latencies(records, "passive")
    sent = {r["lport"]: r["syn_sent"] for r in records if r["role"] == "active"}
    answered = {r["rport"]: r["syn_sent"] for r in records if r["role"] == "passive"}
    for port, done in did.items():
        assert active[port] >= done.get("hold_synack_ms", 0) * 1000
        assert passive[port] >= done.get("hold_ack_ms", 0) * 1000
        # the kernel's first wait, TCP_TIMEOUT_INIT, is a second; after a SYN-ACK is lost either
        # side may be the first to send again
        if "lose_syn" in done:
            assert sent[port] > 1
        if "lose_synack" in done:
            assert answered[port] > 1
            assert passive[port] > 900_000
        if "lose_syn" in done or "lose_synack" in done:
            assert active[port] > 900_000
        else:
            assert (sent[port], answered[port]) == (1, 1)


def test_latency_of_handshakes_made_slow_agrees_with_a_capture_on_each_side() -> None:
    agree(slow_round)
