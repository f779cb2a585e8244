"""What a reader of a table of open connections should notice, in a sentence each, if it is so."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracer.flows.owners import RECEIVED
from tracer.views.columns import Facts
from tracer.views.text import address, duration, escape, quantity
from tracer.wire.layout import Records

A_WHILE_NS = 1_000_000_000  # what waits for less is under way
MANY = 3  # sockets that a process has not closed
MOST_OF_IT = 0.5


def notable(rows: Records, facts: Facts) -> list[str]:
    """At most a line of each kind."""
    found = (
        _unclosed(rows, facts),
        _unread(rows, facts),
        _unacknowledged(rows, facts),
        _limited(rows, facts),
    )
    return [line for line in found if line]


def _unclosed(rows: Records, facts: Facts) -> str:
    waiting = rows["state"] == facts.layout.enums["tcp_state"]["CLOSE_WAIT"]
    held = rows[waiting & (rows["holders"] > 0)]
    mine = _most(held, np.ones(len(held)))
    if len(mine) < MANY:
        return ""
    read = int((mine["recv_queue"] == 0).sum())
    return (
        f"{_owner(mine[0], facts)}: {len(mine)} in CLOSE_WAIT, {read} of them with nothing unread:"
        " their peers have closed, it has not"
    )


def _unread(rows: Records, facts: Facts) -> str:
    old = (rows["flags"] & RECEIVED > 0) & (rows["last_received_ns"] >= A_WHILE_NS)
    unread = rows[old & (rows["recv_queue"] > 0)]
    mine = _most(unread, unread["recv_queue"])
    if not len(mine):
        return ""
    deepest = mine[int(mine["recv_queue"].argmax())]
    since = int(mine["last_received_ns"].min())
    return (
        f"{_owner(mine[0], facts)}: {quantity(int(mine['recv_queue'].sum()))} bytes unread for"
        f" {duration(since)} or longer in {_connections(len(mine))}, most of all from"
        f" {_peer(deepest, facts)}: {quantity(int(deepest['recv_queue']))}"
    )


def _unacknowledged(rows: Records, facts: Facts) -> str:
    old = rows["last_ack_ns"] >= A_WHILE_NS
    unacked = rows[old & (rows["send_queue"] > 0)]
    if not len(unacked):
        return ""
    deepest = unacked[int(unacked["send_queue"].argmax())]
    return (
        f"{_connections(len(unacked))} with {quantity(int(unacked['send_queue'].sum()))} bytes that"
        f" peers have not acknowledged, and nothing heard for {duration(A_WHILE_NS)} or longer;"
        f" most of all {_peer(deepest, facts)}: {quantity(int(deepest['send_queue']))}"
    )


def _limited(rows: Records, facts: Facts) -> str:
    busy = np.maximum(rows["busy_ns"], 1).astype(np.float64)
    worst = ""
    most = float(A_WHILE_NS)
    for column, what in (
        ("rwnd_limited_ns", "the receiver's window"),
        ("sndbuf_limited_ns", "its own send buffer"),
    ):
        held = np.where(rows[column] / busy > MOST_OF_IT, rows[column], 0)
        if len(held) and held.max() >= most:
            most, row = float(held.max()), rows[int(held.argmax())]
            share = int(row[column]) / int(row["busy_ns"])
            worst = (
                f"{_owner(row, facts)} to {_peer(row, facts)}: held up by {what} for {share:.0%}"
                f" of the {duration(int(row['busy_ns']))} that it had data to send"
            )
    return worst


def _most(rows: Records, weights: NDArray[np.generic]) -> Records:
    """The rows of the owner that has most of it."""
    if not len(rows):
        return rows
    keys = rows["pid"].astype(np.uint64) << np.uint64(32) | rows["start"]
    owners, place = np.unique(keys, return_inverse=True)
    sums = np.bincount(place.reshape(-1), weights, len(owners))
    found: Records = rows[keys == owners[int(sums.argmax())]]
    return found


def _owner(row: np.void, facts: Facts) -> str:
    process = facts.process(int(row["pid"]), int(row["start"]))
    return f"{escape(process.comm)}[{process.pid or '-'}]" if process else "(nobody's)"


def _peer(row: np.void, facts: Facts) -> str:
    return facts.endpoint(address(bytes(row["raddr"])), int(row["rport"]))


def _connections(count: int) -> str:
    return "1 connection" if count == 1 else f"{count} connections"
