"""Rules of `advise` about what lasts: silence, ends that do not come, small windows, shut ports."""

from __future__ import annotations

from dataclasses import replace

from tracer.advice import idle_timeout, keepalive, lingering, listener_gap, receive_buffer
from tracer.advice.evidence import Evidence
from tracer.advice.finding import INFO, WARN, Finding
from tracer.advice.lasting import Forgotten, HalfClosed, Ownerless, Receiving, Silent, Unheard
from tracer.advice.owner import Owner
from tracer.advice.rules import RULES

APP = Owner("app[99]", 99, "app", (20, 1024))
WATCHED = Evidence(10.0, frozenset(rule.needs for rule in RULES), 10.0)
LOOKED = replace(WATCHED, span_s=None, looks_s=None)

# --- keepalive --------------------------------------------------------------------

SILENT = Silent(APP, 9, 7, 2, 340.0, "10.0.0.9:5432", netns=7)


def silent(one: Silent, evidence: Evidence = WATCHED) -> list[Finding]:
    return keepalive.find(replace(evidence, silent=(one,)))


def test_silence_that_nobody_probes_is_worth_a_word_with_the_times_behind_a_load_balancer() -> None:
    (one,) = silent(SILENT)
    assert (one.severity, one.numbers["without_keepalive"]) == (INFO, 7)
    assert "TCP_KEEPIDLE 60, TCP_KEEPINTVL 10, TCP_KEEPCNT 6" in one.fix[0]
    assert "net.ipv4.tcp_keepalive_time=60" in one.fix[2]
    (one,) = silent(SILENT, LOOKED)
    assert one.title.startswith("9 connections silent")


def test_settings_are_advised_only_where_probes_wait_for_them() -> None:
    (one,) = silent(replace(SILENT, late=0))
    assert "sysctl" not in str(one.fix)
    (one,) = silent(replace(SILENT, without=0, late=9))
    assert [text.startswith("for those that ask for probes") for text in one.fix] == [True]


def test_silence_that_is_probed_or_of_few_is_no_finding() -> None:
    assert silent(replace(SILENT, without=0, late=0)) == []
    assert silent(replace(SILENT, count=2, without=1, late=1)) == []


def test_peers_that_only_lost_data_found_dead_are_an_alarm_and_those_found_by_probes_none() -> None:
    (one,) = silent(replace(SILENT, unanswered=3))
    assert (one.severity, one.numbers["found_dead_by_data"]) == (WARN, 3)
    assert "3 peers found dead in 10 s" in one.title
    assert any("TCP_USER_TIMEOUT" in text for text in one.fix)
    (one,) = silent(Silent(APP, probed=1))
    assert (one.severity, one.title) == (INFO, "1 peer found dead in 10 s")
    assert "nothing here" in one.fix[0]


# --- idle timeouts of others ------------------------------------------------------

FORGOTTEN = Forgotten(APP, "10.0.0.9:443", 9, 11, 350.0, 9, 0, None, 7)


def forgotten(one: Forgotten) -> Finding:
    (found,) = idle_timeout.find(replace(WATCHED, forgotten=(one,)))
    return found


def test_a_silence_that_resets_share_is_told_with_probes_that_come_twice_within_it() -> None:
    one = forgotten(FORGOTTEN)
    assert one.severity == WARN
    assert "9 connections reset after 350 s of silence" in one.title
    assert "none of the 9 that were looked at before sends keepalive probes" in one.shown
    assert "TCP_KEEPIDLE 175," in one.fix[0]


def test_probes_are_not_advised_where_they_come_in_time_and_did_not_help() -> None:
    one = forgotten(replace(FORGOTTEN, probing=9, probe_s=60.0))
    assert not any("TCP_KEEPIDLE" in text for text in one.fix)
    assert "did not help" in one.fix[0]
    one = forgotten(replace(FORGOTTEN, probing=9, probe_s=7200.0))
    assert "TCP_KEEPIDLE 175," in one.fix[0]
    assert "is not known" in forgotten(replace(FORGOTTEN, known=0)).shown


# --- FIN_WAIT2 and orphans --------------------------------------------------------

HELD = HalfClosed(APP, 30, 20, 90.0, "10.0.0.9:80", 7)
OWNERLESS = Ownerless(7, "network namespace 7", 200, 10, 15, 60, 4096)


def ending(*ones: HalfClosed | Ownerless, evidence: Evidence = WATCHED) -> list[Finding]:
    held = tuple(one for one in ones if isinstance(one, HalfClosed))
    ownerless = tuple(one for one in ones if isinstance(one, Ownerless))
    return lingering.find(replace(evidence, half_closed=held, ownerless=ownerless))


