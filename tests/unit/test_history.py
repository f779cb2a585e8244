"""What is kept of each connection, and what is said of what is not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracer.flows.history import History
from tracer.wire.layout import Layout, Records

EVENTS = 101
LONG_LIVED = 7


def told(wire: Layout, cookie: int, first_ns: int, count: int = 1) -> dict[str, Records]:
    records = np.zeros(count, wire.dtypes["state"])
    records["cookie"] = cookie
    records["mono_ns"] = np.arange(first_ns, first_ns + count)
    return {"state": records}


def is_open(cookies: NDArray[np.uint64]) -> NDArray[np.bool_]:
    return np.asarray(cookies == LONG_LIVED)


def test_all_of_one_socket_comes_back_in_order(wire: Layout) -> None:
    history = History()
    for n in range(EVENTS):
        history.add(told(wire, 1 + n % 3, n), is_open)
    found = history.of(2)["state"]
    assert found["mono_ns"].tolist() == list(range(1, EVENTS, 3))
    assert (history.dropped, history.whole_since) == (0, 0)
    assert history.of(99) == {}


def test_what_there_is_no_room_for_is_counted_and_its_moment_told(wire: Layout) -> None:
    size = wire.dtypes["state"].itemsize
    history = History(recent_bytes=10_000 * size, older_bytes=100 * size)
    for n in range(10):
        history.add(told(wire, 1, n * 5000, 5000), is_open)
    kept = len(history.of(1)["state"])
    assert kept == 10_000
    assert history.dropped == 50_000 - kept
    assert history.whole_since == 40_000
    assert history.nbytes <= 10_000 * size


def test_open_sockets_are_kept_on_when_others_are_dropped(wire: Layout) -> None:
    size = wire.dtypes["state"].itemsize
    history = History(recent_bytes=10_000 * size, older_bytes=100 * size)
    history.add(told(wire, LONG_LIVED, 0, 31), is_open)
    for n in range(10):
        history.add(told(wire, 1, 100 + n * 5000, 5000), is_open)
    assert history.of(LONG_LIVED)["state"]["mono_ns"].tolist() == list(range(31))
    assert history.open_since == 0


def test_of_open_sockets_too_no_more_is_kept_than_there_is_room_for(wire: Layout) -> None:
    size = wire.dtypes["state"].itemsize
    history = History(recent_bytes=5000 * size, older_bytes=5000 * size)
    for n in range(20):
        history.add(told(wire, LONG_LIVED, n * 5000, 5000), is_open)
    assert history.nbytes <= 10_000 * size
    assert len(history.of(LONG_LIVED)["state"]) + history.dropped == 100_000
    assert history.open_since == 90_000


def test_many_small_batches_are_put_together(wire: Layout) -> None:
    history = History()
    for n in range(1000):
        history.add(told(wire, 1, n), is_open)
    assert len(history._recent.chunks()) == 1
