"""The kernel's counters: what is read of its files, how far they moved, and what they mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracer.flows.counters import Moved, Moves
from tracer.kernel import counter_files
from tracer.kernel.devices import queue_of
from tracer.views import counter_words as words
from tracer.wire.counter import MACHINE, Key, Reading

SECOND = 10**9
NS, OTHER = 4026531840, 4026532999
RSTS = Key("snmp", NS, "", "", -1, "TcpOutRsts")


def reading(at_s: float, values: dict[Key, int], **ids: int) -> Reading:
    """All namespaces that the values are of, read at that moment; `ids` by device, `self`: NS's."""
    moment = round(at_s * SECOND)
    named = {(NS, "" if name == "self" else name): number for name, number in ids.items()}
    return Reading(moment, dict(values), {key.netns: moment for key in values}, named)


def moved(*readings: Reading) -> Moved:
    moves = Moves()
    for each in readings:
        step = moves.look(each)
    return step


# --- files ------------------------------------------------------------------------


def test_names_are_those_of_nstat() -> None:
    text = "Tcp: ActiveOpens OutRsts\nTcp: 3 17\nTcpExt: ListenDrops\nTcpExt: 5\n"
    assert counter_files.pairs(text) == {
        "TcpActiveOpens": 3,
        "TcpOutRsts": 17,
        "TcpExtListenDrops": 5,
    }
    assert counter_files.lines("Ip6InReceives   \t7\nIcmp6InMsgs 0\n") == {
        "Ip6InReceives": 7,
        "Icmp6InMsgs": 0,
    }


def test_the_cpu_of_a_backlog_is_the_one_that_its_line_names() -> None:
    """CPU 1 is offline: the second line is of CPU 2."""
    line = "{:08x} {:08x} {:08x}" + " 00000000" * 7 + " 00000000 00000000 {:08x} 00000000 00000000"
    text = line.format(16, 2, 3, 0) + "\n" + line.format(255, 0, 1, 2) + "\n"
    found = counter_files.softnet(text)
    assert found[0, "softnet_processed"] == 16
    assert found[0, "softnet_dropped"] == 2
    assert found[2, "softnet_processed"] == 255
    assert found[2, "softnet_time_squeeze"] == 1
    assert {cpu for cpu, _ in found} == {0, 2}


def test_what_is_tracked_is_added_up_over_the_cpus_but_for_the_number_of_entries() -> None:
    text = "entries  found drop\n0000000a  00000001 00000002\n0000000a  0000000f 00000003\n"
    assert counter_files.conntrack(text) == {"entries": 10, "found": 16, "drop": 5}


@pytest.mark.parametrize(
    ("name", "queue"),
    [
        ("rx0_drops", "rx-0"),
        ("tx_queue_3_packets", "tx-3"),
        ("rx_queue_12_drops", "rx-12"),
        ("rx-7.bytes", "rx-7"),
        ("queue_2_tx_cnt", "tx-2"),
        ("rx_drops", ""),
        ("rx_64_byte_packets", ""),
        ("tx_packets", ""),
    ],
)
def test_a_drivers_name_tells_its_queue(name: str, queue: str) -> None:
    assert queue_of(name) == queue


# --- how far ----------------------------------------------------------------------


def test_a_rate_is_of_the_time_between_the_two_readings_of_its_namespace() -> None:
    first = reading(10, {RSTS: 100}, self=1)
    later = reading(12, {RSTS: 117}, self=1)
    later.moments[NS] = 14 * SECOND
    step = moved(first, later)
    assert step.deltas[RSTS] == 17
    assert step.seconds[NS] == 4


def test_what_a_namespace_counted_since_its_birth_belongs_to_the_step() -> None:
    born = Key("snmp", OTHER, "", "", -1, "TcpOutRsts")
    first = reading(10, {RSTS: 5}, self=1)
    step = moved(first, reading(11, {RSTS: 5, born: 7}, self=1))
    assert (step.deltas[born], step.deltas[RSTS]) == (7, 0)
    assert step.born == {OTHER}
    assert step.seconds[OTHER] == 1


