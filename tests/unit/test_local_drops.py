"""An attempt is given the drop that befell it, and no other."""

from __future__ import annotations

from collections import namedtuple

from tracer.flows.local_drops import LONGEST_NS, MOST, LocalDrops

Drop = namedtuple("Drop", "mono_ns laddr lport raddr rport cause")
Attempt = namedtuple("Attempt", "mono_ns laddr lport raddr rport latency_ns")
SERVER, CLIENT = b"server", b"client"
SECOND = 1_000_000_000
BEGAN = 500 * SECOND


def drop(at_ns: int, port: int = 1, cause: int = 3) -> Drop:
    return Drop(at_ns, SERVER, 80, CLIENT, port, cause)


def calling(ended_ns: int, latency_ns: int) -> Attempt:
    return Attempt(ended_ns, CLIENT, 1, SERVER, 80, latency_ns)


def called(ended_ns: int) -> Attempt:
    return Attempt(ended_ns, SERVER, 80, CLIENT, 1, 10)


def test_both_sides_have_the_cause() -> None:
    drops = LocalDrops()
    drops.add(drop(BEGAN + 1))
    assert drops.cause(calling(BEGAN + SECOND, SECOND), active=True) == 3
    assert drops.cause(called(BEGAN + SECOND + 9), active=False) == 3


def test_the_last_of_several_is_told() -> None:
    drops = LocalDrops()
    drops.add(drop(BEGAN + 1, cause=1))
    drops.add(drop(BEGAN + 2, cause=2))
    assert drops.cause(calling(BEGAN + SECOND, SECOND), active=True) == 2


def test_a_drop_before_the_attempt_began_is_not_of_it() -> None:
    drops = LocalDrops()
    drops.add(drop(BEGAN - 1))
    assert drops.cause(calling(BEGAN + SECOND, SECOND), active=True) is None
    assert drops.cause(called(BEGAN + LONGEST_NS), active=False) is None


def test_another_port_and_the_other_direction_are_other_attempts() -> None:
    drops = LocalDrops()
    drops.add(drop(BEGAN + 1, port=2))
    drops.add(Drop(BEGAN + 1, CLIENT, 1, SERVER, 80, 3))
    assert drops.cause(calling(BEGAN + SECOND, SECOND), active=True) is None
    assert drops.cause(called(BEGAN + SECOND), active=False) is None


def test_the_oldest_make_room() -> None:
    drops = LocalDrops()
    drops.add(drop(BEGAN))
    for number in range(MOST):
        drops.add(drop(BEGAN, port=number + 2))
    assert drops.cause(calling(BEGAN + SECOND, SECOND), active=True) is None
    late = Attempt(BEGAN + SECOND, CLIENT, MOST + 1, SERVER, 80, SECOND)
    assert drops.cause(late, active=True) == 3
