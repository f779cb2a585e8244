"""Advice while a session goes on is of the last minute or two, and of nothing before."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.test_live_view import SECOND, head_of
from tracer.attribution.processes import ProcessTable
from tracer.views.columns import Facts
from tracer.views.live.advising import TURN_NS, Advising
from tracer.views.text import Clock
from tracer.wire.batch import Batch
from tracer.wire.layout import Layout

BEGAN = 1000 * SECOND


@pytest.fixture
def advising(wire: Layout) -> Advising:
    facts = Facts(wire, ProcessTable(0, 0), Clock(0, True))
    return Advising(facts, head_of(wire, BEGAN), BEGAN, whole=False)


def refused(wire: Layout, count: int) -> Batch:
    made = np.zeros(count, wire.dtypes["handshake"])
    made["role"] = wire.enums["role"]["ACTIVE"]
    made["outcome"] = wire.enums["outcome"]["REFUSED"]
    made["rport"], made["family"] = 5432, 4
    return Batch({"handshake": made})


def told(advising: Advising, now_ns: int) -> list[str]:
    advising.tick(now_ns)
    advising._due = 0.0  # judged anew, however long that took
    return [one.title for one in advising.picture(now_ns).findings]


def test_a_trouble_is_told_while_it_is_of_the_last_minutes_and_then_no_more(
    advising: Advising, wire: Layout
) -> None:
    assert told(advising, BEGAN + SECOND) == []
    advising.batch(refused(wire, 7))
    for seconds in (5, 59, 61, 119):
        (title,) = told(advising, BEGAN + seconds * SECOND)
        assert title.startswith("7 of 7 attempts to connect failed in ")
    assert told(advising, BEGAN + 121 * SECOND) == []


def test_the_span_is_of_one_to_two_turns_once_it_is_that_long(advising: Advising) -> None:
    for seconds in range(1, 500):
        now_ns = BEGAN + seconds * SECOND
        told(advising, now_ns)
        span_ns = advising.picture(now_ns).span_ns
        assert min(now_ns - BEGAN, TURN_NS) <= span_ns <= 2 * TURN_NS


def test_listeners_count_from_the_first_look_on(advising: Advising, wire: Layout) -> None:
    """What they dropped before the pane was opened is of another time."""
    row = np.zeros(1, wire.dtypes["listener_row"])
    row["cookie"], row["port"], row["accept_queue_max"], row["overflows"] = 9, 80, 16, 40
    advising.listeners(row)
    assert told(advising, BEGAN + 2 * SECOND) == []
    row = row.copy()
    row["overflows"] += 3
    advising.listeners(row)
    (title,) = told(advising, BEGAN + 4 * SECOND)
    assert title.startswith("3 SYNs and ACKs dropped")
