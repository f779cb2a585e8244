"""Attempts added up batch by batch are what one look at all of them gives."""

from __future__ import annotations

import ipaddress
import sys
from types import FrameType
from typing import Any

import numpy as np
import pytest

from tracer.flows.grouping import Grouping, Keys, mask_addresses, unmask_address
from tracer.flows.handshakes import COLUMN, HandshakeTable
from tracer.flows.opens import Opens, still_going
from tracer.wire.layout import Layout, Records

PEERS = 5


def attempts(wire: Layout, count: int) -> Records:
    """Attempts at PEERS hosts; every third is refused, every fourth sent a SYN again."""
    made = np.zeros(count, wire.dtypes["handshake"])
    number = np.arange(count)
    names = wire.enums
    made["role"] = names["role"]["ACTIVE"]
    made["outcome"] = np.where(number % 3, names["outcome"]["OK"], names["outcome"]["REFUSED"])
    made["raddr"][:, 10:12] = 255
    made["raddr"][:, 15] = number % PEERS
    made["rport"] = 80
    made["latency_ns"] = number * 1000 + 1
    made["latency_from"] = names["latency_from"]["SYN"]
    made["rtt_us"] = number % 7
    made["syn_retransmits"] = number % 4 == 0
    return made


def by_peer(row: Keys) -> tuple[object, ...]:
    return (int(row[COLUMN["low"]]) & 255, int(row[COLUMN["rport"]]))


def grouped() -> Grouping:
    return Grouping(frozenset({"high", "low", "rport"}))


def test_groups_hold_what_their_attempts_add_up_to(wire: Layout) -> None:
    count = 997
    made = attempts(wire, count)
    table = HandshakeTable(wire, grouped())
    for part in np.array_split(made, 13):
        table.add(part)
    found = table.groups(None, by_peer)
    assert set(found) == {(peer, 80) for peer in range(PEERS)}
    ok = wire.enums["outcome"]["OK"]
    for (peer, _), group in found.items():
        mine = made[made["raddr"][:, 15] == peer]
        well = mine[mine["outcome"] == ok]
        assert group.attempts == group.ended == len(mine)
        assert group.outcomes()[ok] == len(well)
        assert group.again == mine["syn_retransmits"].sum()
        spread = group.ended_as(ok).latency()
        times = np.sort(well["latency_ns"])
        assert (spread.count, spread.total) == (len(well), times.sum())
        assert (spread.least, spread.most) == (times[0], times[-1])
        assert spread.quantile(0.5) == pytest.approx(np.median(times), rel=0.07)
        assert group.ended_as(ok).rtt().count == (well["rtt_us"] > 0).sum()
        again = group.ended_as(ok, again=1)
        assert again.ended == (well["syn_retransmits"] > 0).sum()


def test_tables_that_are_merged_are_one(wire: Layout) -> None:
    made = attempts(wire, 500)
    whole, part = (HandshakeTable(wire, grouped()) for _ in range(2))
    whole.add(made[:300])
    part.add(made[300:])
    whole.merge(part)
    once = HandshakeTable(wire, grouped())
    once.add(made)
    for rows, expected in zip(whole.rows(), once.rows(), strict=True):
        assert (rows == expected).all()


def test_what_goes_on_is_pending_by_role_with_the_oldest_age(wire: Layout) -> None:
    names = wire.enums["tcp_state"]
    rows = np.zeros(6, wire.dtypes["sock_row"])
    states = ["SYN_SENT", "SYN_SENT", "SYN_RECV", "SYN_RECV", "NEW_SYN_RECV", "ESTABLISHED"]
    rows["state"] = [names[name] for name in states]
    rows["listener_cookie"][3] = 7  # a child; the one before called at once with its peer
    rows["age_ns"] = [10, 30, 20, 5, 0, 99]
    rows["age_is"][1] = wire.enums["dwell_is"]["AT_LEAST"]
    table = HandshakeTable(wire, Grouping())
    found = table.groups(rows, lambda row: (wire.names["role"][int(row[0])],))
    active, passive = found["ACTIVE",], found["PASSIVE",]
    assert (active.pending, active.attempts, active.outcomes()) == (3, 3, {})
    assert (active.oldest_ns, active.oldest_is_exact) == (30, False)
    assert (passive.pending, passive.oldest_ns) == (2, 5)


