"""RSTs added up batch by batch are what one look at all of them gives; gaps are as they were."""

from __future__ import annotations

from collections import Counter
from errno import ECONNABORTED, ECONNRESET, EPIPE, ETIMEDOUT
from typing import Any

import numpy as np
import pytest

from tracer.flows.gaps import Gaps
from tracer.flows.grouping import Grouping, Numbers
from tracer.flows.reset_counts import ResetCounts
from tracer.flows.resets import SORTS, Broken, ResetTable, Silence, idle_spans
from tracer.wire.layout import Layout, Records

SECOND = 1_000_000_000
PEERS = 5


def made(wire: Layout, kind: str, count: int, **values: Any) -> Records:
    found = np.zeros(count, wire.dtypes[kind])
    for name, value in values.items():
        found[name] = value
    return found


def resets(wire: Layout, count: int) -> Records:
    """RSTs of PEERS hosts: every third was sent, after a silence of its own each."""
    number = np.arange(count)
    enums = wire.enums
    sent = number % 3 == 0
    found = made(wire, "reset", count, flags=8, last_sent_ns=(number + 1) * 1_000_000)
    found["way"] = np.where(sent, enums["reset_way"]["SENT"], enums["reset_way"]["RECEIVED"])
    found["by"] = np.where(sent, enums["reset_by"]["LINGER0"], enums["reset_by"]["PEER"])
    found["state"] = enums["tcp_state"]["ESTABLISHED"]
    found["raddr"][:, 10:12] = 255
    found["raddr"][:, 15] = number % PEERS
    return found


def by_peer(wire: Layout) -> ResetTable:
    return ResetTable(Numbers(Grouping(frozenset({"high", "low"}))))


def test_groups_hold_what_their_resets_add_up_to(wire: Layout) -> None:
    every = resets(wire, 997)
    table = by_peer(wire)
    for part in np.array_split(every, 13):
        table.add(part)
    assert sum(table.counts.values()) == 997
    expected = Counter(zip(every["way"].tolist(), every["raddr"][:, 15].tolist(), strict=True))
    assert sorted(table.counts.values()) == sorted(expected.values())
    way = SORTS.index("way")
    sent = wire.enums["reset_way"]["SENT"]
    groups = {key: int(key[way] != sent) for key in table.counts}
    for spans, chosen in zip(table.idle(groups, 2), (sent, 1 - sent), strict=True):
        mine = np.sort(every["last_sent_ns"][every["way"] == chosen])
        assert (spans.count, spans.total) == (len(mine), mine.sum())
        assert spans.quantile(0.5) == pytest.approx(np.median(mine), rel=0.07)


def test_tables_that_are_merged_are_one(wire: Layout) -> None:
    every = resets(wire, 500)
    numbers = Numbers(Grouping(frozenset({"high", "low"})))
    whole, part, once = ResetTable(numbers), ResetTable(numbers), ResetTable(numbers)
    whole.add(every[:300])
    part.add(every[300:])
    whole.merge(part)
    once.add(every)
    assert whole.counts == once.counts
    assert {way: one.counts for way, one in whole.silence.items()} == {
        way: one.counts for way, one in once.silence.items()
    }


def test_it_was_silent_since_the_latest_segment_of_either_side(wire: Layout) -> None:
    records = made(wire, "reset", 4, last_sent_ns=7, last_received_ns=5, last_ack_ns=9)
    records["flags"] = [8 | 16, 8, 0, 0]
    records["last_ack_ns"][3] = 0
    spans, known = idle_spans(records)
    assert spans[:3].tolist() == [5, 7, 9]
    assert known.tolist() == [True, True, True, False]


def test_the_spike_is_named_with_how_many_share_it() -> None:
    silence = Silence()
    silence.add(np.array([350 * SECOND + i * 10_000_000 for i in range(89)], np.uint64))
    silence.add(np.array([i * SECOND for i in range(1, 12)], np.uint64))
    spike = silence.spike()
    assert spike is not None
    assert (spike.count, spike.of) == (89, 100)
    assert round(spike.ns / SECOND) == 350


@pytest.mark.parametrize(
    "spans",
    [
        [],
        [60 * SECOND] * 4,  # too few
        [10_000_000] * 97,  # too short to be a timeout
        [(i + 1) * 10 * SECOND for i in range(97)],  # as often as any other
    ],
)
def test_there_is_no_spike_where_none_stands_out(spans: list[int]) -> None:
    silence = Silence()
    if spans:
        silence.add(np.array(spans, np.uint64))
    assert silence.spike() is None


def test_a_timeout_where_two_places_meet_is_one_spike() -> None:
    silence = Silence()
    silence.add(np.array([355 * SECOND - 1] * 31 + [355 * SECOND + 1] * 31, np.uint64))
    spike = silence.spike()
    assert spike is not None
    assert (spike.count, spike.of) == (62, 62)


