"""What was sent again, added up batch by batch, and said in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tracer.attribution.processes import ProcessTable
from tracer.flows.grouping import AT, Grouping
from tracer.flows.retransmits import Group, Resent, RetransmitTable
from tracer.views import resent_words
from tracer.views.columns import Facts, document, rows
from tracer.views.resent_words import ordinal
from tracer.views.schema_resent import TYPES
from tracer.views.text import Clock
from tracer.wire.filters import Filters
from tracer.wire.layout import Layout, Records
from tracer.wire.refuse import refuse

PEERS, NAMESPACES = 5, 3


def made(wire: Layout, count: int = 997) -> Records:
    """Of all types, to PEERS hosts, from NAMESPACES; every seventh was lost again."""
    found = np.zeros(count, wire.dtypes["retransmit"])
    number = np.arange(count)
    found["kind"] = wire.enums["kind"]["RETRANSMIT"]
    found["mono_ns"] = number * 1000 + 1
    found["type"] = number % len(wire.enums["resend"])
    found["state"] = wire.enums["tcp_state"]["ESTABLISHED"]
    found["raddr"][:, 10:12] = 255
    found["raddr"][:, 15] = number % PEERS
    found["netns"] = number % NAMESPACES + 1
    found["segments"] = number % 44 + 1
    found["length"] = found["segments"] * 1448
    found["lost_again"] = number % 7 == 0
    found["acked"] = number % 11 == 0
    found["rto_us"] = 200_000 + number
    return found


def by_peer(key: list[int]) -> tuple[object, ...]:
    return key[0], key[2 + AT["low"]] & 255


def grouping() -> Grouping:
    return Grouping(frozenset({"high", "low"}))


def test_groups_hold_what_their_records_add_up_to(wire: Layout) -> None:
    records = made(wire)
    table = RetransmitTable(wire, grouping())
    for part in np.array_split(records, 13):
        table.add(part)
    found = table.groups(by_peer)
    kinds = len(wire.enums["resend"])
    assert set(found) == {(kind, peer) for kind in range(kinds) for peer in range(PEERS)}
    for (kind, peer), group in found.items():
        mine = records[(records["type"] == kind) & (records["raddr"][:, 15] == peer)]
        assert group == Group(
            segments=mine["segments"].sum(),
            times=len(mine),
            bytes=mine["length"].sum(),
            lost_again=mine["segments"][mine["lost_again"] > 0].sum(),
            queue_full=(mine["acked"] == wire.enums["acked"]["QUEUE_FULL"]).sum(),
            rto_us=mine["rto_us"][-1],
            mono_ns=mine["mono_ns"][-1],
        )


def test_intervals_put_together_are_the_whole(wire: Layout) -> None:
    records = made(wire)
    whole, parts = RetransmitTable(wire, grouping()), RetransmitTable(wire, grouping())
    whole.add(records)
    for part in np.array_split(records, 5):
        interval = RetransmitTable(wire, grouping())
        interval.add(part)
        parts.merge(interval)
    assert parts.groups(by_peer) == whole.groups(by_peer)


def test_the_kernels_counters_are_told_by_namespace(wire: Layout) -> None:
    records, names = made(wire), wire.enums["resend"]
    resent = Resent(wire)
    for part in np.array_split(records, 7):
        resent.add(part)
    told = resent.told({2: 17, 9: 3})
    for netns in range(1, NAMESPACES + 1):
        mine = records[records["netns"] == netns]
        failed = 17 if netns == 2 else 0
        assert told[netns] == {
            "RetransSegs": mine["segments"].sum() + failed,
            "TCPSynRetrans": np.isin(mine["type"], [names["SYN"], names["SYNACK"]]).sum(),
            "TCPLostRetransmit": mine["segments"][mine["lost_again"] > 0].sum(),
            "TCPLossProbes": (mine["type"] == names["TLP"]).sum(),
        }
    assert told[9] == {"RetransSegs": 3}


def test_the_schema_knows_every_type(wire: Layout) -> None:
    assert set(TYPES) == {name.lower() for name in wire.enums["resend"]}


@pytest.mark.parametrize(
    ("number", "text"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (22, "22nd")]
)
def test_how_often_is_said_as_people_say_it(number: int, text: str) -> None:
    assert ordinal(number) == text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"type": "RTO", "nth": 1, "rto_us": 241_000, "seq": 18824, "length": 1448},
            "rto 241ms, 1st, seq +18824, 1448 B",
        ),
        (
            {"type": "FAST", "nth": 2, "rto_us": 241_000, "seq": 0, "length": 4344, "segments": 3},
            "fast, 2nd, seq +0, 4344 B in 3 segments",
        ),
        (
            {"type": "TLP", "nth": 1, "seq": 3735928559, "seq_is": "ABSOLUTE", "length": 7},
            "tlp, 1st, seq 3735928559, 7 B",
        ),
        ({"type": "SLOW_START", "seq": 5, "length": 6}, "slow start, seq +5, 6 B"),
        ({"type": "SYN", "nth": 3, "rto_us": 4_000_000, "seq_is": "NONE"}, "syn 4s, 3rd"),
        (
            {"type": "SYNACK", "nth": 2, "seq_is": "NONE", "acked": "QUEUE_FULL"},
            "synack, 2nd, its ACK had come: accept queue full",
        ),
    ],
)
def test_a_line_says_why_how_often_and_where(
    wire: Layout, given: dict[str, Any], text: str
) -> None:
    row, facts = read(wire, given)
    assert resent_words.text(row, facts) == text


def read(wire: Layout, given: dict[str, Any]) -> tuple[Any, Facts]:
    """A row with these members, and what it is read with."""
    record = np.zeros(1, wire.dtypes["retransmit"])
    record["kind"] = wire.enums["kind"]["RETRANSMIT"]
    record["segments"] = 1
    record["state"] = wire.enums["tcp_state"]["ESTABLISHED"]
    members = {"seq_is": "RELATIVE"} | given
    enums = {"type": "resend", "seq_is": "seq_is", "acked": "acked"}
    for name, value in members.items():
        record[name] = wire.enums[enums[name]][value] if name in enums else value
    (row,) = rows(record, "retransmit")
    return row, Facts(wire, ProcessTable(0, 0), Clock(0, utc=True))


def test_a_number_that_is_not_known_is_null(wire: Layout) -> None:
    row, facts = read(wire, {"type": "SYNACK", "nth": 1, "seq_is": "NONE", "acked": "NO"})
    told = document("retransmit", row, facts)
    for name in ("seq", "seq_absolute", "rto_us", "srtt_us", "cwnd", "listener_cookie"):
        assert told[name] is None
    assert told["acked"] is False
    row, facts = read(wire, {"type": "RTO", "seq": 1 << 31, "seq_is": "ABSOLUTE"})
    told = document("retransmit", row, facts)
    assert (told["seq"], told["seq_absolute"], told["acked"]) == (None, 1 << 31, None)


@pytest.mark.parametrize("filters", [Filters(failed=True), Filters(slower_ns=1)])
def test_what_is_sent_again_has_no_end_that_failed_or_took_long(
    wire: Layout, filters: Filters
) -> None:
    passed, _ = refuse(filters, made(wire), wire, lambda *_: np.zeros(0, np.bool_))
    assert not passed.any()
