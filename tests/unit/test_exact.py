"""Numbers that the kernel counted: of all that happened, whatever came of its records."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tests.unit.test_sockets import CLIENT, SERVER, steps
from tracer.flows.exact import Moves, Totals, totals
from tracer.flows.pulse import NAMES, Pulse
from tracer.flows.tally import Lost
from tracer.views.live.losses import Losses, Share
from tracer.wire.layout import Layout, Records

SECOND = 1_000_000_000
Owner = tuple[int, int]


def counted(wire: Layout, moved: Iterable[tuple[str, str, int]], failed_accepts: int) -> Records:
    stats: Records = np.zeros(1, wire.dtypes["stats"])[0]
    states, kinds = wire.enums["tcp_state"], wire.enums["kind"]
    for old, new, count in moved:
        stats["transitions"][states[old], states[new]] = count
        stats["matched"][kinds["STATE"]] += count
    stats["matched"][kinds["ACCEPT"]] = 11
    stats["matched"][kinds["TASK"]] = 1000
    stats["accepts_failed"] = failed_accepts
    return stats


def moves(wire: Layout, *told: tuple[Owner, str, str, int]) -> Moves:
    keys = np.zeros(len(told), wire.dtypes["count_key"])
    values = np.zeros(len(told), wire.dtypes["count_value"])
    for i, ((pid, start), old, new, count) in enumerate(told):
        keys[i]["pid"], keys[i]["start"] = pid, start
        keys[i]["old"] = wire.enums["tcp_state"][old]
        keys[i]["new"] = wire.enums["tcp_state"][new]
        values[i]["count"] = count
    return Moves(keys, values, wire)


STEPS = (
    ("LISTEN", "SYN_RECV", 13),
    ("CLOSE", "SYN_SENT", 29),
    ("SYN_SENT", "CLOSE", 3),
    ("SYN_RECV", "CLOSE", 2),
    ("LAST_ACK", "CLOSE", 7),
    ("FIN_WAIT2", "CLOSE", 5),
    ("LISTEN", "CLOSE", 1),
)


def test_totals_are_the_kernels_transitions(wire: Layout) -> None:
    found = totals(counted(wire, STEPS, 4), wire)
    assert found == {
        "opened_in": 13,
        "opened_out": 29,
        "failed": 5,
        "closed": 12,
        "accepted": 7,
        "events": sum(count for _, _, count in STEPS) + 11,
    }


def test_of_a_recording_that_lacks_failed_accepts_those_that_went_well_are_not_told(
    wire: Layout,
) -> None:
    stats = counted(wire, STEPS, 0)
    older = [name for name in stats.dtype.names or () if name != "accepts_failed"]
    assert "accepted" not in totals(stats[older], wire)


def test_a_rate_is_what_the_kernel_counted_though_records_were_lost(wire: Layout) -> None:
    pulse = Pulse(wire)
    pulse.begin_totals(10 * SECOND)
    pulse.add_states(steps(wire, (CLIENT, "CLOSE", "SYN_SENT", 1)))  # one came of 600
    pulse.totals(Totals(12 * SECOND, {"opened_out": 600}))
    pulse.tick(2.1)
    assert pulse.rate("opened_out") == 300.0
    pulse.stand(13 * SECOND)
    pulse.tick(1.0)
    assert pulse.rate("opened_out") == 0
    pulse.totals(Totals(14 * SECOND, {"opened_out": 650}))
    pulse.tick(1.0)
    assert pulse.rate("opened_out") == 50.0


def test_where_the_kernel_counts_all_of_it_records_are_not_counted_beside(wire: Layout) -> None:
    pulse = Pulse(wire)
    pulse.begin_totals(0)
    pulse.totals(Totals(SECOND, totals(counted(wire, STEPS, 4), wire)))
    pulse.add("state", steps(wire, (CLIENT, "CLOSE", "SYN_SENT", 1)))
    pulse.tick(1.0)
    told = {name: pulse.rate(name) for name in NAMES}
    assert told == totals(counted(wire, STEPS, 4), wire)


def test_what_the_kernel_does_not_count_is_of_records(wire: Layout) -> None:
    pulse = Pulse(wire)
    pulse.begin_totals(0)
    accepts = np.zeros(6, wire.dtypes["accept"])
    pulse.add_accepts(accepts)
    pulse.totals(Totals(2 * SECOND, {"opened_out": 4}))
    pulse.tick(2.0)
    assert (pulse.rate("opened_out"), pulse.rate("accepted")) == (2.0, 3.0)


def test_owners_have_what_the_kernel_counted_of_them(wire: Layout) -> None:
    pulse = Pulse(wire, counts_moves=True)
    pulse.add_states(steps(wire, (CLIENT, "CLOSE", "SYN_SENT", 1)))
    pulse.moves(
        moves(
            wire,
            (CLIENT, "CLOSE", "SYN_SENT", 40),
            (CLIENT, "SYN_SENT", "CLOSE", 6),
            (SERVER, "LISTEN", "SYN_RECV", 20),
            (SERVER, "ESTABLISHED", "CLOSE_WAIT", 9),
        ),
        2.0,
    )
    pulse.tick(2.0)
    assert (pulse.opens, pulse.fails) == ({CLIENT: 20.0, SERVER: 10.0}, {CLIENT: 3.0})


def test_more_in_a_state_is_what_entered_it_less_what_left_it(wire: Layout) -> None:
    found = moves(
        wire,
        (SERVER, "ESTABLISHED", "CLOSE_WAIT", 9),
        (SERVER, "CLOSE_WAIT", "LAST_ACK", 4),
        (CLIENT, "CLOSE_WAIT", "CLOSE", 3),
    )
    assert found.more_in("CLOSE_WAIT") == {SERVER: 5, CLIENT: -3}


def test_a_share_is_rounded_down_and_never_none_or_all_of_what_was_lost() -> None:
    assert str(Share(999, 1)) == "of 99% of them"
    assert str(Share(1, 999)) == "of <1% of them"
    assert str(Share(7, 0)) == ""


def test_shares_are_of_the_last_minute_and_of_what_was_lost_by_kind(wire: Layout) -> None:
    losses = Losses(0)
    losses.came({"state": np.zeros(3, wire.dtypes["state"])})
    losses.lost([Lost(1, 1, "buffer", "state"), Lost(1, 5, "limited", "drop")])
    assert losses.of_minute() == losses.of_all() == {"state": Share(3, 1)}
    for second in range(1, 90):
        losses.turn(second * SECOND)
    assert losses.of_minute() == {}
    assert losses.of_all() == {"state": Share(3, 1)}
    losses.restart()
    assert losses.of_all() == {}
    assert losses.at == ((1, 1), (1, 5))


def test_many_losses_are_kept_as_one_at_the_latest_of_them() -> None:
    losses = Losses(0)
    for at in range(1500):
        losses.lost([Lost(at, 2, "buffer", "state")])
    assert sum(count for _, count in losses.at) == 3000
    assert losses.at[0] == (499, 1000)
