"""Rules of `advise`: trouble is found by its numbers, and what is healthy is left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tracer.advice import (
    accept_queue,
    close_wait_leak,
    descriptors,
    ephemeral_ports,
    not_reading,
    syn_queue,
)
from tracer.advice.evidence import (
    Closing,
    Evidence,
    Listening,
    MadeAt,
    Owner,
    PortUse,
    Refused,
    Unread,
    Wait,
)
from tracer.advice.finding import CRIT, INFO, WARN, Finding
from tracer.advice.rules import RULES, judge

SERVER = Owner("gunicorn[2207]", 2207, "gunicorn", (200, 1024))
WATCHED = Evidence(10.0, frozenset(rule.needs for rule in RULES), 10.0)
LOOKED = replace(WATCHED, span_s=None, looks_s=None)
LEAK = Closing(SERVER, 614, 600, 500, 3600.0, 3, before=583, stayed=583, left=0, netns=7)
FULL = Listening(
    "10.0.3.9:8000",
    SERVER,
    7,
    8000,
    128,
    129,
    "listen",
    4096,
    129,
    6.8,
    370,
    2910,
    2912,
    wait=Wait(2912, 0.431, 0.512, 0.604),
)
TAKEN = PortUse(
    *("10.0.0.1", "10.0.0.9:443", SERVER, 7, 300, 27500, 28232, "32768-60999", False),
    opens_per_s=480.0,
)
FLOODED = replace(
    FULL,
    full_s=0.0,
    overflows=0,
    finished=3,
    drops={syn_queue.FULL: 40},
    syn_peak=129,
    max_syn_backlog=512,
    syncookies=0,
)
REFUSED = Refused(replace(SERVER, descriptors=(1024, 1024)), "*:8000", "EMFILE", 5, 7)
UNREAD = Unread(SERVER, 2, 90_000, 65_000, 100, 7)
ALL = (LEAK, FULL, TAKEN, FLOODED, REFUSED, UNREAD)


def closing(one: Closing, evidence: Evidence = WATCHED) -> list[Finding]:
    return close_wait_leak.find(replace(evidence, closings=(one,)))


def listening(one: Listening, evidence: Evidence = WATCHED) -> list[Finding]:
    return accept_queue.find(replace(evidence, listenings=(one,)))


def flooding(one: Listening, evidence: Evidence = WATCHED) -> list[Finding]:
    return syn_queue.find(replace(evidence, listenings=(one,)))


def refusing(*ones: Refused, evidence: Evidence = WATCHED) -> list[Finding]:
    return descriptors.find(replace(evidence, refused=ones))


def unread(one: Unread, evidence: Evidence = WATCHED) -> list[Finding]:
    return not_reading.find(replace(evidence, unread=(one,)))


def using(one: PortUse, evidence: Evidence = WATCHED) -> list[Finding]:
    return ephemeral_ports.find(replace(evidence, ports=(one,)))


# --- what holds of all ------------------------------------------------------------


def test_rules_without_evidence_are_said_to_be_blind() -> None:
    advice = judge(Evidence(10.0, frozenset({"ports"})))
    assert advice.findings == ()
    assert advice.quiet == ("ephemeral-ports",)
    assert set(advice.quiet) | set(advice.blind) == {rule.name for rule in RULES}


def test_one_look_says_nothing_of_what_only_a_span_can_tell() -> None:
    every = replace(LOOKED, listenings=(replace(FLOODED, queue=0),), unread=(UNREAD,))
    advice = judge(every)
    assert advice.findings == ()
    assert set(advice.blind) == {rule.name for rule in RULES if rule.watches}
    assert {"syn-queue-full", "not-reading"} <= set(advice.blind)


def test_the_worst_comes_first() -> None:
    few = replace(LEAK, count=3, old=3, stayed=3, before=3)
    advice = judge(replace(WATCHED, closings=(few,), listenings=(FULL,), ports=(TAKEN,)))
    assert [one.severity for one in advice.findings] == [CRIT, WARN, INFO]
    assert set(advice.quiet) & {one.id for one in advice.findings} == set()


@pytest.mark.parametrize("evidence", [WATCHED, LOOKED])
def test_every_finding_says_what_it_stands_on_what_helps_and_what_that_costs(
    evidence: Evidence,
) -> None:
    found = [*closing(LEAK, evidence), *listening(FULL, evidence), *using(TAKEN, evidence)]
    found += refusing(REFUSED, evidence=evidence)
    if evidence.span_s is not None:
        found += [*flooding(FLOODED), *unread(UNREAD)]
    assert len(found) == len(ALL) - (0 if evidence.span_s else 2)
    for one in found:
        assert all((one.title, one.where, one.shown, one.meaning, one.fix, one.risk, one.see))
        assert "tcp_tw_recycle" not in str(one)
        assert all(command.startswith("tcptrace ") for command in one.see)


# --- CLOSE_WAIT -------------------------------------------------------------------


def test_what_nobody_closes_is_a_leak_with_its_age_and_its_growth() -> None:
    (one,) = closing(LEAK)
    assert (one.id, one.severity) == ("close-wait-leak", WARN)
    assert one.title == "614 sockets in CLOSE_WAIT, 186 more a minute"
    assert "the oldest >=3600 s" in one.shown
    assert "0 of 583 left the state in 10 s" in one.shown
    # 824 descriptors are left, and 186 are taken a minute
    assert "200 of its 1024 descriptors are in use, at this rate all of them in 4.4 min" in (
        one.meaning
    )


def test_a_leak_that_has_taken_most_descriptors_is_critical() -> None:
    (one,) = closing(replace(LEAK, owner=replace(SERVER, descriptors=(900, 1024))))
    assert one.severity == CRIT


def test_a_slow_server_that_closes_them_in_the_end_is_no_leak() -> None:
    assert closing(replace(LEAK, before=620, stayed=580, left=40)) == []


def test_what_has_been_closed_by_the_peer_just_now_is_no_leak() -> None:
    assert closing(replace(LEAK, old=0, older=0, oldest_s=4.0)) == []


def test_the_few_that_a_pool_leaves_are_worth_a_word_and_no_alarm() -> None:
    (one,) = closing(replace(LEAK, count=4, old=4, older=4, before=4, stayed=4))
    assert one.severity == INFO


def test_one_look_alone_alarms_of_what_is_older_than_a_minute() -> None:
    looked = replace(LEAK, before=None, stayed=0)
    (one,) = closing(looked, LOOKED)
    assert (one.severity, "one look cannot tell" in one.meaning) == (WARN, True)
    (one,) = closing(replace(looked, older=0), LOOKED)
    assert one.severity == INFO


def test_how_long_they_are_in_it_is_told_by_how_many() -> None:
    (one,) = closing(replace(LEAK, spread=(14, 0, 100, 100, 400)))
    assert "(14 below 10 s, 100 below 10 min, 100 below 1 h, 400 for 1 h or more)" in one.shown
    ages = [value for name, value in one.numbers.items() if name.startswith("age_")]
    assert ages == [14, 0, 100, 100, 400]


def test_what_came_since_the_first_look_is_not_yet_said_to_be_a_leak() -> None:
    young = replace(LEAK, count=30, old=25, older=0, before=0, stayed=0)
    (one,) = closing(young)
    assert (one.severity, "none was seen twice" in one.meaning) == (INFO, True)
    assert closing(replace(young, old=0)) == []
    (one,) = closing(replace(young, older=25), replace(WATCHED, looks_s=120.0))
    assert one.severity == WARN


def test_where_most_were_made_is_told_with_how_many_and_of_how_many_it_is_not_known() -> None:
    places = (
        MadeAt(200, "accepted", "handle+0x41 (/srv/server) <- main+0x1c"),
        MadeAt(14, "connected", "call+0x9 (/srv/server)"),
        *(MadeAt(2, "accepted", f"f{i}+0x1 (/srv/server)") for i in range(3)),
    )
    (one,) = closing(replace(LEAK, made=places, unmade=384))
    assert "200 of 220 accepted at handle+0x41 (/srv/server) <- main+0x1c;" in one.shown
    assert "14 of 220 connected at call+0x9 (/srv/server)" in one.shown
    assert "; 4 in 2 other places; where 384 were made is not known: they are older" in one.shown
    assert [one.numbers[f"made_{name}"] for name in ("known", "unknown", "at", "at_count")] == [
        220,
        384,
        "handle+0x41 (/srv/server) <- main+0x1c",
        200,
    ]
    (one,) = closing(replace(LEAK, made=(), unmade=614, unkept=3))
    assert "they are older than the tracer, or there was no room for it" in one.shown
    (one,) = closing(LEAK)
    assert "made" not in one.shown


# --- accept queues ----------------------------------------------------------------


def test_a_queue_that_is_always_full_wants_more_accepts_and_no_longer_queue() -> None:
    (one,) = listening(FULL)
    assert (one.severity, one.numbers["overflows"]) == (CRIT, 370)
    assert "wait for accept() p50 431 ms, p99 512 ms, max 604 ms" in one.shown
    assert not any("sysctl" in text or "backlog" in text for text in one.fix)


def test_a_burst_wants_the_queue_that_would_have_held_it_by_the_limit_that_binds() -> None:
    burst = replace(FULL, full_s=0.3, overflows=100)
    (one,) = listening(burst)
    assert any("listen(229)" in text for text in one.fix)
    assert not any("somaxconn=" in text for text in one.fix)
    (one,) = listening(replace(burst, set_by="somaxconn", somaxconn=128))
    assert one.fix[0] == "sysctl -w net.core.somaxconn=229"
    (one,) = listening(replace(burst, overflows=5000))
    assert "and before that: sysctl -w net.core.somaxconn=5129" in one.fix


def test_a_queue_that_is_not_full_is_left_alone() -> None:
    assert listening(replace(FULL, overflows=0, full_s=0.0, peak=120)) == []
    assert listening(replace(FULL, overflows=0, full_s=0.05)) == []
    assert listening(replace(FULL, queue=128), LOOKED) == []


# --- ephemeral ports --------------------------------------------------------------


def test_ports_in_time_wait_are_told_with_the_rate_that_can_go_on() -> None:
    (one,) = using(TAKEN)
    assert (one.severity, one.numbers["free"]) == (WARN, 432)
    assert "at most 471 a second" in one.meaning
    assert any("tcp_tw_reuse=1" in text for text in one.fix)
    # 480 a second for 60 s and a quarter more
    assert any('ip_local_port_range="25000 60999"' in text for text in one.fix)


def test_each_of_what_helps_says_what_it_would_bring() -> None:
    (one,) = using(replace(TAKEN, tw_reuse="2"))
    pool, again, wider, address = one.fix
    assert "as many ports as are busy at once (now 300)" in pool
    assert "(now 2, for the loopback alone)" in again
    assert "28232 a second in place of 471 a second" in again
    assert wider.endswith(": 36000 ports, 600 a second")
    assert address.endswith("each pair has 28232 ports more, 471 a second")
    rates = [one.numbers[f"lasting_{name}per_s"] for name in ("", "reused_", "widest_")]
    assert rates == [470.5, 28232.0, 921.6]  # the seed's 28,231 ports in 60 s
    (one,) = using(replace(TAKEN, tw_reuse="0", local_only=True))
    assert "2, the loopback alone, would do for this destination" in one.fix[1]


def test_what_would_bring_nothing_is_not_advised_and_said_to_bring_nothing() -> None:
    (one,) = using(replace(TAKEN, timestamps=False))
    assert not any("tcp_tw_reuse" in text for text in one.fix)
    assert "tcp_tw_reuse would bring nothing" in one.meaning
    assert one.numbers["lasting_reused_per_s"] is None
    (one,) = using(replace(TAKEN, in_use=28000, time_wait=10))
    assert "neither tcp_tw_reuse nor keep-alive would bring any" in one.meaning
    (one,) = using(replace(TAKEN, reused=True, in_use=5, failures=9))
    assert "taken again 1 s later, no sooner" in one.meaning


def test_ports_that_were_gone_for_a_while_are_not_said_to_be_in_use() -> None:
    (one,) = using(replace(TAKEN, in_use=3, time_wait=0, failures=61))
    assert "free again" in one.meaning
    assert not any("sysctl" in text for text in one.fix)


def test_no_range_is_advised_where_none_would_do() -> None:
    (one,) = using(replace(TAKEN, opens_per_s=2000.0))
    assert not any("ip_local_port_range" in text for text in one.fix)
    assert "the widest range, 10240-65535, has 55296, 922 a second: not enough" in one.meaning


def test_connect_that_found_no_port_is_critical() -> None:
    (one,) = using(replace(TAKEN, failures=61))
    assert (one.severity, one.title) == (CRIT, "connect() found no port 61 times in 10 s")


def test_connections_that_are_held_are_no_matter_of_time_wait() -> None:
    (one,) = using(replace(TAKEN, in_use=28000, time_wait=10))
    assert not any("tcp_tw_reuse" in text for text in one.fix)


def test_ports_in_time_wait_that_are_used_again_are_no_trouble() -> None:
    assert using(replace(TAKEN, reused=True)) == []


def test_a_pool_that_warms_up_is_no_trouble() -> None:
    assert using(replace(TAKEN, in_use=300, time_wait=0, exhausted_in_s=90.0)) == []


# --- SYN queues -------------------------------------------------------------------


def test_a_full_syn_queue_without_cookies_wants_cookies_and_for_clients_a_longer_queue() -> None:
    (one,) = flooding(FLOODED)
    assert (one.severity, one.numbers["dropped_full"]) == (CRIT, 40)
    assert "a flood" in one.meaning
    assert len(one.fix) == 1
    assert one.fix[0].startswith("sysctl -w net.ipv4.tcp_syncookies=1")
    (one,) = flooding(replace(FLOODED, finished=400))
    assert "a longer queue: listen() with more than 128" in one.fix[1]
    (one,) = flooding(replace(FLOODED, finished=400, set_by="somaxconn"))
    assert "net.core.somaxconn above 128" in one.fix[1]


def test_the_reserve_of_tcp_max_syn_backlog_is_raised_only_where_it_binds() -> None:
    (one,) = flooding(replace(FLOODED, drops={syn_queue.RESERVE: 7}))
    assert "tcp_max_syn_backlog=1024" in one.fix[1]
    assert "tcp_max_syn_backlog=" not in str(flooding(FLOODED)[0].fix)


def test_cookies_that_clients_come_by_are_no_alarm_and_those_of_a_flood_are() -> None:
    asked = replace(FLOODED, drops={}, cookies=100, syncookies=1)
    (one,) = flooding(replace(asked, finished=90))
    assert (one.severity, "nobody was turned away" in one.fix[1]) == (INFO, True)
    (one,) = flooding(asked)
    assert one.severity == WARN
    assert flooding(replace(asked, syncookies=2)) == []
    assert flooding(replace(asked, cookies=0)) == []


# --- descriptors ------------------------------------------------------------------


def test_failed_accepts_are_one_finding_for_each_process_and_errno() -> None:
    other = replace(REFUSED, name="*:8001", count=2)
    (one,) = refusing(REFUSED, other)
    assert (one.severity, one.numbers["failed"]) == (CRIT, 7)
    assert "on *:8000, *:8001; 1024 of 1024 descriptors are in use" in one.shown
    assert "prlimit --pid 2207 --nofile=2048" in one.fix[1]
    (one,) = refusing(replace(REFUSED, error="ENFILE"))
    assert "fs.file-max" in one.fix[0]


def test_who_has_few_descriptors_left_is_told_once_and_who_has_enough_is_not() -> None:
    near = replace(FULL, owner=replace(SERVER, descriptors=(950, 1024)))
    twice = replace(WATCHED, listenings=(near, replace(near, port=8001)))
    (one,) = descriptors.find(twice)
    assert (one.severity, one.numbers["failed"]) == (WARN, 0)
    assert descriptors.find(replace(WATCHED, listenings=(FULL,))) == []


# --- what is not read -------------------------------------------------------------


def test_what_nobody_reads_is_told_only_of_a_span_that_is_long_enough() -> None:
    (one,) = unread(UNREAD)
    assert (one.severity, one.numbers["unread_bytes"]) == (WARN, 90_000)
    assert unread(UNREAD, replace(WATCHED, looks_s=1.0)) == []