def test_the_kernels_counters_are_explained_once_each(wire: Layout) -> None:
    by, states = wire.enums["reset_by"], wire.enums["tcp_state"]
    sent = [
        ("APP_CLOSE_UNREAD", "ESTABLISHED", 0),
        ("LINGER0", "CLOSE_WAIT", 0),
        ("DATA_AFTER_CLOSE", "FIN_WAIT2", 3),
        ("LINGER2", "FIN_WAIT2", 0),
        ("LINGER2", "FIN_WAIT2", 3),
        ("NO_SOCKET", "NONE", 1),
        ("KILLED", "ESTABLISHED", 0),
        ("KEEPALIVE", "ESTABLISHED", 0),
    ]
    records = made(wire, "reset", len(sent) + 2, netns=7)
    for row, (name, state, answers) in zip(records, sent, strict=False):
        row["by"], row["state"], row["answers"] = by[name], states[state], answers
    records["way"][-2:] = wire.enums["reset_way"]["RECEIVED"]
    records["by"][-2:] = by["PEER"]
    records["state"][-2:] = states["ESTABLISHED"], states["FIN_WAIT1"]
    errors = made(wire, "error", 5, netns=7, ended=1, state=states["ESTABLISHED"])
    errors["error"] = ECONNABORTED, ETIMEDOUT, ECONNRESET, EPIPE, ETIMEDOUT
    errors["state"][-1] = states["SYN_SENT"]
    broken = Broken(wire)
    broken.resets(records)
    broken.errors(errors, [ECONNRESET, EPIPE], ETIMEDOUT)
    assert broken.told() == {
        7: {
            "OutRsts": len(sent),
            "EstabResets": 5,  # unread, linger0, killed, keepalive, and the one received
            "TCPAbortOnClose": 1,
            "TCPAbortOnData": 3,
            "TCPAbortOnLinger": 1,
            "TCPAbortOnTimeout": 2,
        }
    }


# --- ports nobody heard -----------------------------------------------------------


MS = 1_000_000


def listens(wire: Layout, *moments: tuple[int, str, int]) -> Records:
    """Begin and end of listening on port 80: when in ms, which, cookie."""
    states = wire.enums["tcp_state"]
    found = made(wire, "state", len(moments), netns=7, lport=80)
    for row, (moment, what, cookie) in zip(found, moments, strict=True):
        row["mono_ns"], row["cookie"], row["pid"] = moment * MS, cookie, 100 + cookie
        row["old"] = states["LISTEN" if what == "close" else "CLOSE"]
        row["new"] = states["CLOSE" if what == "close" else "LISTEN"]
    return found


def refused(wire: Layout, *moments: float, by: str = "NO_SOCKET", port: int = 80) -> Records:
    found = made(wire, "reset", len(moments), netns=7, lport=port)
    found["by"] = wire.enums["reset_by"][by]
    found["answers"] = wire.enums["answers"]["SYN"] if by == "NO_SOCKET" else 0
    found["mono_ns"] = np.array(moments) * MS
    return found


def test_a_gap_has_its_ends_and_what_was_refused_between_them(wire: Layout) -> None:
    gaps = Gaps(wire)
    moves = listens(wire, (10, "open", 1), (20, "close", 1), (40, "open", 2))
    gaps.add(moves, refused(wire, 15, 21, 30, 39, 41))
    (gap,) = gaps.felt()
    assert (gap.port, gap.closed_ns, gap.opened_ns) == (80, 20 * MS, 40 * MS)
    assert (gap.closed_by, gap.opened_by) == ((101, 0), (102, 0))
    assert gap.refused == 3


def test_a_gap_goes_on_over_batches(wire: Layout) -> None:
    gaps = Gaps(wire)
    gaps.add(listens(wire, (10, "open", 1), (20, "close", 1)), None)
    assert gaps.felt() == []
    gaps.add(None, refused(wire, 21, 22))
    gaps.add(None, refused(wire, 23, 24, port=81))
    gaps.add(listens(wire, (40, "open", 2)), refused(wire, 41))
    (gap,) = gaps.felt()
    assert (gap.opened_ns, gap.refused) == (40 * MS, 2)
    assert gaps.felt(from_ns=40 * MS) == []


def test_what_is_refused_a_moment_before_or_after_belongs_to_the_gap(wire: Layout) -> None:
    gaps = Gaps(wire)
    gaps.add(listens(wire, (10, "open", 1)), refused(wire, 18.9, 19.98))
    gaps.add(listens(wire, (20, "close", 1), (40, "open", 2)), None)
    gaps.add(None, refused(wire, 40.02, 41.1))
    gaps.add(listens(wire, (60, "close", 2)), None)
    (gap,) = gaps.felt()
    assert (gap.opened_ns, gap.refused) == (40 * MS, 2)


def test_there_is_no_gap_while_another_listens(wire: Layout) -> None:
    gaps = Gaps(wire)
    gaps.add(listens(wire, (10, "open", 1), (12, "open", 2), (20, "close", 1)), None)
    gaps.add(None, refused(wire, 21))
    assert gaps.felt() == []


