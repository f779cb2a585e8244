"""Sockets now, and rates: from made-up transitions, accepts and passes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer.flows.present import Present
from tracer.flows.pulse import Pulse
from tracer.wire.layout import Layout, Records

SERVER, WORKER, CLIENT = (10, 1), (11, 1), (12, 1)


def steps(wire: Layout, *told: tuple[Any, ...]) -> Records:
    """State records: owner, old, new and perhaps the mini-socket that took over."""
    states = wire.enums["tcp_state"]
    records = np.zeros(len(told), wire.dtypes["state"])
    for record, (owner, old, new, *mini) in zip(records, told, strict=True):
        record["pid"], record["start"] = owner
        record["old"], record["new"] = states[old], states[new]
        record["timewait"] = states[mini[0]] if mini else 0
    return records


def accepted(wire: Layout, count: int) -> Records:
    records = np.zeros(count, wire.dtypes["accept"])
    records["pid"], records["start"] = WORKER
    records["listener_pid"], records["listener_start"] = SERVER
    records["state"] = wire.enums["tcp_state"]["ESTABLISHED"]
    return records


def named(wire: Layout, counts: dict[int, int]) -> dict[str, int]:
    return {wire.names["tcp_state"][state]: count for state, count in counts.items() if count}


def test_what_comes_and_goes_within_a_batch_leaves_nothing_behind(wire: Layout) -> None:
    life = [
        (CLIENT, "CLOSE", "SYN_SENT"),
        (CLIENT, "SYN_SENT", "ESTABLISHED"),
        (CLIENT, "ESTABLISHED", "FIN_WAIT1"),
        (CLIENT, "FIN_WAIT1", "FIN_WAIT2"),
        (CLIENT, "FIN_WAIT2", "CLOSE", "TIME_WAIT"),
    ]
    present = Present(wire)
    present.move(steps(wire, *life * 7))
    assert named(wire, present.by_state()) == {"TIME_WAIT": 7}


def test_a_child_leaves_its_listener_one(wire: Layout) -> None:
    present = Present(wire)
    present.move(
        steps(
            wire,
            (SERVER, "CLOSE", "LISTEN"),
            (SERVER, "LISTEN", "SYN_RECV"),
            (SERVER, "SYN_RECV", "ESTABLISHED"),
        )
    )
    assert named(wire, present.by_owner()[SERVER]) == {"LISTEN": 1, "ESTABLISHED": 1}
    present.move(steps(wire, (SERVER, "LISTEN", "CLOSE")))
    assert named(wire, present.by_owner()[SERVER]) == {"ESTABLISHED": 1}


def test_what_is_accepted_is_its_acceptors(wire: Layout) -> None:
    present = Present(wire)
    present.move(steps(wire, *[(SERVER, "SYN_RECV", "ESTABLISHED")] * 5))
    present.pass_on(accepted(wire, 3))
    owners = present.by_owner()
    assert named(wire, owners[WORKER]) == {"ESTABLISHED": 3}
    assert owners[SERVER][wire.enums["tcp_state"]["ESTABLISHED"]] == 2


def test_a_pass_sets_everything_right(wire: Layout) -> None:
    present = Present(wire)
    present.move(steps(wire, *[(CLIENT, "CLOSE", "SYN_SENT")] * 5))
    rows = np.zeros(2, wire.dtypes["sock_row"])
    rows["pid"], rows["start"] = SERVER
    rows["state"] = wire.enums["tcp_state"]["CLOSE_WAIT"]
    present.set_right(rows)
    assert named(wire, present.by_state()) == {"CLOSE_WAIT": 2}


def test_one_whose_begin_was_not_told_is_never_counted_below_none(wire: Layout) -> None:
    present = Present(wire)
    present.move(steps(wire, (CLIENT, "ESTABLISHED", "CLOSE")))
    assert named(wire, present.by_state()) == {}


def test_rates_are_those_of_the_last_interval(wire: Layout) -> None:
    pulse = Pulse(wire)
    assert pulse.rate("opened_in") is None
    pulse.add_states(
        steps(
            wire,
            *[(SERVER, "LISTEN", "SYN_RECV")] * 6,
            *[(CLIENT, "CLOSE", "SYN_SENT")] * 4,
            *[(CLIENT, "SYN_SENT", "CLOSE")] * 2,
            (CLIENT, "LAST_ACK", "CLOSE"),
            (SERVER, "LISTEN", "CLOSE"),
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
