"""Passes over open connections, joined: rates, what is new, what is gone."""

from __future__ import annotations

import numpy as np

from tracer.flows.connections import OpenConnections
from tracer.flows.owners import FULL
from tracer.wire.layout import Layout, Records

SECOND = 10**9


def a_pass(wire: Layout, now_ns: int, *rows: tuple[int, int, int], is_: int = FULL) -> Records:
    """Rows of (cookie, bytes received, bytes sent), each looked at `cookie` ns after `now_ns`."""
    found = np.zeros(len(rows), wire.dtypes["open_row"])
    for row, (cookie, received, sent) in zip(found, rows, strict=True):
        row["cookie"], row["rx_bytes"], row["tx_bytes"] = cookie, received, sent
        row["mono_ns"], row["flags"], row["state"] = now_ns + cookie, is_, 1
    return found


def test_a_first_pass_has_no_rates_and_nothing_new(wire: Layout) -> None:
    table = OpenConnections(wire)
    assert table.in_all() is None
    found = table.look(a_pass(wire, 0, (1, 10, 20)), 0)
    assert np.isnan(found.rx_per_s).all()
    assert np.isnan(found.tx_per_s).all()
    assert not found.is_new.any()
    whole = table.in_all()
    assert whole is not None
    assert np.isnan(whole.rx_per_s).all()


def test_rates_are_of_the_time_between_two_looks_at_one_socket(wire: Layout) -> None:
    table = OpenConnections(wire)
    table.look(a_pass(wire, 0, (5, 100, 1000), (2, 7, 7)), 0)
    found = table.look(a_pass(wire, 2 * SECOND, (2, 7, 9), (5, 300, 5000)), 2 * SECOND)
    assert found.rows["cookie"].tolist() == [2, 5]
    assert found.rx_per_s.tolist() == [0, 100]
    assert found.tx_per_s.tolist() == [1, 2000]
    table.look(a_pass(wire, 4 * SECOND, (2, 7, 9), (5, 300, 5000)), 4 * SECOND)
    whole = table.in_all()
    assert whole is not None
    assert whole.tx_per_s.tolist() == [0.5, 1000]


def test_one_that_is_new_has_had_all_of_the_time_between(wire: Layout) -> None:
    table = OpenConnections(wire)
    table.look(a_pass(wire, 0, (1, 0, 0), (2, 0, 0), (3, 0, 0)), 0)
    found = table.look(a_pass(wire, SECOND, (2, 0, 0), (4, 500, 0)), SECOND)
    assert found.is_new.tolist() == [False, True]
    assert found.rx_per_s.tolist() == [0, 500]
    assert found.gone == 2


def test_the_first_ones_after_nothing_are_new(wire: Layout) -> None:
    table = OpenConnections(wire)
    table.look(a_pass(wire, 0), 0)
    found = table.look(a_pass(wire, SECOND, (4, 500, 0)), SECOND)
    assert found.is_new.all()
    assert found.rx_per_s.tolist() == [500]


def test_a_mini_socket_has_no_rate_and_is_not_new(wire: Layout) -> None:
    table = OpenConnections(wire)
    table.look(a_pass(wire, 0, (1, 9, 9)), 0)
    found = table.look(a_pass(wire, SECOND, (8, 0, 0), is_=0), SECOND)
    assert np.isnan(found.rx_per_s).all()
    assert not found.is_new.any()
    assert found.gone == 1


def test_listeners_are_no_connections(wire: Layout) -> None:
    rows = a_pass(wire, 0, (1, 0, 0), (2, 0, 0))
    rows["state"][0] = wire.enums["tcp_state"]["LISTEN"]
    assert OpenConnections(wire).look(rows, 0).rows["cookie"].tolist() == [2]
