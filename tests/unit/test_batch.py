"""Time order, and no Python call an event on the way to the sums."""

from __future__ import annotations

import json
import sys
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer.flows.tally import Lost, Outcome
from tracer.player import Player
from tracer.views.base import View
from tracer.views.output import Notices, Output
from tracer.views.states import StatesView
from tracer.wire.batch import Encoding, Sorter, view
from tracer.wire.layout import Layout, Records
from tracer.wire.recording import Frame

TIME = np.dtype([("mono_ns", "u8"), ("sequence", "u4")])
ENCODING = Encoding(12, 112)


def _run(times: list[int]) -> Records:
    run = np.zeros(len(times), TIME)
    run["mono_ns"], run["sequence"] = times, range(len(times))
    return run


@given(st.lists(st.lists(st.integers(0, 1000)).map(sorted), min_size=1, max_size=5))
def test_runs_of_several_cpus_come_out_in_time_order(runs: list[list[int]]) -> None:
    sorter = Sorter()
    for run in runs:
        sorter.add(_run(run))
    taken = sorter.take(None)
    times = [] if taken is None else taken["mono_ns"].tolist()
    assert times == sorted(time for run in runs for time in run)


def test_at_one_moment_the_lower_cpu_then_its_sequence_comes_first() -> None:
    sorter = Sorter()
    first, second = _run([5, 5]), _run([5, 5])
    second["sequence"] += 10
    sorter.add(first)
    sorter.add(second)
    taken = sorter.take(None)
    assert taken is not None
    assert taken["sequence"].tolist() == [0, 1, 10, 11]


def test_nothing_is_passed_on_that_something_older_could_still_precede() -> None:
    sorter = Sorter()
    sorter.add(_run([10, 20, 30]))
    taken = sorter.take(20)
    assert taken is not None
    assert taken["mono_ns"].tolist() == [10]
    sorter.add(_run([15, 25]))
    taken = sorter.take(None)
    assert taken is not None
    assert taken["mono_ns"].tolist() == [15, 20, 25, 30]
    assert sorter.late == 0


def test_a_record_older_than_what_was_passed_on_is_counted_as_late() -> None:
    sorter = Sorter()
    sorter.add(_run([10, 20]))
    sorter.take(None)
    sorter.add(_run([15, 20, 30]))
    sorter.take(None)
    assert sorter.late == 1


def _samples(wire: Layout, count: int) -> bytes:
    dtype = wire.dtypes["state"]
    raw = np.zeros(count * ENCODING.stride, np.uint8)
    records = view(raw, ENCODING, dtype)
    records["mono_ns"] = np.arange(1, count + 1)
    records["kind"] = wire.enums["kind"]["STATE"]
    records["old"] = wire.enums["tcp_state"]["ESTABLISHED"]
    records["new"] = wire.enums["tcp_state"]["CLOSE_WAIT"]
    records["pid"] = np.arange(count) % 7
    records["dwell_ns"] = np.arange(count) * 1000
    return raw.tobytes()


def _frames(wire: Layout, count: int) -> list[Frame]:
    head = {
        "layout": wire.to_json(),
        "encoding": {"SMAL": [ENCODING.offset, ENCODING.stride]},
        "started_ns": 0,
        "offset_ns": 0,
        "host": "test",
        "kernel": "test",
        "kinds": ["state"],
        "filters": {},
        "keeps": ["records"],
        "attached": {"state": "tp_btf"},
        "netns": [],
    }
    tick = np.array([count + 10, 0], np.int64)
    return [
        Frame("HEAD", json.dumps(head).encode()),
        Frame("SMAL", _samples(wire, count)),
        Frame("TICK", tick),
        Frame("TICK", tick + np.array([1, 0])),
        Frame("TICK", tick + np.array([2, 0])),
    ]


def _calls(wire: Layout, count: int) -> int:
    """Python calls, of C functions too, while `count` records go from bytes to the sums."""
    show = StatesView(Output(), Notices(quiet=True))
    player = Player(show)
    frames = _frames(wire, count)
    calls = 0

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        for frame in frames:
            player.feed(frame)
    finally:
        sys.setprofile(None)
    spreads = show.whole.transitions()
    assert sum(spread.count for spread in spreads.values()) == count
    return calls


def test_ten_times_the_records_take_no_more_python_calls(wire: Layout) -> None:
    _calls(wire, 10)  # imports and caches
    few, many = _calls(wire, 10_000), _calls(wire, 100_000)
    assert few > 50
    assert many == pytest.approx(few, rel=0.01)


class _Collect(View):
    """A view that keeps what it is told."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.lost_told: list[Lost] = []
        self.outcome: Outcome | None = None
        self.said: list[str] = []

    def batch(self, batch: Any) -> None:
        self.times += batch.kinds["state"]["mono_ns"].tolist()

    def lost(self, lost: list[Lost]) -> None:
        self.lost_told += lost

    def notice(self, text: str) -> None:
        self.said.append(text)

    def end(self, outcome: Outcome) -> None:
        self.outcome = outcome


def test_lost_records_are_told_with_their_kind_and_cause(wire: Layout) -> None:
    show = _Collect()
    player = Player(show)
    frames = _frames(wire, 10)
    stats = np.zeros(1, wire.dtypes["stats"])
    kind = wire.enums["kind"]["STATE"]
    stats["lost_buffer"][0][kind], stats["lost_map"][0][kind] = 5, 2
    for frame in (*frames[:2], Frame("STAT", stats.copy()), frames[2]):
        player.feed(frame)
    stats["lost_buffer"][0][kind] = 6
    player.feed(Frame("STAT", stats))
    player.feed(Frame("MISS", json.dumps({"tt_state": 3}).encode()))
    player.feed(Frame("LAST", json.dumps({"mono_ns": 99, "ended_by": "test"}).encode()))
    told = [(one.count, one.why, one.of) for one in show.lost_told]
    assert told == [
        (5, "buffer", "state"),
        (2, "map", "state"),
        (1, "buffer", "state"),
        (3, "missed", "tt_state"),
    ]
    assert show.outcome is not None
    assert show.outcome.tally.lost == 11
    assert show.times == list(range(1, 11))


def test_a_step_of_the_wall_clock_is_told_once(wire: Layout) -> None:
    show = _Collect()
    player = Player(show)
    player.feed(_frames(wire, 1)[0])
    for now in (1, 2, 3):
        player.feed(Frame("TICK", np.array([now, 3_600_000_000_000], np.int64)))
    assert len(show.said) == 1
    assert "+3600.0 s" in show.said[0]
