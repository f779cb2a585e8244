"""Ephemeral ports: how many there are, which are in use, how long they last."""

from __future__ import annotations

import ipaddress

import numpy as np
import pytest

from tracer.flows.ports import (
    NOTHING,
    Pace,
    Ports,
    Range,
    Use,
    exhausted_in_s,
    most_per_s,
    pace,
    read_range,
    reuses,
)
from tracer.wire.layout import Layout, Records

NETNS, SERVER = 7, 443
RANGE = Range(40000, 40099, frozenset({40005}))


def packed(text: str) -> bytes:
    found = ipaddress.ip_address(text)
    return found.packed if found.version == 6 else b"\0" * 10 + b"\xff\xff" + found.packed


def use(live: int, *remains: int) -> Use:
    return Use(live, np.array(remains, np.uint64))


def rows(wire: Layout, *found: tuple[str, str, int, str, int]) -> Records:
    """State, and both ends, of sockets whose cookies are 1, 2, ..."""
    made = np.zeros(len(found), wire.dtypes["sock_row"])
    for at, (state, laddr, lport, raddr, rport) in enumerate(found):
        made[at]["state"] = wire.enums["tcp_state"][state]
        made[at]["netns"], made[at]["cookie"] = NETNS, at + 1
        made[at]["laddr"] = np.frombuffer(packed(laddr), np.uint8)
        made[at]["raddr"] = np.frombuffer(packed(raddr), np.uint8)
        made[at]["lport"], made[at]["rport"] = lport, rport
    return made


def looked(wire: Layout, *found: tuple[str, str, int, str, int]) -> Ports:
    made = rows(wire, *found)
    return Ports(made, np.ones(len(made), np.bool_), {NETNS: RANGE}, wire)


# --- how many there are -----------------------------------------------------------


def test_the_range_of_a_fresh_machine_lasts_for_some_470_connections_a_second() -> None:
    assert round(most_per_s(28231), 1) == 470.5


def test_a_range_has_both_its_ends_and_not_what_is_reserved() -> None:
    found = read_range(
        {"ip_local_port_range": "32768\t60999", "ip_local_reserved_ports": "80,60990-61010,40000"}
    )
    assert found is not None
    assert str(found) == "32768-60999"
    assert found.reserved == {40000, *range(60990, 61000)}
    assert found.size == 28232 - 11


def test_without_its_settings_no_range_is_made_up() -> None:
    assert read_range({}) is None


@pytest.mark.parametrize(
    ("way", "stamps", "remote", "again"),
    [
        ("0", "1", "127.0.0.1", False),
        ("1", "1", "10.0.0.1", True),
        ("1", "0", "10.0.0.1", False),
        ("2", "1", "10.0.0.1", False),
        ("2", "1", "127.3.0.1", True),
        ("2", "1", "::1", True),
    ],
)
def test_what_is_in_time_wait_is_used_again_as_the_kernel_does_it(
    way: str, stamps: str, remote: str, again: bool
) -> None:
    settings = {"tcp_tw_reuse": way, "tcp_timestamps": stamps}
    assert reuses(settings, packed(remote)) is again


# --- which are in use -------------------------------------------------------------


def test_ports_count_for_one_source_and_destination(wire: Layout) -> None:
    found = looked(
        wire,
        ("ESTABLISHED", "10.0.0.1", 40000, "10.0.0.9", SERVER),
        ("SYN_SENT", "10.0.0.1", 40001, "10.0.0.9", SERVER),
        ("TIME_WAIT", "10.0.0.1", 40002, "10.0.0.9", SERVER),
        ("ESTABLISHED", "10.0.0.1", 40000, "10.0.0.9", SERVER + 1),
        ("ESTABLISHED", "10.0.0.2", 40000, "10.0.0.9", SERVER),
        ("ESTABLISHED", "fd00::1", 40000, "fd00::9", SERVER),
    )
    told = {(way.laddr, way.rport): (one.live, len(one.remains)) for way, one in found.uses.items()}
    assert told == {
        (packed("10.0.0.1"), SERVER): (2, 1),
        (packed("10.0.0.1"), SERVER + 1): (1, 0),
        (packed("10.0.0.2"), SERVER): (1, 0),
        (packed("fd00::1"), SERVER): (1, 0),
    }


