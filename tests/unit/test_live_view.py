"""What the screen's pictures say of what came, and do not say of what did not."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from tracer.attribution.processes import ProcessTable
from tracer.flows.tally import Lost, Tally
from tracer.views.columns import Facts
from tracer.views.live import draw
from tracer.views.live.gather import LiveView
from tracer.views.live.picture import Picture
from tracer.views.text import Clock
from tracer.wire.head import Head
from tracer.wire.layout import Layout

SECOND = 1_000_000_000
NETNS = 4026531840


def head_of(wire: Layout, started_ns: int) -> Head:
    return Head(
        layout=wire,
        encoding={},
        started_ns=started_ns,
        offset_ns=0,
        initial_pids=True,
        host="test",
        kernel="6.0",
        kinds=("state", "handshake", "accept"),
        filters={},
        keeps=("records",),
        attached={},
        netns=(),
    )


class Moments:
    """A live view on a clock of its own."""

    def __init__(self, wire: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ns = 1000 * SECOND
        monkeypatch.setattr(time, "monotonic_ns", lambda: self.now_ns)
        self.pictures: list[Picture] = []
        self.view = LiveView(self.pictures.append)
        self.facts = Facts(wire, ProcessTable(0, 0), Clock(0, True))
        self.view.begin(self.facts, head_of(wire, self.now_ns))

    def mark(self, tally: Tally | None = None) -> Picture:
        self.view.mark(self.now_ns, tally or Tally())
        return self.pictures[-1]

    def pass_by(self, seconds: float) -> None:
        self.now_ns += int(seconds * SECOND)
        self.view.tick(self.now_ns)


@pytest.fixture
def moments(wire: Layout, monkeypatch: pytest.MonkeyPatch) -> Moments:
    return Moments(wire, monkeypatch)


def test_counters_have_no_rate_until_an_interval_is_over(moments: Moments) -> None:
    moments.view.kernel({NETNS: {"ListenDrops": 100}})  # before the programs were attached
    moments.now_ns += SECOND // 1000
    moments.view.kernel({NETNS: {"ListenDrops": 104}})
    picture = moments.mark()
    (drops,) = picture.counters
    assert (drops.name, drops.rate, drops.span) == ("ListenDrops", None, 4)
    assert draw.counters(picture, 80) == ["KERNEL -"]
    moments.pass_by(1)
    moments.view.kernel({NETNS: {"ListenDrops": 107}})
    picture = moments.mark()
    assert [(one.rate, one.span) for one in picture.counters] == [(3.0, 7)]
    assert draw.counters(picture, 80) == ["KERNEL ListenDrops +3 !  "]


def test_a_reading_right_after_another_does_not_make_a_rate(moments: Moments) -> None:
    moments.view.kernel({NETNS: {"TCPSynRetrans": 10}})
    moments.pass_by(1)
    moments.view.kernel({NETNS: {"TCPSynRetrans": 12}})
    moments.now_ns += SECOND // 1000  # as at the end
    moments.view.kernel({NETNS: {"TCPSynRetrans": 13}})
    assert moments.mark().counters[0].rate == 2.0
    moments.pass_by(0.999)
    moments.view.kernel({NETNS: {"TCPSynRetrans": 15}})
    assert moments.mark().counters[0].rate == 3.0


@pytest.mark.parametrize(
    ("why", "of", "is_counted"),
    [
        ("buffer", "state", True),
        ("map", "state", False),
        ("missed", "tt_state", False),
        ("missed", "tt_accept_exit", False),
        ("missed", "tt_retransmit", True),
    ],
)
def test_rates_are_at_least_what_was_counted_where_a_run_was_skipped(
    moments: Moments, why: str, of: str, is_counted: bool
) -> None:
    moments.mark()
    moments.view.lost([Lost(moments.now_ns, 31, why, of)])
    moments.pass_by(1)
    line = "".join(draw.rates(moments.mark(), 200, draw.UTF8))
    assert ("at least: 31 went uncounted" in line) is not is_counted


@pytest.mark.parametrize(
    ("tally", "what"),
    [
        (Tally(lost_buffer={"state": 31}), "histories may be"),
        (Tally(missed={"tt_state": 31}), "what is shown is"),
        (Tally(lost_map={"state": 31}), "what is shown is"),
    ],
)
def test_numbers_are_whole_only_where_buffers_alone_lost(
    moments: Moments, tally: Tally, what: str
) -> None:
    head = replace(head_of(moments.facts.layout, moments.now_ns), keeps=("records", "moves"))
    moments.view.begin(moments.facts, head)
    moments.mark()
    assert moments.mark(tally).verdict == (True, f"31 events were lost: {what} incomplete")


def test_without_a_look_at_the_sockets_no_age_of_one_is_told(moments: Moments) -> None:
    moments.pass_by(1)
    moments.view.lost([Lost(moments.now_ns, 31, "buffer", "state")])
    moments.pass_by(2)
    assert "(records were lost, and no look sets this right)" in "".join(
        draw.sockets(moments.mark(), 200)
    )
    moments.view.sockets(np.zeros(0, moments.facts.layout.dtypes["sock_row"]))
    moments.view.lost([Lost(moments.now_ns, 31, "buffer", "state")])
    moments.pass_by(3)
    assert "(as of 3s ago: records were lost)" in "".join(draw.sockets(moments.mark(), 200))


def test_a_picture_is_made_while_more_is_told(moments: Moments) -> None:
    """Whatever changes what a picture goes through waits for it to be done."""
    stats = np.zeros(1, moments.facts.layout.dtypes["stats"])[0]
    keys = np.zeros(1, moments.facts.layout.dtypes["count_key"])
    values = np.zeros(1, moments.facts.layout.dtypes["count_value"])
    head = replace(head_of(moments.facts.layout, moments.now_ns), keeps=("records", "moves"))
    moments.view.begin(moments.facts, head)
    for tell in (
        lambda: moments.view.moves(keys, values),
        lambda: moments.view.lost([Lost(0, 1, "buffer", "state")]),
        lambda: moments.view.counted(stats),
        lambda: moments.view.tick(moments.now_ns),
    ):
        thread = threading.Thread(target=tell)
        with moments.view._lock:
            thread.start()
            thread.join(0.05)
            assert thread.is_alive()
        thread.join(10)
        assert not thread.is_alive()
