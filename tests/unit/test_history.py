"""What is kept of each connection, and what is said of what is not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracer.flows.history import History
from tracer.flows.sockets import GONE, SURE, TROUBLED, WELL
from tracer.wire.layout import Layout, Records

EVENTS = 101
LONG_LIVED, IN_TROUBLE = 7, 11


def told(wire: Layout, cookie: int, first_ns: int, count: int = 1) -> dict[str, Records]:
    records = np.zeros(count, wire.dtypes["state"])
    records["cookie"] = cookie
    records["mono_ns"] = np.arange(first_ns, first_ns + count)
    return {"state": records}


def standing(cookies: NDArray[np.uint64], told_ns: int) -> NDArray[np.uint8]:
    found = np.full(len(cookies), GONE, np.uint8)
    found[cookies == LONG_LIVED] = WELL
    found[cookies == IN_TROUBLE] = TROUBLED
    return found


def narrow(wire: Layout, recent: int = 10_000, older: int = 100) -> History:
    """A history with room for so many transitions."""
    size = wire.dtypes["state"].itemsize
    return History(recent_bytes=recent * size, older_bytes=older * size)


def test_all_of_one_socket_comes_back_in_order(wire: Layout) -> None:
    history = History()
    for n in range(EVENTS):
        history.add(told(wire, 1 + n % 3, n), standing)
    found = history.of(2)["state"]
    assert found["mono_ns"].tolist() == list(range(1, EVENTS, 3))
    assert (history.dropped, history.whole_since) == (0, 0)
    assert history.of(99) == {}
    assert history.is_whole(2, 0, is_open=False)


def test_what_there_is_no_room_for_is_counted_and_its_moment_told(wire: Layout) -> None:
    history = narrow(wire)
    for n in range(10):
        history.add(told(wire, 1, n * 5000, 5000), standing)
    kept = len(history.of(1)["state"])
    assert kept == 10_000
    assert history.dropped == 50_000 - kept
    assert history.whole_since == 40_000
    assert not history.is_whole(1, 39_999, is_open=False)
    assert history.is_whole(1, 40_000, is_open=False)
    assert history.nbytes <= 10_000 * wire.dtypes["state"].itemsize


def test_open_sockets_are_kept_on_when_others_are_dropped(wire: Layout) -> None:
    history = narrow(wire)
    history.add(told(wire, LONG_LIVED, 0, 31), standing)
    for n in range(10):
        history.add(told(wire, 1, 100 + n * 5000, 5000), standing)
    assert history.of(LONG_LIVED)["state"]["mono_ns"].tolist() == list(range(31))
    assert history.is_whole(LONG_LIVED, 0, is_open=True)


def test_of_open_sockets_too_no_more_is_kept_than_there_is_room_for(wire: Layout) -> None:
    history = narrow(wire, recent=5000, older=5000)
    for n in range(20):
        history.add(told(wire, LONG_LIVED, n * 5000, 5000), standing)
    assert history.nbytes <= 10_000 * wire.dtypes["state"].itemsize
    assert len(history.of(LONG_LIVED)["state"]) + history.dropped == 100_000
    assert not history.is_whole(LONG_LIVED, 0, is_open=True)


def test_of_open_sockets_those_in_trouble_are_kept_longest(wire: Layout) -> None:
    history = narrow(wire, recent=5000, older=5000)
    history.add(told(wire, IN_TROUBLE, 0, 31), standing)
    for n in range(20):
        history.add(told(wire, LONG_LIVED, 100 + n * 5000, 5000), standing)
    assert history.of(IN_TROUBLE)["state"]["mono_ns"].tolist() == list(range(31))
    assert history.is_whole(IN_TROUBLE, 0, is_open=True)
    assert not history.is_whole(LONG_LIVED, 0, is_open=True)


def test_what_was_sent_again_makes_a_trouble_of_a_connection(wire: Layout) -> None:
    history = narrow(wire, recent=5000, older=5000)
    again = np.zeros(1, wire.dtypes["retransmit"])
    again["cookie"], again["mono_ns"] = LONG_LIVED, 50

    def all_well(cookies: NDArray[np.uint64], told_ns: int) -> NDArray[np.uint8]:
        return np.full(len(cookies), WELL, np.uint8)

    history.add(told(wire, LONG_LIVED, 0, 31) | {"retransmit": again}, all_well)
    for n in range(20):
        history.add(told(wire, 1, 100 + n * 5000, 5000), all_well)
    assert len(history.of(LONG_LIVED)["state"]) == 31
    assert history.is_whole(LONG_LIVED, 0, is_open=True)
    assert not history.is_whole(1, 0, is_open=True)


def test_what_no_look_has_seen_makes_room_for_what_one_has(wire: Layout) -> None:
    history = narrow(wire, recent=5000, older=5000)

    def some_seen(cookies: NDArray[np.uint64], told_ns: int) -> NDArray[np.uint8]:
        return np.where(cookies == LONG_LIVED, WELL + SURE, TROUBLED).astype(np.uint8)

    history.add(told(wire, LONG_LIVED, 0, 31), some_seen)
    for n in range(20):
        history.add(told(wire, 1, 100 + n * 5000, 5000), some_seen)
    assert len(history.of(LONG_LIVED)["state"]) == 31
    assert history.is_whole(LONG_LIVED, 0, is_open=True)
    assert not history.is_whole(1, 0, is_open=True)


def within(dtype: np.dtype[np.void]) -> np.dtype[np.void]:
    """The same in larger records, as a buffer has them."""
    assert dtype.fields
    fields = dict(dtype.fields)
    return np.dtype(
        {
            "names": list(fields),
            "formats": [field[0] for field in fields.values()],
            "offsets": [field[1] for field in fields.values()],
            "itemsize": dtype.itemsize + 64,
        }
    )


def test_what_it_takes_is_what_its_chunks_take(wire: Layout) -> None:
    history = narrow(wire, recent=5000, older=5000)
    kinds = ("state", "accept", "connection", "retransmit")

    def half_open(cookies: NDArray[np.uint64], told_ns: int) -> NDArray[np.uint8]:
        return np.asarray(cookies % 5, np.uint8)

    for n in range(60):
        batch: dict[str, Records] = {}
        for kind in kinds:
            records = np.zeros(3000, within(wire.dtypes[kind]))
            records["cookie"] = np.arange(n * 3000, (n + 1) * 3000)
            records["mono_ns"] = np.arange(n * 3000, (n + 1) * 3000)
            batch[kind] = records
        history.add(batch, half_open)
        for ring in (history._recent, history._older):
            assert ring.nbytes == sum(chunk.nbytes for _, chunk in ring.chunks())


def test_the_one_that_is_read_is_kept_when_it_has_ended(wire: Layout) -> None:
    history = narrow(wire, recent=5000, older=5000)
    history.add(told(wire, 3, 0, 31), standing)
    history.open(3, is_open=True)
    for n in range(20):
        history.add(told(wire, 1, 100 + n * 5000, 5000), standing)
        history.add(told(wire, LONG_LIVED, 100 + n * 5000, 5000), standing)
    assert history.of(3)["state"]["mono_ns"].tolist() == list(range(31))
    assert history.is_whole(3, 0, is_open=False)
    history.open(0, is_open=False)
    for n in range(20, 40):
        history.add(told(wire, LONG_LIVED, 100 + n * 5000, 5000), standing)
    assert history.of(3) == {}


def test_what_has_ended_makes_room_for_what_is_open(wire: Layout) -> None:
    history = narrow(wire, recent=5000, older=5000)
    ended: set[int] = set()

    def as_of_now(cookies: NDArray[np.uint64], told_ns: int) -> NDArray[np.uint8]:
        return np.where(np.isin(cookies, list(ended)), GONE, WELL).astype(np.uint8)

    history.add(told(wire, LONG_LIVED, 0, 31), as_of_now)
    for n in range(40):
        history.add(told(wire, 100 + n, 100 + n * 1000, 1000), as_of_now)
        ended.add(100 + n - 3)
    assert len(history.of(LONG_LIVED)["state"]) == 31
    assert history.is_whole(LONG_LIVED, 0, is_open=True)


def test_many_small_batches_are_put_together(wire: Layout) -> None:
    history = History()
    for n in range(1000):
        history.add(told(wire, 1, n), standing)
    assert len(history._recent.chunks()) == 1


def test_what_has_no_socket_takes_no_room_from_what_is_open(wire: Layout) -> None:
    """Its cookie is 0, as that of the one that is read where nobody reads any."""
    history = narrow(wire, recent=5000, older=5000)
    history.add(told(wire, IN_TROUBLE, 0, 31), standing)
    for n in range(20):
        history.add(told(wire, 0, 100 + n * 5000, 5000), standing)
    assert history._older.nbytes == sum(r.nbytes for r in history.of(IN_TROUBLE).values()) > 0
    assert history.is_whole(IN_TROUBLE, 0, is_open=True)