def test_what_connect_did_not_choose_is_none_of_them(wire: Layout) -> None:
    found = looked(
        wire,
        ("LISTEN", "0.0.0.0", 40050, "0.0.0.0", 0),
        ("ESTABLISHED", "10.0.0.1", 40050, "10.0.0.9", 51000),  # a child of it
        ("ESTABLISHED", "10.0.0.1", 50000, "10.0.0.9", SERVER),  # out of the range
        ("ESTABLISHED", "10.0.0.1", 40005, "10.0.0.9", SERVER),  # reserved
    )
    assert found.uses == {}
    assert found.listened == {NETNS: 1}


def test_a_port_in_time_wait_that_is_used_again_counts_once(wire: Layout) -> None:
    found = looked(
        wire,
        ("TIME_WAIT", "10.0.0.1", 40000, "10.0.0.9", SERVER),
        ("ESTABLISHED", "10.0.0.1", 40000, "10.0.0.9", SERVER),
    )
    (one,) = found.uses.values()
    assert (one.live, len(one.remains), one.held) == (1, 0, 1)


def test_a_way_is_told_of_if_one_of_its_sockets_is_asked_for(wire: Layout) -> None:
    made = rows(
        wire,
        ("ESTABLISHED", "10.0.0.1", 40000, "10.0.0.9", SERVER),
        ("TIME_WAIT", "10.0.0.1", 40001, "10.0.0.9", SERVER),
        ("ESTABLISHED", "10.0.0.1", 40000, "10.0.0.8", SERVER),
    )
    found = Ports(made, np.array([True, False, False]), {NETNS: RANGE}, wire)
    (one,) = found.uses.values()
    assert one.held == 2


# --- for how long -----------------------------------------------------------------


def test_what_came_and_went_is_told_by_the_sockets_themselves() -> None:
    found = pace(use(5, 1, 2, 3), use(7, 3, 4, 5, 6, 7), 8, 2.0, 2.0)
    assert found == Pace(opens=4, grows=1, remains=2, expires=1)


def test_connections_that_are_kept_use_up_what_is_free() -> None:
    assert exhausted_in_s(use(40), 100, Pace(5, 5, 0, 0), reused=False) == 12


def test_ports_kept_for_longer_than_a_minute_add_up_beside_what_comes_and_goes() -> None:
    slow = Pace(opens=1.1, grows=0.1, remains=1, expires=1)
    assert exhausted_in_s(use(20, *range(60)), 100, slow, reused=False) == pytest.approx(200)


def test_less_than_a_minute_can_hold_is_never_too_much() -> None:
    steady = Pace(opens=1, grows=0, remains=1, expires=0)
    assert exhausted_in_s(use(0, *range(10)), 100, steady, reused=False) is None


def test_more_than_a_minute_can_hold_is_told_in_time() -> None:
    flood = Pace(opens=10, grows=0, remains=10, expires=0)
    assert exhausted_in_s(use(0, *range(20)), 100, flood, reused=False) == 8


def test_where_time_wait_is_used_again_it_takes_no_port() -> None:
    flood = Pace(opens=10, grows=0, remains=10, expires=0)
    assert exhausted_in_s(use(0, *range(100)), 100, flood, reused=True) is None
    assert exhausted_in_s(use(0, *range(100)), 100, flood, reused=False) == 0


def test_with_nothing_going_on_nothing_is_foretold() -> None:
    assert exhausted_in_s(NOTHING, 100, Pace(0, 0, 0, 0), reused=False) is None
