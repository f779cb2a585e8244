"""Rules of `advise` about the network: what fails, what is lost, what is full."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tracer.advice import (
    conntrack,
    dropped_here,
    failed_connects,
    held_back,
    lost_before,
    resets,
    retransmits,
    time_wait,
)
from tracer.advice.evidence import (
    Attempted,
    BrokenOff,
    Evidence,
    HeldBack,
    LostBefore,
    Owner,
    Space,
)
from tracer.advice.finding import CRIT, INFO, WARN, Finding
from tracer.advice.rules import RULES, judge

CALLER = Owner("app[99]", 99, "app", (20, 1024))
WATCHED = Evidence(10.0, frozenset(rule.needs for rule in RULES), 10.0)
SPACE = Space(7, "network namespace 7", settings={"tcp_max_tw_buckets": "1000"}, time_wait=10)


def connecting(**outcomes: int) -> list[Finding]:
    one = Attempted(CALLER, "10.0.0.9", 5432, outcomes, 3, 7)
    return failed_connects.find(replace(WATCHED, attempted=(one,)))


def counting(time: int | None = 10, **grown: int) -> Space:
    return replace(SPACE, grown=grown, time_wait=time)


def of(rule: object, space: Space) -> list[Finding]:
    return rule.find(replace(WATCHED, spaces=(space,)))  # type: ignore[attr-defined,no-any-return]


# --- connects ---------------------------------------------------------------------


@pytest.mark.parametrize("outcome", failed_connects.FAILURES)
def test_whatever_ends_an_attempt_has_its_own_words_and_names_the_peer(outcome: str) -> None:
    (one,) = connecting(**{outcome: 5})
    assert (one.severity, one.numbers[outcome]) == (CRIT, 5)
    assert one.where == "app[99] -> 10.0.0.9:5432"
    assert all((one.meaning, one.fix, one.risk))
    assert "{" not in str(one.fix)


def test_a_few_failures_among_many_that_went_well_are_no_finding() -> None:
    assert connecting(ok=100, refused=5) == []
    assert connecting(refused=2) == []
    assert connecting(ok=3, aborted=50) == []
    (one,) = connecting(ok=20, refused=5)
    assert one.severity == WARN


def test_what_failed_in_two_ways_is_told_in_the_words_of_the_usual_one() -> None:
    (one,) = connecting(refused=2, timeout=9)
    assert "ETIMEDOUT" in one.meaning
    assert one.shown == "2 refused, 9 timeout; 3 SYNs sent again"


# --- what may not be sent ---------------------------------------------------------

STALLED = HeldBack(CALLER, "rwnd", "10.0.0.9:873", 1, 9.0, 0.0, 0.1, 7)


def holding(one: HeldBack, evidence: Evidence = WATCHED) -> list[Finding]:
    return held_back.find(replace(evidence, held_back=(one,)))


def test_a_peer_that_takes_nothing_is_an_alarm_and_one_that_is_slow_is_none() -> None:
    (one,) = holding(STALLED)
    assert (one.severity, "the peer does not read" in one.meaning) == (WARN, True)
    (one,) = holding(replace(STALLED, per_s=5e6))
    assert (one.severity, one.numbers["bytes_on_the_way"]) == (INFO, 500_000)
    assert holding(STALLED, replace(WATCHED, looks_s=1.0)) == []


def test_an_own_buffer_that_is_too_small_is_told_with_what_is_on_the_way() -> None:
    (one,) = holding(replace(STALLED, by="sndbuf", per_s=5e6))
    assert one.severity == WARN
    assert "tcp_wmem above 1000000" in one.fix[1]


def test_what_waits_for_its_own_application_is_no_alarm_and_no_buffer_is_blamed() -> None:
    (one,) = holding(replace(STALLED, by="application", per_s=5e6))
    assert (one.severity, one.numbers["held_by"]) == (INFO, "application")
    assert one.title == "1 connection held up by the application in 10 s"
    assert not any("mem" in line or "BUF" in line for line in one.fix)


# --- losses -----------------------------------------------------------------------


def test_segments_sent_again_are_a_finding_from_one_in_a_hundred_on() -> None:
    (one,) = of(retransmits, counting(RetransSegs=200, OutSegs=5000, TCPTimeouts=11))
    assert (one.severity, one.title) == (WARN, "3.8% of the segments were sent again in 10 s")
    (one,) = of(retransmits, counting(RetransSegs=100, OutSegs=5000))
    assert one.severity == INFO
    assert of(retransmits, counting(RetransSegs=40, OutSegs=5000)) == []
    assert of(retransmits, counting(RetransSegs=19, OutSegs=100)) == []


def test_syns_sent_again_are_not_taken_for_lost_data() -> None:
    assert of(retransmits, counting(RetransSegs=200, TCPSynRetrans=190, OutSegs=500)) == []


def test_what_the_peer_had_already_is_told_as_lateness() -> None:
    (one,) = of(retransmits, counting(RetransSegs=200, OutSegs=5000, TCPDSACKRecv=150))
    assert "loses little" in one.meaning
    (one,) = of(retransmits, counting(RetransSegs=200, OutSegs=5000, TCPDSACKRecv=20))
    assert "lost on the way" in one.meaning
    (one,) = of(retransmits, replace(counting(RetransSegs=200, OutSegs=5000), resent_to=("::1", 9)))
    assert (one.numbers["most_resent_to"], one.numbers["resent_to_it"]) == ("::1", 9)
    assert "most to ::1: 9" in one.shown


@pytest.mark.parametrize("name", dropped_here.WORDS)
def test_each_counter_of_what_is_thrown_away_here_is_told_with_its_words(name: str) -> None:
    (one,) = of(dropped_here, counting(10, **{name: 12}))
    assert (one.severity, one.numbers) == (WARN, {name: 12})
    assert one.meaning.startswith(f"{name}: ")
    (one,) = of(dropped_here, counting(10, **{name: 1}))
    assert one.severity == INFO
    assert of(dropped_here, counting(10, **{name: 0})) == []


def test_what_is_thrown_away_here_is_told_beside_why_packets_were_seen_dropped() -> None:
    space = replace(
        counting(IPReversePathFilter=13), dropped=(("IP_RPFILTER", 13), ("TCP_CSUM", 7))
    )
    (one,) = of(dropped_here, space)
    assert one.shown == (
        "IPReversePathFilter 13; packets of TCP were seen dropped by reason: IP_RPFILTER 13,"
        " TCP_CSUM 7"
    )


# --- tables -----------------------------------------------------------------------


def test_a_full_table_of_time_wait_is_told_with_its_limit() -> None:
    (one,) = of(time_wait, counting(time=1000, TCPTimeWaitOverflow=40))
    assert (one.severity, one.numbers["overflows"]) == (WARN, 40)
    assert "sysctl -w net.ipv4.tcp_max_tw_buckets=2000" in one.fix
    (one,) = of(time_wait, counting(time=850))
    assert (one.severity, one.title) == (INFO, "850 of 1000 that TIME_WAIT may have")
    assert of(time_wait, counting(time=700)) == []
    assert of(time_wait, counting(time=None)) == []


def test_who_closes_first_and_how_fast_it_fills_are_told() -> None:
    full = counting(time=1000, TCPTimeWaitOverflow=40, TW=300, TWRecycled=50)
    full = replace(full, time_wait_grown=150, closers=(("nginx[12]", 700), ("curl[9]", 20)))
    (one,) = of(time_wait, full)
    assert one.numbers["time_wait_per_s"] == 50.0
    assert (one.numbers["closed_first_by"], one.numbers["closed_first"]) == ("nginx[12]", 700)
    assert "50 a second came into it; closed first by nginx[12] (700), curl[9] (20)" in one.shown


def test_connection_tracking_is_told_when_it_is_nearly_full_and_only_where_it_tracks() -> None:
    def tracking(count: int) -> list[Finding]:
        settings = {"nf_conntrack_count": str(count), "nf_conntrack_max": "1000"}
        return of(conntrack, replace(SPACE, settings=settings))

    assert tracking(899) == []
    assert [one.severity for one in tracking(950)] == [WARN]
    (one,) = tracking(1000)
    assert one.severity == CRIT
    assert (one.numbers["entries"], one.numbers["max"]) == (1000, 1000)
    assert "nf_conntrack_max=2000" in one.fix[0]
    assert of(conntrack, SPACE) == []


def test_what_connection_tracking_dropped_is_told_though_the_table_has_room_again() -> None:
    settings = {"nf_conntrack_count": "10", "nf_conntrack_max": "1000"}
    lost = {"conntrack_drop": 7, "conntrack_early_drop": 3, "conntrack_insert_failed": 2}
    (one,) = of(conntrack, replace(SPACE, settings=settings, tracking=lost))
    assert (one.severity, one.title) == (CRIT, "the table of connection tracking was full in 10 s")
    assert "7 packets dropped and 3 entries forgotten early" in one.shown
    lost = {"conntrack_drop": 0, "conntrack_early_drop": 0, "conntrack_insert_failed": 2}
    assert of(conntrack, replace(SPACE, settings=settings, tracking=lost)) == []


# --- devices ----------------------------------------------------------------------


def losing(**lost: int) -> list[Finding]:
    one = LostBefore("eth0 of network namespace 7", "eth0", lost, 7)
    return lost_before.find(replace(WATCHED, lost_before=(one,)))


@pytest.mark.parametrize("name", lost_before.WORDS)
def test_each_counter_of_a_device_is_told_with_its_words_and_the_devices_name(name: str) -> None:
    (one,) = losing(**{name: 12})
    assert one.severity == (INFO if name in lost_before.HARMLESS else WARN)
    assert one.numbers == {f"lost_{name}": 12}
    assert one.meaning.startswith(f"{name}: ")
    assert "DEVICE" not in str(one)
    (one,) = losing(**{name: 1})
    assert one.severity == INFO


def test_a_cpu_that_ran_out_of_time_and_lost_nothing_is_no_finding() -> None:
    assert losing(time_squeeze=500) == []


# --- resets -----------------------------------------------------------------------

BROKEN = BrokenOff(CALLER, "10.0.0.9:5432", "10.0.0.9", 5432, received=11, netns=7)


def breaking(one: BrokenOff, connects: int = 0) -> list[Finding]:
    begun = Attempted(CALLER, "10.0.0.9", 5432, {"ok": connects}, 0, 7)
    return resets.find(replace(WATCHED, broken_off=(one,), attempted=(begun,)))


def test_connections_in_use_that_a_peer_resets_are_told_by_process_and_peer() -> None:
    (one,) = breaking(BROKEN)
    assert (one.severity, one.where) == (WARN, "app[99] <- 10.0.0.9:5432")
    assert one.title == "11 connections in use were reset by the peer in 10 s"
    assert any("--lport 5432" in text for text in one.fix)


def test_what_is_usual_among_so_many_is_no_finding_and_few_are_none() -> None:
    assert breaking(replace(BROKEN, received=9)) == []
    assert breaking(BROKEN, connects=1000) == []
    assert len(breaking(BROKEN, connects=100)) == 1


def test_answers_that_a_rst_may_overtake_are_worth_a_word() -> None:
    (one,) = breaking(replace(BROKEN, received=0, unread=7, late=5))
    assert (one.severity, one.numbers["closed_unread"], one.numbers["data_after_close"]) == (
        INFO,
        7,
        5,
    )
    assert "shutdown(SHUT_WR)" in one.fix[0]
    assert breaking(replace(BROKEN, received=0, unread=5, late=4)) == []


def test_a_quiet_namespace_yields_nothing_by_any_rule() -> None:
    quiet = counting(OutSegs=100_000, RetransSegs=3, ActiveOpens=900)
    advice = judge(replace(WATCHED, spaces=(quiet,)))
    assert advice.findings == ()
    assert set(advice.quiet) == {rule.name for rule in RULES}