def test_a_namespace_under_the_number_of_one_that_has_gone_counts_from_0() -> None:
    """Even where it has counted more by then than the one before it."""
    step = moved(reading(10, {RSTS: 5}, self=1), reading(11, {RSTS: 9}, self=2))
    assert step.deltas[RSTS] == 9
    assert (step.born, step.gone) == ({NS}, {NS})


def test_what_a_namespace_that_ended_had_counted_stays_in_the_whole() -> None:
    moves = Moves()
    other = RSTS._replace(netns=OTHER)
    moves.look(reading(10, {RSTS: 0, other: 0}))
    moves.look(reading(11, {RSTS: 3, other: 1}))
    step = moves.look(reading(12, {other: 1}))
    assert RSTS not in step.deltas
    assert step.gone == {NS}
    assert moves.whole.deltas == {RSTS: 3, other: 1}
    assert moves.whole.seconds[NS] == 1


def test_what_a_device_that_came_had_counted_elsewhere_is_not_known() -> None:
    packets = Key("dev", NS, "eth0", "", -1, "rx_packets")
    first = reading(10, {RSTS: 0}, self=1)
    assert (
        moved(first, reading(11, {RSTS: 0, packets: 900}, self=1, eth0=4)).deltas[packets] is None
    )
    known = reading(10, {packets: 900}, self=1, eth0=4)
    again = moved(known, reading(11, {packets: 950}, self=1, eth0=5))
    assert again.deltas[packets] is None, "another device of the same name"
    assert moved(known, reading(11, {packets: 950}, self=1, eth0=4)).deltas[packets] == 50


def test_counters_32_bits_wide_go_on_beyond_their_end_and_others_that_fall_are_not_known() -> None:
    narrow = Key("softnet", MACHINE, "", "", 1, "softnet_processed")
    wide = Key("nic", NS, "eth0", "", -1, "rx_packets")
    first = reading(10, {narrow: (1 << 32) - 5, wide: 70}, self=1, eth0=4)
    step = moved(first, reading(11, {narrow: 12, wide: 3}, self=1, eth0=4))
    assert step.deltas == {narrow: 17, wide: None}


# --- what they mean ---------------------------------------------------------------


def test_every_counter_that_this_kernel_shows_is_explained() -> None:
    shown = [
        name
        for file in ("snmp", "netstat")
        for name in counter_files.pairs(Path(f"/proc/net/{file}").read_text())
    ]
    shown += counter_files.lines(Path("/proc/net/snmp6").read_text())
    assert len(shown) > 300
    assert [name for name in shown if not words.meaning(name)] == []


def test_a_name_that_is_not_known_has_no_meaning_made_up_for_it() -> None:
    assert words.meaning("TcpExtTCPNewerThanThis") is None
    assert not words.is_trouble("TcpExtTCPNewerThanThis")
    assert words.meaning("rx0_something", "nic") == "counted, as the card's driver has it"


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("Ip6InReceives", "IpInReceives"),
        ("Ip6InOctets", "IpExtInOctets"),
        ("UdpLite6NoPorts", "UdpNoPorts"),
        ("Icmp6InEchos", "IcmpInEchos"),
        ("ListenDrops", "TcpExtListenDrops"),
        ("ActiveOpens", "TcpActiveOpens"),
    ],
)
def test_kin_share_a_sentence(name: str, same: str) -> None:
    assert words.meaning(name) == words.meaning(same) is not None


def test_sentences_are_one_line_and_written_once() -> None:
    lines = [line for line in words.TEXT.read_text().splitlines() if not line.startswith("#")]
    names = [line.partition("\t")[0] for line in lines]
    assert len(names) == len(set(names))
    assert all(text.strip() == text and text for _, _, text in (x.partition("\t") for x in lines))
    assert max(map(len, lines)) < 120


def test_gauges_and_settings_are_no_trouble_and_have_a_sentence() -> None:
    for name in words.GAUGES | words.SETTINGS:
        assert words.meaning(name)
        assert not words.is_trouble(name)
