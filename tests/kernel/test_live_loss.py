"""Records that are lost make no number of the whole screen wrong: nstat and ss are the witnesses.

The buffers are the smallest there are, and nobody reads them while the connections are made.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.harness import Namespace, namespace, wait_until
from tests.kernel.endings import Ending, sockets_in_use
from tests.kernel.test_loss import stopped_pid
from tests.programs.screen import Screen, screen
from tracer.flows.exact import Moves, totals
from tracer.kernel.settings import Settings
from tracer.limits import Limits
from tracer.session import Session
from tracer.views.columns import Facts
from tracer.views.live.gather import LiveView
from tracer.views.live.picture import Picture
from tracer.wire.filters import Filters
from tracer.wire.head import Head
from tracer.wire.layout import Records

pytestmark = pytest.mark.kernel
CONNECTIONS = 3001
SIZE = (140, 40)
SMALLEST = ("--buffer-pages", "1")


def _connect(space: Namespace) -> None:
    with Ending(space, "close", CONNECTIONS) as ending:
        assert ending.finish().endings == CONNECTIONS
    wait_until(lambda: sockets_in_use(space) == 0, "all sockets to be gone")


def _rates(text: str) -> dict[str, int]:
    found = re.findall(r"(opened in|opened out|failed|closed|accepted) (\d+)", text)
    return {name: int(rate) for name, rate in found}


def _after_a_loss(shown: Screen, space: Namespace) -> str:
    """The picture of the interval in which records were lost."""
    shown.wait_for(r"opened in 0 ", "an interval to be over")
    before = space.counters()
    with stopped_pid(shown.tracer_pid()):
        _connect(space)
    for name in ("TcpActiveOpens", "TcpPassiveOpens"):
        assert space.counters()[name] - before.get(name, 0) == CONNECTIONS
    shown.wait_for(r"lost [1-9]\d* !", "the loss to be told")
    return shown.wait_for(r"(?s)\A.*opened in [1-9].*\Z", "the rates of it")[0]


def test_rates_are_those_of_nstat_though_most_records_were_lost(tmp_path: Path) -> None:
    with (
        namespace() as space,
        screen(tmp_path, SIZE, "--netns", space.name, *SMALLEST) as shown,
    ):
        text = _after_a_loss(shown, space)
        rates = _rates(text)
        # both ends of each, and every accept: in one interval as many, whatever it took
        assert rates["opened in"] == rates["opened out"] == rates["accepted"]
        assert rates["closed"] == pytest.approx(2 * rates["opened out"], abs=1)
        assert rates["failed"] == 0
        # read next to it; where reading takes its time, over so many intervals, not over one
        counted = int(shown.wait_for(r"ActiveOpens \+(\d+)", "the kernel's own count")[1])
        over = round(rates["opened out"] / counted)
        assert 1 <= over <= 4
        assert rates["opened out"] == pytest.approx(counted * over, rel=0.15)
        shown.press("7")
        shown.wait_for(rf"(?m)^ActiveOpens +\d+ +{CONNECTIONS} *$", "all of them, and no other")
        shown.press("q")
        assert shown.exit_status() == 0


def test_sockets_whose_end_was_lost_are_not_shown_and_pass_for_no_trouble(tmp_path: Path) -> None:
    with (
        namespace() as space,
        screen(tmp_path, SIZE, "--netns", space.name, *SMALLEST) as shown,
    ):
        text = _after_a_loss(shown, space)
        now = dict(re.findall(r"(SYN_SENT|SYN_RECV|ESTAB|CLOSE_WAIT|LAST_ACK) (\d+)", text))
        assert set(now.values()) == {"0"}
        assert int(re.findall(r"TIME_WAIT (\d+)", text)[0]) <= CONNECTIONS
        assert not re.search(r"no answer|CLOSE_WAIT grows|as of .* ago", text)
        shown.press("q")
        assert shown.exit_status() == 0


def test_what_stands_on_records_alone_says_of_what_share_it_is(tmp_path: Path) -> None:
    with (
        namespace() as space,
        screen(tmp_path, SIZE, "--netns", space.name, *SMALLEST) as shown,
    ):
        text = _after_a_loss(shown, space)
        share = re.search(r"WAITS[^(]*\(p50 p99 max of \S+, of <?(\d+)% of them\)", text)
        assert share is not None
        assert int(share[1]) < 100
        shown.press("4")
        told = shown.wait_for(
            r"attempts that ended in the last \S+ \(of <?(\d+)% of them: (\d+) records were lost\)",
            "the share of attempts",
        )
        shown.wait_for(r"active +\S+ +\S+ +\d", "those that came")
        came = re.findall(r"(?m)^(?:active|passive) +\S+ +\(?\S+(?: peers\))? +(\d+)", shown.text())
        assert came
        assert int(told[2]) < 2 * CONNECTIONS
        shown.press("q")
        assert shown.exit_status() == 0


class Sums(LiveView):
    """A screen's numbers, and what they add up to."""

    def __init__(self) -> None:
        super().__init__(self._show)
        self.in_all: dict[str, int] = {}
        self.opened: Counter[str] = Counter()
        self.picture: Picture | None = None

    def _show(self, picture: Picture) -> None:
        self.picture = picture

    def begin(self, facts: Facts, head: Head) -> None:
        self.facts = facts
        super().begin(facts, head)

    def counted(self, stats: Records) -> None:
        super().counted(stats)
        self.in_all = totals(stats, self.facts.layout)

    def moves(self, keys: Records, values: Records) -> None:
        super().moves(keys, values)
        for owner, count in Moves(keys, values, self.facts.layout).opened().items():
            process = self.facts.process(*owner)
            self.opened[process.comm if process else "?"] += count


def test_each_process_has_all_that_it_opened_though_records_were_lost() -> None:
    with namespace() as space:
        show, limits, live = Sums(), Limits(interval=1.0), threading.Event()
        settings = Settings(
            Filters(netns=frozenset({space.inode})), sparing=True, snapshots=True, buffer_pages=1
        )
        session = Session(settings, show, ready=live.set, limits=limits)
        thread = threading.Thread(target=session.run)
        thread.start()
        assert live.wait(20)
        before = space.counters()
        _connect(space)
        limits.stop = "test"
        thread.join(20)
        after = space.counters()
    assert show.picture is not None
    assert show.picture.lost > 0
    out, inward = (
        after[name] - before.get(name, 0) for name in ("TcpActiveOpens", "TcpPassiveOpens")
    )
    assert (show.in_all["opened_out"], show.in_all["opened_in"]) == (out, inward)
    assert show.in_all["accepted"] == CONNECTIONS
    assert show.in_all["closed"] == 2 * CONNECTIONS
    assert show.opened == {"endings": out + inward}
