"""Which number of the programs is which listener's that sock_diag tells of by its cookie."""

from __future__ import annotations

import numpy as np

from tracer.kernel import sock_diag
from tracer.kernel.numbers import FIRST, use_numbers
from tracer.wire.layout import Records

KEY = np.dtype([("cookie", "u8")])
LISTENER = np.dtype([("netns", "u4"), ("port", "u4"), ("addr", "u1", (16,))])
NETNS = 7


def told(*rows: tuple[int, int, int]) -> Records:
    """Listeners as sock_diag tells of them: cookie, port, the address's last byte."""
    found = np.zeros(len(rows), sock_diag.ROW)
    for at, (cookie, port, last) in zip(found, rows, strict=True):
        at["cookie"], at["lport"], at["laddr"][15] = cookie, port, last
    return found


def known(*rows: tuple[int, int, int, int]) -> tuple[Records, Records]:
    """Listeners as the programs know them: cookie, namespace, port, the address's last byte."""
    keys, listeners = np.zeros(len(rows), KEY), np.zeros(len(rows), LISTENER)
    for key, at, (cookie, netns, port, last) in zip(keys, listeners, rows, strict=True):
        key["cookie"], at["netns"], at["port"], at["addr"][15] = cookie, netns, port, last
    return keys, listeners


def numbered(sockets: Records, *rows: tuple[int, int, int, int]) -> list[int]:
    use_numbers(sockets, NETNS, *known(*rows))
    return [int(cookie) for cookie in sockets["cookie"]]


ONE, TWO = int(FIRST) | 1, int(FIRST) | 2


def test_a_listener_has_the_number_of_its_namespace_address_and_port() -> None:
    rows = ((TWO, NETNS, 80, 2), (ONE, NETNS, 80, 1), (ONE + 9, 8, 80, 1), (ONE + 8, NETNS, 81, 1))
    assert numbered(told((50, 80, 1), (51, 80, 2)), *rows) == [ONE, TWO]


def test_a_cookie_that_the_programs_know_stands_beside_a_younger_twin() -> None:
    rows = ((50, NETNS, 80, 1), (ONE, NETNS, 80, 1))
    assert numbered(told((50, 80, 1), (51, 80, 1)), *rows) == [50, ONE]


def test_of_several_at_one_place_none_is_taken_for_another() -> None:
    both = ((ONE, NETNS, 80, 1), (TWO, NETNS, 80, 1))
    assert numbered(told((50, 80, 1), (51, 80, 1)), *both) == [50, 51]
    assert numbered(told((50, 80, 1)), *both) == [50]
    assert numbered(told((50, 80, 1), (51, 80, 1)), both[0]) == [50, 51]


def test_where_nobody_is_known_the_cookie_stands() -> None:
    assert numbered(told((50, 80, 1))) == [50]