def test_one_that_listened_before_tracing_leaves_a_gap(wire: Layout) -> None:
    gaps = Gaps(wire)
    listen = wire.enums["tcp_state"]["LISTEN"]
    gaps.begin(made(wire, "holder_row", 1, netns=7, lport=80, cookie=1, state=listen))
    gaps.add(listens(wire, (20, "close", 1)), refused(wire, 21))
    (gap,) = gaps.felt()
    assert (gap.closed_ns, gap.opened_ns, gap.refused) == (20 * MS, 0, 1)


def test_those_that_waited_as_it_closed_are_counted_apart(wire: Layout) -> None:
    gaps = Gaps(wire)
    closed = listens(wire, (10, "open", 1), (20, "close", 1))
    gaps.add(closed, refused(wire, 20, 20, by="LISTENER_CLOSED"))
    (gap,) = gaps.felt()
    assert (gap.refused, gap.reset_in_queue) == (0, 2)


# --- the kernel's own counts ------------------------------------------------------


def counted(wire: Layout, *rows: tuple[dict[str, Any], int]) -> Records:
    """Keys as these values have them, and how many of each."""
    pair = np.dtype([(name, wire.dtypes[f"reset_{name}"]) for name in ("key", "value")])
    found = np.zeros(len(rows), pair)
    for row, (values, count) in zip(found, rows, strict=True):
        for name, value in values.items():
            row["key"][name] = value
        row["value"]["resets"] = count
    return found


def host(number: int) -> list[int]:
    return [0] * 10 + [255, 255, 10, 0, 0, number]


def test_counts_are_those_of_the_records_they_were_counted_with(wire: Layout) -> None:
    every = resets(wire, 997)
    numbers = Numbers(Grouping(frozenset({"high", "low"})))
    table, counts = ResetTable(numbers), ResetCounts(numbers)
    table.add(every)
    columns = [name for name in wire.dtypes["reset_key"].names or () if not name.startswith("_")]
    keys = np.zeros(len(every), wire.dtypes["reset_key"])
    for name in columns:
        keys[name] = every[name] if name != "family" else 4
    found, sums = np.unique(keys, return_counts=True)
    pairs = np.zeros(len(found), counted(wire).dtype)
    pairs["key"], pairs["value"]["resets"] = found, sums
    counts.take(pairs)
    assert counts.counts == table.counts


def test_an_interval_has_what_was_counted_in_it(wire: Layout) -> None:
    counts = ResetCounts(Numbers(Grouping(frozenset({"high", "low"}))))
    one = {"raddr": host(1), "family": 4}
    counts.take(counted(wire, (one, 3)))
    counts.turn()
    counts.take(counted(wire, (one, 10), ({"raddr": host(2), "family": 4}, 2)))
    assert sorted(counts.of_interval().values()) == [2, 7]
    assert sorted(counts.counts.values()) == [2, 10]


def test_those_without_room_of_their_own_are_no_host_s(wire: Layout) -> None:
    numbers = Numbers(Grouping(frozenset({"high", "low"}), bits=24))
    counts = ResetCounts(numbers)
    counts.take(counted(wire, ({"raddr": [0] * 15 + [1], "family": 6}, 5), ({"netns": 7}, 11)))
    assert {key[-1] < 0: count for key, count in counts.counts.items()} == {False: 5, True: 11}
    assert counts.apart() == 11


def test_those_without_room_at_all_are_a_number_and_no_row(wire: Layout) -> None:
    counts = ResetCounts(Numbers(Grouping(frozenset({"high", "low"}))))
    counts.take(counted(wire, ({"raddr": host(1), "family": 4, "netns": 7}, 5), ({}, 11)))
    assert (sum(counts.counts.values()), counts.unplaced, counts.apart()) == (5, 11, 0)


def test_the_kernels_counters_are_explained_by_its_counts_of_rsts(wire: Layout) -> None:
    by, states = wire.enums["reset_by"], wire.enums["tcp_state"]
    broken = Broken(wire)
    broken.resets(made(wire, "reset", 5, netns=7, by=by["NO_SOCKET"], answers=1))
    error = made(wire, "error", 1, netns=7, ended=1, state=states["ESTABLISHED"], error=ETIMEDOUT)
    broken.errors(error, [ECONNRESET, EPIPE], ETIMEDOUT)
    pairs = counted(
        wire,
        ({"netns": 7, "by": by["NO_SOCKET"], "answers": 1}, 1_000_003),
        ({"netns": 7, "by": by["LINGER0"], "state": states["ESTABLISHED"]}, 17),
        ({"netns": 8, "by": by["APP_CLOSE_UNREAD"], "state": states["FIN_WAIT1"]}, 3),
    )
    timed_out = {"TCPAbortOnTimeout": 1}
    assert broken.told(pairs) == {
        7: {"OutRsts": 1_000_020, "TCPAbortOnData": 17, "EstabResets": 18, **timed_out},
        8: {"OutRsts": 3, "TCPAbortOnClose": 3},
    }
    assert broken.told() == {7: {"OutRsts": 5, "EstabResets": 1, **timed_out}}