@pytest.mark.parametrize(
    ("address", "bits", "kept"),
    [
        ("::ffff:10.1.2.3", None, "::ffff:10.1.2.3"),
        ("::ffff:10.1.2.3", 24, "::ffff:10.1.2.0"),
        ("::ffff:10.1.2.3", 1, "::ffff:0.0.0.0"),
        ("::ffff:10.1.2.3", 64, "::ffff:10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", 24, "2001:d00::"),
        ("2001:db8:1:2:3:4:5:6", 64, "2001:db8:1:2::"),
        ("2001:db8:1:2:3:4:5:6", 96, "2001:db8:1:2:3:4::"),
        ("2001:db8:1:2:3:4:5:6", 128, "2001:db8:1:2:3:4:5:6"),
        ("ffff::1", 8, "ff00::"),
    ],
)
def test_an_address_keeps_its_first_bits(address: str, bits: int | None, kept: str) -> None:
    packed = np.frombuffer(ipaddress.IPv6Address(address).packed, np.uint8).reshape(1, 16)
    ((high, low),) = mask_addresses(packed, bits).tolist()
    assert unmask_address(high, low) == ipaddress.IPv6Address(kept).packed


def calls(wire: Layout, count: int) -> int:
    """Python calls, of C functions too, while so many attempts are counted."""
    made = attempts(wire, count)
    table = HandshakeTable(wire, grouped())
    found = 0

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal found
        found += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        table.add(made)
    finally:
        sys.setprofile(None)
    return found


def test_ten_times_the_attempts_take_no_more_python_calls(wire: Layout) -> None:
    calls(wire, 10)
    few, many = calls(wire, 10_000), calls(wire, 100_000)
    assert few > 50
    assert many == pytest.approx(few, rel=0.01)


def test_an_attempt_begun_before_the_span_is_none_of_its_opens(wire: Layout) -> None:
    """The low bits of the moment wrap in the middle of the span."""
    names, started_ns = wire.enums, (5 << 32) * 1000 - 2_000_000
    ended = np.zeros(2, wire.dtypes["handshake"])
    ended["role"], ended["latency_from"] = names["role"]["ACTIVE"], 1
    ended["syn_sent"], ended["latency_ns"] = 1, 50_000
    ended["mono_ns"] = [started_ns + 49_000, started_ns + 50_000]
    going = np.zeros(3, wire.dtypes["sock_row"])
    going["state"], going["age_is"] = names["tcp_state"]["SYN_SENT"], names["dwell_is"]["EXACT"]
    going["looked_us"] = 1000  # 3 ms after the begin
    going["age_ns"] = [2_000_000, 3_000_000, 3_100_000]
    opens = Opens(wire, started_ns, True)
    opens.add(ended)
    told, unsure = opens.told(going, names["dwell_is"]["EXACT"], 20_000_000)
    assert told[0]["ActiveOpens"] == 1 + 2
    assert unsure == {0: {"ActiveOpens": 1}}  # 1 us before it: the kernel counts a little later


def test_what_ended_in_the_syn_queue_was_no_passive_open(wire: Layout) -> None:
    """The kernel counts PassiveOpens as it makes the socket: a request never was one."""
    names = wire.enums
    made = np.zeros(5, wire.dtypes["handshake"])
    made["role"] = names["role"]["PASSIVE"]
    made["old"] = names["tcp_state"]["SYN_RECV"]
    made["old"][3:] = names["tcp_state"]["NEW_SYN_RECV"]
    made["syncookie"] = [1, 1, 2, 0, 0]  # the third may or may not have come by one
    made["syn_retransmits"] = [0, 0, 0, 1, 2]
    opens = Opens(wire, 0, False)
    opens.add(made)
    told = opens.told(None, names["dwell_is"]["EXACT"], 1)[0][0]
    assert {name: told[name] for name in told if told[name]} == {
        "PassiveOpens": 3,
        "SyncookiesRecv": 2,
        "TCPSynRetrans": 3,
    }


