"""What the screen's pictures say of what came, and do not say of what did not."""

from __future__ import annotations

import time

import pytest

from tracer.attribution.processes import ProcessTable
from tracer.flows.tally import Tally
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

    def mark(self) -> Picture:
        self.view.mark(self.now_ns, Tally())
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
