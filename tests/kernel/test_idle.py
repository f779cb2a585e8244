"""Where nothing happens the tracer sleeps, and what happens then is shown at once all the same."""

from __future__ import annotations

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

LONGEST_MS, SPAN_S = 5000, 1.5
TRIES = 5
EPOLL_WAITS = ("232", "281")  # epoll_wait and epoll_pwait of x86-64


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


def asleep_for_ms(tracer: Tracer) -> int:
    """For how long the session's thread waits at most, in this moment; 0: it is awake.

    proc(5), /proc/PID/syscall: its number and arguments; epoll_wait(2): the fourth is the time.
    """
    words = Path(f"/proc/{tracer.process.pid}/syscall").read_text().split()
    return int(words[4], 16) if words[0] in EPOLL_WAITS else 0


def sleeps_through(tracer: Tracer) -> bool:
    """Whether nothing wakes that thread for longer than it sleeps while something goes on."""

    def wakes() -> int:
        status = Path(f"/proc/{tracer.process.pid}/status").read_text()
        return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])

    before, begin = wakes(), time.monotonic()
    wait_until(lambda: time.monotonic() - begin >= SPAN_S, "a span")
    return wakes() == before


def _more(tracer: Tracer, count: int) -> bool:
    return len(tracer.so_far()) > count


def come_to_rest(tracer: Tracer) -> None:
    """Until it waits for longer than it does while something goes on."""
    wait_until(lambda: asleep_for_ms(tracer) > 1000, "the tracer to rest")


@pytest.mark.parametrize("command", ["events", "states", "listeners", "drops"])
def test_a_session_without_events_sleeps_for_five_seconds(ns: Namespace, command: str) -> None:
    with Tracer(command, "--netns", ns.name, json=command == "events") as tracer:
        wait_until(lambda: asleep_for_ms(tracer) == LONGEST_MS, "a long sleep", seconds=60)
        # other processes of the machine end meanwhile, and it hears of some
        wait_until(lambda: sleeps_through(tracer), "a span that was slept through", seconds=60)


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
