"""The last minute in parts; and attempts, beyond a number of rows, in coarser ones."""

from __future__ import annotations

import numpy as np
import pytest

from tracer.flows import attempts
from tracer.flows.attempts import Attempts, whole
from tracer.flows.window import PART_NS, PARTS, Window
from tracer.wire.layout import Layout, Records


def test_what_is_older_than_a_minute_is_in_no_part() -> None:
    window: Window[list[int]] = Window(list, 0)
    for second in range(100):
        window.turn(second * 10**9)
        window.now.append(second)
    kept = [second for table in window.tables for second in table]
    assert kept == list(range(30, 100))
    assert window.since_ns == 30 * 10**9
    assert len(window.tables) == PARTS


def test_a_part_is_turned_when_it_is_full_and_not_before() -> None:
    window: Window[list[int]] = Window(list, 5)
    window.turn(5 + PART_NS - 1)
    assert len(window.tables) == 1
    window.turn(5 + PART_NS)
    assert len(window.tables) == 2


def _handshakes(wire: Layout, count: int) -> Records:
    """One by each process, with a peer of its own."""
    found = np.zeros(count, wire.dtypes["handshake"])
    found["role"] = wire.enums["role"]["ACTIVE"]
    found["outcome"] = wire.enums["outcome"]["OK"]
    found["pid"] = np.arange(1, count + 1)
    found["raddr"][:, 12:] = np.arange(count, dtype=">u4").view(np.uint8).reshape(-1, 4)
    return found


def test_attempts_that_are_too_many_are_counted_with_less_kept(
    wire: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "MOST", 10)
    table = Attempts(wire)
    for batch in np.array_split(_handshakes(wire, 97), 14):
        table.add(batch)
    counts = [int(one.rows()[1][:, 0].sum()) for one in table.frozen()]
    assert sum(counts) == 97
    assert all(counts)
    by_peer, by_process, rest = table.frozen()
    assert len(by_peer.rows()[0]) == counts[0]
    assert len(by_process.rows()[0]) == counts[1]
    assert len(rest.rows()[0]) == 1


def test_frozen_attempts_do_not_grow(wire: Layout) -> None:
    table = Attempts(wire)
    table.add(_handshakes(wire, 5))
    frozen = table.frozen()
    table.add(_handshakes(wire, 7))
    assert int(whole(list(frozen)).rows()[1][:, 0].sum()) == 5
    assert int(whole(list(table.frozen())).rows()[1][:, 0].sum()) == 12