def test_what_a_process_shuts_down_and_holds_is_no_matter_of_tcp_fin_timeout() -> None:
    (one,) = ending(HELD)
    assert (one.severity, one.numbers["kept"]) == (WARN, 20)
    assert not any("sysctl" in text for text in one.fix)
    assert ending(replace(HELD, kept=9)) == []
    assert ending(HELD, evidence=replace(WATCHED, looks_s=1.0)) == []


def test_peers_that_do_not_close_are_told_with_how_long_each_is_kept() -> None:
    (one,) = ending(OWNERLESS)
    assert (one.severity, one.numbers["fin_wait2"]) == (INFO, 200)
    assert "kept for 60 s (net.ipv4.tcp_fin_timeout)" in one.meaning
    assert "sysctl -w net.ipv4.tcp_fin_timeout=30: they are kept for less" in one.fix
    (one,) = ending(replace(OWNERLESS, fin_timeout_s=20))
    assert "tcp_fin_timeout=" not in str(one.fix)
    assert ending(replace(OWNERLESS, waiting=99)) == []


def test_orphans_are_an_alarm_where_the_kernel_may_break_them_off_and_the_limit_raised_there() -> (
    None
):
    many = replace(OWNERLESS, waiting=0, unacknowledged=900, orphans=1024)
    (one,) = ending(many)
    assert (one.severity, one.numbers["orphans"]) == (WARN, 1024)
    assert "sysctl -w net.ipv4.tcp_max_orphans=8192: up to 64 KB each" in one.fix
    (one,) = ending(replace(many, orphans=1023))
    assert (one.severity, "tcp_max_orphans=" in str(one.fix)) == (INFO, False)
    (one,) = ending(replace(many, max_orphans=None))
    assert (one.severity, "tcp_max_orphans not known" in one.shown) == (INFO, True)


# --- receive buffers --------------------------------------------------------------

RECEIVING = Receiving(
    APP, "10.0.0.9:873", 1, 600_000.0, 0.1, 65_000, 131_072, True, True, 6_291_456, 3, 1, 7
)


def receiving(one: Receiving, evidence: Evidence = WATCHED) -> list[Finding]:
    return receive_buffer.find(replace(evidence, receiving=(one,)))


def test_a_window_a_round_trip_is_told_with_the_rate_that_it_allows() -> None:
    (one,) = receiving(RECEIVING)
    assert (one.severity, one.numbers["bytes_on_the_way"]) == (WARN, 60_000)
    assert "at most 0.65 MB/s; kept small by SO_RCVBUF" in one.meaning
    assert "3 segments collapsed, 1 queues pruned" in one.shown
    assert receiving(RECEIVING, replace(WATCHED, looks_s=1.0)) == []


def test_only_what_keeps_the_buffer_small_is_to_be_changed() -> None:
    (one,) = receiving(RECEIVING)
    assert one.fix[0].startswith("set no SO_RCVBUF")
    assert "sysctl" not in str(one.fix)
    (one,) = receiving(replace(RECEIVING, is_set=False, grows=False))
    assert one.fix[0].startswith("sysctl -w net.ipv4.tcp_moderate_rcvbuf=1")
    full = replace(RECEIVING, is_set=False, buffer=6_291_456)
    (one,) = receiving(full)
    assert "a third value of net.ipv4.tcp_rmem above 6291456" in one.fix[0]
    assert receiving(replace(full, buffer=1_000_000)) == []  # it still grows
    assert receiving(replace(full, most=None)) == []


# --- ports without a listener -----------------------------------------------------

UNHEARD = Unheard(8000, APP, replace(APP, name="app[100]", pid=100), 4, 0.8, 3.1, 70, 5, 7)


def unheard(one: Unheard) -> Finding:
    (found,) = listener_gap.find(replace(WATCHED, unheard=(one,)))
    return found


def test_a_port_that_nobody_heard_is_told_with_who_was_turned_away() -> None:
    one = unheard(UNHEARD)
    assert (one.severity, one.where, one.pid) == (WARN, "app[99] :8000", 100)
    assert one.title == "nobody listened for 0.8 s, 4 times"
    assert "70 SYNs refused, 5 connections that waited for accept() reset" in one.shown
    assert any("SO_REUSEPORT" in text for text in one.fix)


def test_one_that_has_not_come_back_is_no_worse_and_one_that_looked_in_is_a_word() -> None:
    one = unheard(replace(UNHEARD, opened_by=None, count=1))
    assert (one.severity, "nobody does yet" in one.title) == (WARN, True)
    assert not any("SO_REUSEPORT" in text for text in one.fix)
    assert unheard(replace(UNHEARD, refused=2, reset=0)).severity == INFO
