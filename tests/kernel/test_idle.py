"""Where nothing happens the tracer sleeps, and what happens then is shown at once all the same."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.harness import Namespace, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT

pytestmark = pytest.mark.kernel

SPAN_S = 3.0
TRIES = 5
_SWITCHES = re.compile(r"^voluntary_ctxt_switches:\t(\d+)$", re.MULTILINE)


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


def wakes(tracer: Tracer) -> int:
    """How often the session's thread has gone to sleep."""
    status = Path(f"/proc/{tracer.process.pid}/status").read_text()
    found = _SWITCHES.search(status)
    assert found
    return int(found[1])


def pass_by(seconds: float) -> None:
    begin = time.monotonic()
    wait_until(lambda: time.monotonic() - begin >= seconds, f"{seconds} s")


def _more(tracer: Tracer, count: int) -> bool:
    return len(tracer.so_far()) > count


def come_to_rest(tracer: Tracer) -> None:
    """Until it has not been awake for longer than it sleeps while something goes on."""

    def rests() -> bool:
        before = wakes(tracer)
        pass_by(0.4)
        return wakes(tracer) == before

    wait_until(rests, "the tracer to sleep")


@pytest.mark.parametrize("command", ["events", "states", "listeners", "drops"])
def test_a_session_without_events_wakes_about_once_a_second(ns: Namespace, command: str) -> None:
    with Tracer(command, "--netns", ns.name, json=command == "events") as tracer:
        come_to_rest(tracer)

        def sleeps() -> bool:  # other processes of the machine end meanwhile, and it hears of some
            before = wakes(tracer)
            pass_by(SPAN_S)
            return wakes(tracer) - before <= 2 * SPAN_S  # 5 a second with a look every 0.2 s

        wait_until(sleeps, "a span that was slept through")


def test_the_first_event_after_a_rest_is_shown_at_once(ns: Namespace) -> None:
    took = []
    with Tracer("events", "--kind", "state", "--netns", ns.name) as tracer:
        for number in range(TRIES):
            with Program("tt-server", ns.enter) as server:
                server.do("bind", name="l", address=ADDRESS, port=PORT + number)
                come_to_rest(tracer)
                count = len(tracer.so_far())
                server.do("listen", name="l", backlog=1)
                begin = time.monotonic()
                wait_until(partial(_more, tracer, count), "a line")
                took.append(time.monotonic() - begin)
    assert statistics.median(took) < 0.25, took
