"""What `top` adds up: each byte once, whether a pass or a record of an end tells of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tracer.flows.grouping import Grouping, Numbers
from tracer.flows.traffic import AT, Traffic
from tracer.wire.layout import Layout, Records

BEGAN = 10**12
MS = 10**6
Made = Callable[..., Records]


@pytest.fixture
def row(wire: Layout) -> Made:
    """A row of a pass: an ESTABLISHED connection, younger or older than the session."""

    def make(cookie: int, state: str = "ESTABLISHED", life: int = 0, **values: int) -> Records:
        made = np.zeros(1, wire.dtypes["open_row"])
        made["cookie"], made["flags"], made["mono_ns"] = cookie, 1, BEGAN + 500 * MS
        made["state"] = wire.enums["tcp_state"][state]
        made["life_is"] = wire.enums["dwell_is"]["EXACT" if life else "AT_LEAST"]
        made["life_ns"] = life
        made["pid"], made["start"] = 7, 1
        for name, value in values.items():
            made[name] = value
        return made

    return make


@pytest.fixture
def end(wire: Layout) -> Made:
    """A record of one that ended 600 ms after the begin."""

    def make(cookie: int, old: str = "LAST_ACK", life: int = 0, **values: object) -> Records:
        made = np.zeros(1, wire.dtypes["connection"])
        made["cookie"], made["mono_ns"] = cookie, BEGAN + 600 * MS
        made["old"] = wire.enums["tcp_state"][old]
        made["end"] = wire.enums["end"][str(values.pop("end", "FIN"))]
        made["life_is"] = wire.enums["dwell_is"]["EXACT" if life else "AT_LEAST"]
        made["life_ns"] = life
        made["pid"], made["start"] = 7, 1
        for name, value in values.items():
            made[name] = value
        return made

    return make


@pytest.fixture
def traffic(wire: Layout) -> Traffic:
    return Traffic(wire, Numbers(Grouping(frozenset({"pid", "start"}))), BEGAN)


def none(wire: Layout) -> Records:
    return np.zeros(0, wire.dtypes["open_row"])


def sums(traffic: Traffic) -> dict[str, int]:
    return {name: int(traffic.whole[:, i].sum()) for name, i in AT.items()}


def test_one_that_is_older_counts_from_the_first_pass_on(traffic: Traffic, row: Made) -> None:
    traffic.look(row(1, rx_bytes=1000, segs_out=50, retransmits=9))
    assert not any(sums(traffic).values())
    traffic.look(row(1, rx_bytes=1017, segs_out=53, retransmits=10))
    found = sums(traffic)
    assert (found["rx_bytes"], found["segs_out"], found["retransmits"]) == (17, 3, 1)
    assert (found["opened"], traffic.open_count().sum()) == (0, 1)


def test_one_that_began_with_the_session_counts_from_0(traffic: Traffic, row: Made) -> None:
    traffic.look(row(1, life=300 * MS, tx_bytes=40))
    assert (sums(traffic)["tx_bytes"], sums(traffic)["opened"]) == (40, 1)


def test_a_byte_told_by_a_pass_is_not_told_again_by_the_end(
    wire: Layout, traffic: Traffic, row: Made, end: Made
) -> None:
    traffic.look(none(wire))
    traffic.look(row(1, rx_bytes=100))
    traffic.turn()
    traffic.ended(end(1, life=1, rx_bytes=130))
    assert (sums(traffic)["rx_bytes"], sums(traffic)["opened"]) == (130, 1)
    assert traffic.since[:, AT["rx_bytes"]].sum() == 30
    assert traffic.since[:, AT["opened"]].sum() == 0


def test_one_that_no_pass_saw_is_told_whole_by_its_end(
    wire: Layout, traffic: Traffic, end: Made
) -> None:
    traffic.look(none(wire))
    traffic.ended(end(2, life=10 * MS, rx_bytes=5, tx_bytes=6))
    found = sums(traffic)
    assert (found["rx_bytes"], found["tx_bytes"]) == (5, 6)
    assert (found["opened"], found["ended"], found["failures"]) == (1, 1, 0)


def test_an_end_that_comes_after_the_next_pass_is_still_compared(
    wire: Layout, traffic: Traffic, row: Made, end: Made
) -> None:
    traffic.look(row(1, rx_bytes=100))
    traffic.look(none(wire))
    traffic.ended(end(1, rx_bytes=103))
    assert sums(traffic)["rx_bytes"] == 3


def test_an_older_one_that_ended_before_the_first_pass_is_counted_without_its_bytes(
    wire: Layout, traffic: Traffic, end: Made
) -> None:
    traffic.look(none(wire))
    traffic.ended(end(9, rx_bytes=10**9))
    found = sums(traffic)
    assert (found["rx_bytes"], found["ended"], found["opened"]) == (0, 1, 0)
    assert traffic.unknown == 1


def test_attempts_fail_and_are_never_open(
    wire: Layout, traffic: Traffic, row: Made, end: Made
) -> None:
    traffic.look(none(wire))
    traffic.look(row(3, "SYN_SENT"))
    assert traffic.open_count().sum() == 0
    traffic.ended(end(3, "SYN_SENT", end="RST_RECEIVED"))
    found = sums(traffic)
    assert (found["opened"], found["ended"], found["failures"]) == (0, 0, 1)


def test_an_attempt_that_succeeds_is_opened_when_it_does(
    wire: Layout, traffic: Traffic, row: Made
) -> None:
    traffic.look(none(wire))
    traffic.look(row(3, "SYN_SENT"))
    assert sums(traffic)["opened"] == 0
    traffic.look(row(3))
    traffic.look(row(3))
    assert sums(traffic)["opened"] == 1


def test_a_socket_that_connects_again_counts_from_0(traffic: Traffic, row: Made) -> None:
    traffic.look(row(1, tx_bytes=1000))
    traffic.look(row(1, tx_bytes=11))
    assert sums(traffic)["tx_bytes"] == 11


def test_listening_and_mini_sockets_are_no_connections(traffic: Traffic, row: Made) -> None:
    mini = row(5, "TIME_WAIT")
    mini["flags"] = 0
    traffic.look(np.concatenate([row(1), row(4, "LISTEN"), mini]))
    assert traffic.open_count().sum() == 1


def test_round_trips_of_the_ended_are_kept_up_to_a_number(
    wire: Layout, traffic: Traffic, end: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tracer.flows.traffic.MOST_RTTS", 3)
    traffic.look(none(wire))
    for i in range(7):
        traffic.ended(end(i + 1, life=MS, srtt_us=100 + i))
    nothing = np.zeros(0, np.int64)
    assert traffic.rtts_whole.with_open(nothing, nothing)[1].tolist() == [104, 105, 106]
    traffic.turn()
    assert not len(traffic.rtts_since.with_open(nothing, nothing)[1])