def test_syn_acks_sent_again_are_those_that_were_counted_whatever_attempts_tell(
    wire: Layout,
) -> None:
    names = wire.enums
    made = np.zeros(2, wire.dtypes["handshake"])
    made["role"] = names["role"]["PASSIVE"], names["role"]["ACTIVE"]
    made["syn_retransmits"] = 3, 5
    going = np.zeros(2, wire.dtypes["sock_row"])
    going["state"] = names["tcp_state"]["NEW_SYN_RECV"], names["tcp_state"]["SYN_SENT"]
    going["syn_retransmits"] = 7, 11
    older = going.copy()
    older["syn_retransmits"] = 1, 2
    opens = Opens(wire, 0, True)
    opens.begin(older)
    opens.add(made)
    opens.unrecorded({0: {"TCPSynRetrans": 13}})
    told = opens.told(going, names["dwell_is"]["EXACT"], 1)[0][0]
    assert told["TCPSynRetrans"] == 5 + 11 - 2 + 13


def test_what_has_no_record_counts_for_the_kernels_counter_in_its_namespace(
    wire: Layout,
) -> None:
    opens = Opens(wire, 0, True)
    opens.unrecorded({7: {"PassiveOpens": 2}})
    # from the begin, not since the last time
    later = {7: {"PassiveOpens": 3, "EmbryonicRsts": 5}, 8: {"PassiveOpens": 1}}
    opens.unrecorded(later)
    assert opens.told(None, wire.enums["dwell_is"]["EXACT"], 1) == (later, {})


def test_an_attempt_that_was_begun_after_the_end_is_none_of_the_kernels(wire: Layout) -> None:
    """The sockets are looked at some ms after it: who began meanwhile is there too."""
    started_ns, span_us = 5_000_000_000, 100_000
    going = np.zeros(4, wire.dtypes["sock_row"])
    going["state"] = wire.enums["tcp_state"]["SYN_SENT"]
    exact = going["age_is"] = wire.enums["dwell_is"]["EXACT"]
    going["looked_us"] = started_ns // 1000 + span_us + 500
    # 5 ms before the end, which may have been counted after it, in the last us, at it, after it
    going["age_ns"] = (5_500_000, 501_000, 500_000, 499_000)
    told, unsure = Opens(wire, started_ns, True).told(going, exact, span_us * 1000)
    assert (told[0]["ActiveOpens"], unsure[0]["ActiveOpens"]) == (1, 2)


def test_an_attempt_that_is_in_flight_as_the_span_ends_may_be_on_either_side_of_that(
    wire: Layout,
) -> None:
    ended_ns = 5_000_000_000
    ended = np.zeros(3, wire.dtypes["handshake"])
    ended["role"], ended["latency_from"] = wire.enums["role"]["ACTIVE"], 1
    ended["syn_sent"], ended["latency_ns"] = 1, (50_000, 50_000, 6_000_000)
    ended["mono_ns"] = (ended_ns - 1, ended_ns + 40_000, ended_ns + 40_000)
    opens = Opens(wire, 0, True)
    opens.end(ended_ns)
    opens.add(ended)
    told, unsure = opens.told(None, wire.enums["dwell_is"]["EXACT"], ended_ns)
    assert (told[0]["ActiveOpens"], unsure[0]["ActiveOpens"]) == (2, 1)


def test_who_ended_after_being_looked_at_goes_on_no_longer(wire: Layout) -> None:
    """By its cookie: one that ended before is another attempt of the same socket."""
    looked_us = 2**32 - 3  # the moments are low bits: they wrap
    going = np.zeros(4, wire.dtypes["sock_row"])
    going["cookie"] = (7, 8, 9, 0)
    going["looked_us"] = looked_us
    ended = np.zeros(4, wire.dtypes["handshake"])
    ended["cookie"] = (7, 8, 11, 0)
    ended["mono_ns"] = (
        np.array([looked_us - 1, looked_us + 5, looked_us + 5, looked_us + 5])
    ) * 1000
    assert still_going(going, ended)["cookie"].tolist() == [7, 9, 0]
