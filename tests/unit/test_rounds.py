"""When counters and sockets are looked at again, on a clock of the test's own."""

from __future__ import annotations

import os
import select
import time
from itertools import islice

import pytest

from tracer.limits import Limits
from tracer.rounds import Rounds

SECOND = 1_000_000_000
BEGAN = 100 * SECOND


class Clock:
    """Time passes while it is waited, and when a look takes long."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ns = BEGAN
        monkeypatch.setattr(time, "monotonic_ns", lambda: self.now_ns)
        monkeypatch.setattr(select, "select", self.wait)

    def wait(self, fds: list[int], _: object, __: object, seconds: float) -> tuple[list[int], ...]:
        self.now_ns += round(seconds * SECOND)
        return [], [], []


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def seconds(moments: list[int]) -> list[float]:
    return [(moment - BEGAN) / SECOND for moment in moments]


def test_one_look_has_no_rounds(clock: Clock) -> None:
    assert list(Rounds(Limits(), BEGAN)) == []


def test_a_duration_ends_with_a_look_and_is_the_reason(clock: Clock) -> None:
    limits = Limits(seconds=2.5)
    assert seconds(list(Rounds(limits, BEGAN))) == [2.5]
    assert limits.stop == "duration"


def test_intervals_stay_where_they_began_and_the_last_is_cut_short(clock: Clock) -> None:
    limits = Limits(seconds=2.5, interval=1.0)
    assert seconds(list(Rounds(limits, BEGAN))) == [1.0, 2.0, 2.5]


def test_an_interval_that_was_missed_is_not_made_up_for(clock: Clock) -> None:
    found = []
    for moment in islice(Rounds(Limits(interval=1.0), BEGAN), 3):
        found.append(moment)
        clock.now_ns += 3 * SECOND // 2 if len(found) == 1 else 0
    # a look of 1.5 s: that which was due at 2 s comes at its end
    assert seconds(found) == [1.0, 2.5, 3.0]


def test_a_reason_to_end_is_followed_by_no_more_looks(clock: Clock) -> None:
    limits = Limits(interval=1.0)
    found = []
    for moment in Rounds(limits, BEGAN):
        found.append(moment)
        limits.stop = "SIGINT"
    assert seconds(found) == [1.0]
    assert limits.stop == "SIGINT"


def test_one_who_is_to_end_before_the_first_wait_looks_once_more(clock: Clock) -> None:
    limits = Limits(interval=1.0, stop="SIGINT")
    assert len(list(Rounds(limits, BEGAN))) == 1


def test_a_block_closes_at_each_interval_or_once_where_it_is_asked_for() -> None:
    assert [Rounds(Limits(interval=1.0), BEGAN).close_block() for _ in range(2)] == [True, True]
    asked = Rounds(Limits(seconds=9.0, interim=True), BEGAN)
    assert [asked.close_block() for _ in range(2)] == [True, False]


def test_a_signal_ends_a_wait_at_once() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"\x02")
    limits = Limits(seconds=3600.0)
    began = time.monotonic_ns()
    moment = next(iter(Rounds(limits, began, reading)))
    assert moment < began + 3600 * SECOND
    assert limits.stop == ""
    for fd in (reading, writing):
        os.close(fd)
