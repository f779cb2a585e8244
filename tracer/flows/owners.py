"""Who owns the sockets of a snapshot: from descriptors, where nothing was traced.

A socket belongs to the process that holds a descriptor of it; of several, to the oldest: it made
the socket, the others inherited it. What waits in an accept queue, or is half-open, has no
descriptor and belongs to its listener's owner. What cannot be known stays unknown.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracer.flows.rows import sort
from tracer.wire.batch import chosen
from tracer.wire.layout import Layout, Records

FULL, TAKEN, ORPHAN, SENT, RECEIVED = 1, 2, 4, 8, 16  # bpf/events.h: TT_OPEN_
_OWNER = ("pid", "start", "cgroup_id")
_END = ("netns", "lport", "laddr", "family")
_ANY = np.array([[0] * 16, [0] * 10 + [255] * 2 + [0] * 4], np.uint8)


def give_owners(rows: Records, holders: Records, layout: Layout) -> None:
    """Fill in the columns of the owner, `holders` and `fd` of `open_row`.

    `holders` are all descriptors of TCP sockets, `holder_row`. To copy many rows takes long.
    """
    _give_to_holders(rows, holders, layout)
    _give_to_listeners(rows, layout)


def give_listeners(rows: Records, holders: Records) -> None:
    """Fill in the columns of the owner of `listener_row`."""
    found = _find(rows["cookie"], holders)
    for name in _OWNER:
        rows[name][found.held] = found.owners[name]


class _Found(NamedTuple):
    """Which sockets anybody holds; of those the owner's descriptor, and how many processes do."""

    held: NDArray[np.bool_]
    owners: Records
    holders: NDArray[np.intp]


def _find(sockets: NDArray[np.uint64], holders: Records) -> _Found:
    keys = [holders[name].astype(np.int64) for name in ("cookie", "start", "pid", "fd")]
    order = sort(keys, len(holders)).order
    ordered = chosen(holders, order)
    cookies, first = np.unique(ordered["cookie"], return_index=True)
    if not len(cookies):
        return _Found(np.zeros(len(sockets), np.bool_), ordered, np.zeros(0, np.intp))
    place = np.searchsorted(cookies, sockets).clip(max=len(cookies) - 1)
    held = (cookies[place] == sockets) & (sockets > 0)
    counts = _count_processes(ordered, first)
    return _Found(held, chosen(ordered, first[place[held]]), counts[place[held]])


def _give_to_holders(rows: Records, holders: Records, layout: Layout) -> None:
    held, owners, counts = _find(rows["cookie"], holders)
    for name in (*_OWNER, "fd"):
        rows[name][held] = owners[name]
    rows["holders"][held] = counts
    rows["owner_is"][held] = layout.enums["owner_is"]["PROCESS"]


def _count_processes(ordered: Records, first: NDArray[np.intp]) -> NDArray[np.intp]:
    """How many processes hold each socket, of descriptors in order of socket and process."""
    new = np.ones(len(ordered), np.intp)
    same = np.ones(len(ordered) - 1, np.bool_)
    for name in ("cookie", "pid", "start"):
        same &= ordered[name][1:] == ordered[name][:-1]
    new[1:] = ~same
    counts: NDArray[np.intp] = np.add.reduceat(new, first)
    return counts


def _give_to_listeners(rows: Records, layout: Layout) -> None:
    states = layout.enums["tcp_state"]
    listeners = chosen(rows, (rows["state"] == states["LISTEN"]) & (rows["holders"] > 0))
    half_open = rows["state"] == states["NEW_SYN_RECV"]
    waits = half_open | ((rows["flags"] & (FULL | TAKEN | ORPHAN)) == FULL)
    waits &= rows["holders"] == 0
    if not len(listeners) or not waits.any():
        return
    unknown = np.flatnonzero(waits & (rows["listener_cookie"] == 0))
    if len(unknown):
        ends = np.concatenate([_as_bytes(rows[unknown], name) for name in _END], axis=1)
        _, first, which = np.unique(ends, axis=0, return_index=True, return_inverse=True)
        heard = [_heard_by(rows[unknown[i]], listeners) for i in first]
        rows["listener_cookie"][unknown] = np.array(heard, np.uint64)[which.reshape(-1)]
    by_cookie = np.argsort(listeners["cookie"])
    cookies = listeners["cookie"][by_cookie]
    place = np.searchsorted(cookies, rows["listener_cookie"]).clip(max=len(cookies) - 1)
    known = waits & (cookies[place] == rows["listener_cookie"])
    for name in _OWNER:
        rows[name][known] = listeners[name][by_cookie[place[known]]]
    rows["owner_is"][known] = layout.enums["owner_is"]["LISTENER"]


def _as_bytes(rows: Records, name: str) -> NDArray[np.uint8]:
    return np.ascontiguousarray(rows[name]).view(np.uint8).reshape(len(rows), -1)


def _heard_by(row: np.void, listeners: Records) -> int:
    """Cookie of the listener in whose queue a connection waits; 0 where several could be it.

    One bound to the address goes before one bound to any; IPv6's any takes IPv4 as well.
    """
    there = (listeners["netns"] == row["netns"]) & (listeners["lport"] == row["lport"])
    bound = listeners[there & (listeners["laddr"] == row["laddr"]).all(axis=1)]
    if not len(bound):
        anywhere = (listeners["laddr"][:, None] == _ANY).all(axis=2)
        same = anywhere[:, 1] if row["family"] == 4 else anywhere[:, 0]
        bound = listeners[there & same]
        if not len(bound):
            bound = listeners[there & anywhere.any(axis=1)]
    return int(bound["cookie"][0]) if len(bound) == 1 else 0
