"""Sockets now, and rates: from made-up transitions, accepts and passes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from tracer.flows.pulse import Pulse
from tracer.flows.sockets import (
    GONE,
    MOST_REMAINS,
    SURE,
    TROUBLED,
    WELL,
    Sockets,
    by_owner,
    by_state,
)
from tracer.wire.layout import Layout, Records

SERVER, WORKER, CLIENT = (10, 1), (11, 1), (12, 1)


def steps(wire: Layout, *told: tuple[Any, ...]) -> Records:
    """State records: owner, old, new, cookie, and perhaps the mini-socket that took over."""
    states = wire.enums["tcp_state"]
    records = np.zeros(len(told), wire.dtypes["state"])
    for record, (owner, old, new, cookie, *mini) in zip(records, told, strict=True):
        record["pid"], record["start"] = owner
        record["cookie"] = cookie
        record["old"], record["new"] = states[old], states[new]
        record["timewait"] = states[mini[0]] if mini else 0
    return records


def accepted(wire: Layout, count: int) -> Records:
    records = np.zeros(count, wire.dtypes["accept"])
    records["cookie"] = np.arange(1, count + 1)
    records["pid"], records["start"] = WORKER
    records["listener_pid"], records["listener_start"] = SERVER
    records["state"] = wire.enums["tcp_state"]["ESTABLISHED"]
    return records


def looked(wire: Layout, *found: tuple[int, str]) -> Records:
    """Rows of a pass: cookie and state."""
    rows = np.zeros(len(found), wire.dtypes["sock_row"])
    rows["cookie"] = [cookie for cookie, _ in found]
    rows["state"] = [wire.enums["tcp_state"][state] for _, state in found]
    rows["pid"], rows["start"] = SERVER
    return rows


def named(wire: Layout, counts: dict[int, int]) -> dict[str, int]:
    return {wire.names["tcp_state"][state]: count for state, count in counts.items()}


def test_what_comes_and_goes_within_a_batch_leaves_nothing_behind(wire: Layout) -> None:
    life = ("CLOSE", "SYN_SENT", "ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2")
    told = [
        step
        for cookie in range(1, 8)
        for step in (
            *((CLIENT, old, new, cookie) for old, new in pairwise(life)),
            (CLIENT, "FIN_WAIT2", "CLOSE", cookie, "TIME_WAIT"),
        )
    ]
    told += [(CLIENT, "CLOSE", "SYN_SENT", 9), (CLIENT, "SYN_SENT", "CLOSE", 9)]
    kept = Sockets(wire, 0)
    kept.move(steps(wire, *told))
    assert named(wire, by_state(kept.rows(1))) == {"TIME_WAIT": 7}


def test_a_child_leaves_its_listener_one(wire: Layout) -> None:
    kept = Sockets(wire, 0)
    kept.move(
        steps(
            wire,
            (SERVER, "CLOSE", "LISTEN", 1),
            (SERVER, "LISTEN", "SYN_RECV", 2),
            (SERVER, "SYN_RECV", "ESTABLISHED", 2),
        )
    )
    assert named(wire, by_owner(kept.rows(1))[SERVER]) == {"LISTEN": 1, "ESTABLISHED": 1}
    kept.move(steps(wire, (SERVER, "LISTEN", "CLOSE", 1)))
    assert named(wire, by_owner(kept.rows(1))[SERVER]) == {"ESTABLISHED": 1}


def test_what_is_accepted_is_its_acceptors(wire: Layout) -> None:
    kept = Sockets(wire, 0)
    kept.move(steps(wire, *[(SERVER, "SYN_RECV", "ESTABLISHED", n) for n in range(1, 6)]))
    kept.pass_on(accepted(wire, 3))
    owners = by_owner(kept.rows(1))
    assert named(wire, owners[WORKER]) == {"ESTABLISHED": 3}
    assert named(wire, owners[SERVER]) == {"ESTABLISHED": 2}


def test_a_pass_sets_everything_right(wire: Layout) -> None:
    kept = Sockets(wire, 0)
    kept.move(steps(wire, *[(CLIENT, "CLOSE", "SYN_SENT", n) for n in range(1, 6)]))
    kept.set_right(looked(wire, (7, "CLOSE_WAIT"), (8, "CLOSE_WAIT")))
    assert named(wire, by_state(kept.rows(1))) == {"CLOSE_WAIT": 2}


def test_what_a_pass_saw_and_a_transition_tells_again_is_one_socket(wire: Layout) -> None:
    kept = Sockets(wire, 0)
    kept.set_right(looked(wire, (1, "SYN_SENT"), (2, "ESTABLISHED")))
    kept.move(steps(wire, (CLIENT, "CLOSE", "SYN_SENT", 1), (CLIENT, "SYN_SENT", "ESTABLISHED", 1)))
    assert named(wire, by_state(kept.rows(1))) == {"ESTABLISHED": 2}


def test_one_whose_begin_was_not_told_ends_all_the_same(wire: Layout) -> None:
    kept = Sockets(wire, 0)
    kept.move(steps(wire, (CLIENT, "ESTABLISHED", "CLOSE", 5)))
    assert named(wire, by_state(kept.rows(1))) == {}


def test_how_long_it_is_in_its_state_is_exact_from_a_transition_on(wire: Layout) -> None:
    kept = Sockets(wire, 0)
    older = looked(wire, (1, "ESTABLISHED"), (2, "ESTABLISHED"))
    older["age_ns"], older["age_is"] = 100, wire.enums["dwell_is"]["AT_LEAST"]
    kept.set_right(older)
    assert kept.rows(1000)["since_ns"].tolist() == [900, 900]
    told = steps(wire, (CLIENT, "ESTABLISHED", "CLOSE_WAIT", 2))
    told["mono_ns"] = 1500
    kept.move(told)
    rows = kept.rows(2000)
    assert rows["since_ns"].tolist() == [900, 1500]
    exact = wire.enums["dwell_is"]["EXACT"]
    assert (rows["since_is"] == exact).tolist() == [False, True]


def test_what_transitions_tell_can_be_filtered_by(wire: Layout) -> None:
    told = steps(wire, (CLIENT, "CLOSE", "SYN_SENT", 1))
    told["uid"], told["netns"], told["lport"], told["family"] = 1000, 7, 443, 6
    kept = Sockets(wire, 0)
    kept.move(told)
    (row,) = kept.rows(1)
    assert (row["uid"], row["netns"], row["lport"], row["family"]) == (1000, 7, 443, 6)


def test_more_time_wait_than_there_is_room_for_is_counted(wire: Layout) -> None:
    kept = Sockets(wire, 0)
    many = MOST_REMAINS + 7
    states = wire.enums["tcp_state"]
    told = np.zeros(many, wire.dtypes["state"])
    told["cookie"] = np.arange(1, many + 1)
    told["new"], told["timewait"] = states["CLOSE"], states["TIME_WAIT"]
    kept.move(told)
    assert named(wire, by_state(kept.rows(1))) == {"TIME_WAIT": MOST_REMAINS}
    assert kept.left_out == 7


def test_rates_are_those_of_the_last_interval(wire: Layout) -> None:
    pulse = Pulse(wire)
    assert pulse.rate("opened_in") is None
    pulse.add_states(
        steps(
            wire,
            *[(SERVER, "LISTEN", "SYN_RECV", 1)] * 6,
            *[(CLIENT, "CLOSE", "SYN_SENT", 1)] * 4,
            *[(CLIENT, "SYN_SENT", "CLOSE", 1)] * 2,
            (CLIENT, "LAST_ACK", "CLOSE", 1),
            (SERVER, "LISTEN", "CLOSE", 1),
        )
    )
    pulse.tick(2.0)
    told = {name: pulse.rate(name) for name in ("opened_in", "opened_out", "failed", "closed")}
    assert told == {"opened_in": 3.0, "opened_out": 2.0, "failed": 1.0, "closed": 0.5}
    assert (pulse.opens, pulse.fails) == ({SERVER: 3.0, CLIENT: 2.0}, {CLIENT: 1.0})
    pulse.tick(1.0)
    assert pulse.rate("opened_in") == 0
    assert pulse.curve("opened_in") == [3.0, 0.0]
    assert pulse.opens == {}


def test_what_was_told_of_the_time_before_a_pass_brings_nothing_back(wire: Layout) -> None:
    kept = Sockets(wire, 0)
    early = steps(wire, (CLIENT, "CLOSE", "SYN_SENT", 1), (CLIENT, "CLOSE", "SYN_SENT", 2))
    early["mono_ns"] = 100
    late = steps(wire, (CLIENT, "SYN_SENT", "ESTABLISHED", 3))
    late["mono_ns"] = 200
    kept.set_right(looked(wire, (2, "ESTABLISHED")), began_ns=150)  # the end of 1 was lost
    kept.move(np.concatenate([early, late]))
    rows = kept.rows(300)
    assert rows["cookie"].tolist() == [2, 3]
    assert rows["state"].tolist() == [wire.enums["tcp_state"]["ESTABLISHED"]] * 2
    assert rows["role"].tolist() == [1, 0]  # who opened it is told by transitions alone


def test_standing_is_as_of_the_moment_asked_for_or_later(wire: Layout) -> None:
    kept = Sockets(wire, 0)
    there = ((1, "ESTABLISHED"), (2, "TIME_WAIT"), (4, "CLOSE_WAIT"), (6, "LISTEN"))
    cookies = np.array([1, 2, 3, 4, 5, 6], np.uint64)
    kept.set_right(looked(wire, *there))
    kept.rows(1)
    assert kept.standing(cookies, 1).tolist() == [WELL, GONE, GONE, TROUBLED, GONE, GONE]
    kept.set_right(looked(wire, *there))
    kept.rows(1)
    seen = [WELL + SURE, GONE, GONE, TROUBLED + SURE, GONE, GONE]
    assert kept.standing(cookies, 1).tolist() == seen
    moves = steps(wire, (CLIENT, "SYN_SENT", "ESTABLISHED", 5), (CLIENT, "LAST_ACK", "CLOSE", 4))
    moves["mono_ns"] = 100
    kept.move(moves)
    assert kept.standing(cookies, 99).tolist() == seen
    assert kept.standing(cookies, 100).tolist() == [WELL + SURE, GONE, GONE, GONE, WELL, GONE]
