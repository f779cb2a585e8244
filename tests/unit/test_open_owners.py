"""Who owns what in a snapshot: by descriptors, and by listeners for what has none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tracer.flows.owners import FULL, ORPHAN, TAKEN
from tracer.flows.owners import give_owners as fill
from tracer.wire.layout import Layout, Records

ANY4, ANY6 = b"\0" * 10 + b"\xff\xff" + b"\0" * 4, b"\0" * 16
LOOPBACK, OTHER = b"\0" * 10 + b"\xff\xff\x7f\0\0\1", b"\0" * 10 + b"\xff\xff\x0a\0\0\1"
PARENT, CHILD = (100, 5), (101, 7)


def made(wire: Layout, name: str, rows: list[dict[str, Any]]) -> Records:
    found = np.zeros(len(rows), wire.dtypes[name])
    for row, values in zip(found, rows, strict=True):
        for column, value in values.items():
            row[column] = np.frombuffer(value, np.uint8) if column == "laddr" else value
    return found


def give_owners(sockets: Records, holders: Records, wire: Layout) -> Records:
    fill(sockets, holders, wire)
    return sockets


def listener(wire: Layout, cookie: int, laddr: bytes, **more: Any) -> dict[str, Any]:
    state = wire.enums["tcp_state"]["LISTEN"]
    return {"cookie": cookie, "laddr": laddr, "lport": 80, "state": state} | more


def held(cookie: int, process: tuple[int, int], fd: int = 3, **more: Any) -> dict[str, Any]:
    pid, start = process
    return {"cookie": cookie, "pid": pid, "start": start, "fd": fd} | more


def test_the_oldest_of_several_holders_owns_a_socket_and_all_are_counted(wire: Layout) -> None:
    holders = [held(9, CHILD, 4), held(9, PARENT, 8), held(9, PARENT, 6), held(3, CHILD)]
    sockets = made(wire, "open_row", [{"cookie": 9, "flags": FULL | TAKEN}, {"cookie": 4}])
    found = give_owners(sockets, made(wire, "holder_row", holders), wire)
    columns = ("pid", "start", "fd", "holders", "owner_is")
    assert [tuple(int(row[c]) for c in columns) for row in found] == [
        (*PARENT, 6, 2, wire.enums["owner_is"]["PROCESS"]),
        (0, 0, 0, 0, wire.enums["owner_is"]["UNKNOWN"]),
    ]


@pytest.mark.parametrize(
    ("laddr", "heard_by"), [(LOOPBACK, 1), (OTHER, 2)], ids=["its own address", "any address"]
)
def test_what_waits_in_a_queue_is_its_listeners_owners(
    wire: Layout, laddr: bytes, heard_by: int
) -> None:
    sockets = made(
        wire,
        "open_row",
        [
            listener(wire, 1, LOOPBACK, family=4),
            listener(wire, 2, ANY6, family=6),
            {"cookie": 3, "laddr": laddr, "lport": 80, "family": 4, "flags": FULL, "state": 1},
        ],
    )
    holders = made(wire, "holder_row", [held(1, PARENT), held(2, CHILD)])
    waiting = give_owners(sockets, holders, wire)[2]
    assert waiting["listener_cookie"] == heard_by
    assert (waiting["pid"], waiting["start"]) == (PARENT if heard_by == 1 else CHILD)
    assert waiting["owner_is"] == wire.enums["owner_is"]["LISTENER"]


def test_a_half_open_one_names_its_listener_itself(wire: Layout) -> None:
    half_open = wire.enums["tcp_state"]["NEW_SYN_RECV"]
    twins = [listener(wire, cookie, ANY4, family=4) for cookie in (1, 2)]
    request = {"cookie": 3, "state": half_open, "listener_cookie": 2}
    sockets = made(wire, "open_row", [*twins, request])
    holders = made(wire, "holder_row", [held(1, PARENT), held(2, CHILD)])
    assert give_owners(sockets, holders, wire)["pid"][2] == CHILD[0]


def test_which_of_two_twins_queue_it_is_in_nobody_knows(wire: Layout) -> None:
    twins = [listener(wire, cookie, ANY4, family=4) for cookie in (1, 2)]
    waiting = {"cookie": 3, "laddr": LOOPBACK, "lport": 80, "family": 4, "flags": FULL, "state": 1}
    sockets = made(wire, "open_row", [*twins, waiting])
    holders = made(wire, "holder_row", [held(1, PARENT), held(2, CHILD)])
    found = give_owners(sockets, holders, wire)[2]
    assert (found["listener_cookie"], found["pid"], found["owner_is"]) == (0, 0, 0)


@pytest.mark.parametrize("is_", [FULL | ORPHAN, FULL | TAKEN, 0], ids=["orphan", "taken", "mini"])
def test_what_has_left_the_queue_is_not_its_listeners(wire: Layout, is_: int) -> None:
    gone = {"cookie": 3, "laddr": LOOPBACK, "lport": 80, "family": 4, "flags": is_, "state": 8}
    sockets = made(wire, "open_row", [listener(wire, 1, LOOPBACK, family=4), gone])
    holders = made(wire, "holder_row", [held(1, PARENT)])
    assert give_owners(sockets, holders, wire)["pid"].tolist() == [PARENT[0], 0]


def test_a_listener_of_another_namespace_has_nothing_to_do_with_it(wire: Layout) -> None:
    waiting = {"cookie": 3, "laddr": LOOPBACK, "lport": 80, "family": 4, "flags": FULL, "netns": 7}
    sockets = made(wire, "open_row", [listener(wire, 1, ANY4, family=4, netns=8), waiting])
    holders = made(wire, "holder_row", [held(1, PARENT)])
    assert give_owners(sockets, holders, wire)["pid"].tolist() == [PARENT[0], 0]


def test_no_sockets_and_no_holders_are_no_trouble(wire: Layout) -> None:
    sockets, holders = made(wire, "open_row", []), made(wire, "holder_row", [])
    assert len(give_owners(sockets, holders, wire)) == 0
    assert len(give_owners(made(wire, "open_row", [{"cookie": 1}]), holders, wire)) == 1
