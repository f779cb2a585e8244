"""Which records the filters leave, of a batch at a time: what bpf/emit.h does in the kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tracer.wire.filters import Filters, Network, PortRange, mapped
from tracer.wire.layout import Layout, Records

Mask = NDArray[np.bool_]
# which records belong to the processes that the filter of this name asks for: PID, COMM, CGROUP
Owned = Callable[[str, Filters, Records], Mask]
Test = Callable[[], Mask]
_Named = tuple[str, Test]


def refuse(
    filters: Filters, records: Records, layout: Layout, owned: Owned
) -> tuple[Mask, dict[str, int]]:
    """Which records pass, and how many each filter was the first to refuse."""
    passed = np.ones(len(records), np.bool_)
    refused: dict[str, int] = {}
    for name, test in _in_order(
        list(_tests(filters, records, layout, owned)),
        list(_tests(filters.excluded, records, layout, owned)),
    ):
        good = test()
        refused[name] = refused.get(name, 0) + int((passed & ~good).sum())
        passed &= good
    return passed, refused


# as the kernel asks, what is excluded after what is asked for of the same sort
SORTS = (("KIND",), ("PID", "COMM", "CGROUP"), (), ("ADDR", "LADDR", "RADDR"), ("FAILED", "SLOWER"))


def _in_order(wanted: list[tuple[str, Test]], unwanted: list[tuple[str, Test]]) -> list[_Named]:
    listed = {name for names in SORTS for name in names}
    found: list[_Named] = []
    for names in SORTS:
        for name, test in wanted:
            if name in names or (not names and name not in listed):
                found.append((name, test))
        for name, test in unwanted:
            if name in names or (not names and name not in listed):
                found.append(("EXCLUDE", partial(_none_of, test)))
    return found


def _none_of(test: Test) -> Mask:
    return ~test()


def _tests(
    filters: Filters, records: Records, layout: Layout, owned: Owned
) -> Iterator[tuple[str, Test]]:
    """What is asked of the records, by the filter's name, in the order of the kernel."""
    kinds = layout.enums["kind"]
    if filters.kinds:
        wanted_kinds = [kinds[kind.upper()] for kind in filters.kinds if kind.upper() in kinds]
        yield "KIND", lambda: np.isin(records["kind"], wanted_kinds)
    if filters.pids:
        yield "PID", lambda: owned("PID", filters, records)
    if filters.comms:
        yield "COMM", lambda: owned("COMM", filters, records)
    if filters.cgroups:
        yield "CGROUP", lambda: owned("CGROUP", filters, records)
    if filters.family:
        yield "FAMILY", lambda: records["family"] == filters.family
    if filters.netns:
        yield "NETNS", lambda: np.isin(records["netns"], list(filters.netns))
    if filters.uids:
        yield "UID", lambda: np.isin(records["uid"], list(filters.uids))
    if filters.ports:
        yield "PORT", lambda: _in_ports(filters.ports, records["lport"], records["rport"])
    if filters.lports:
        yield "LPORT", lambda: _in_ports(filters.lports, records["lport"])
    if filters.rports:
        yield "RPORT", lambda: _in_ports(filters.rports, records["rport"])
    if filters.states:
        yield "STATE", lambda: _in_states(filters.states, records, layout)
    if filters.addrs:
        yield "ADDR", lambda: _in_networks(filters.addrs, records["laddr"], records["raddr"])
    if filters.laddrs:
        yield "LADDR", lambda: _in_networks(filters.laddrs, records["laddr"])
    if filters.raddrs:
        yield "RADDR", lambda: _in_networks(filters.raddrs, records["raddr"])

    if filters.failed:
        yield "FAILED", lambda: _failed(records, layout)
    if filters.slower_ns:
        yield "SLOWER", lambda: _took_ns(records) >= filters.slower_ns


def _failed(records: Records, layout: Layout) -> Mask:
    """What came to nothing, kind by kind."""
    names, enums = records.dtype.names or (), layout.enums
    if "outcome" in names:
        ended: Mask = records["outcome"] != enums["outcome"]["OK"]
    elif "end" in names:
        ended = records["end"] != enums["end"]["FIN"]
    elif {"cause", "by", "ended", "reason"} & set(names):
        ended = np.ones(len(records), np.bool_)
    elif "error" in names:
        ended = records["error"] != 0
    elif "old" not in names:  # sent again, which is no end
        ended = np.zeros(len(records), np.bool_)
    else:
        states = enums["tcp_state"]
        ended = np.isin(records["old"], [states["SYN_SENT"], states["SYN_RECV"]])
        ended &= records["new"] == states["CLOSE"]
    return ended


def _took_ns(records: Records) -> NDArray[np.uint64]:
    """What each took, or at least: a handshake, a wait, a state, a life; 0 if not known."""
    names = records.dtype.names or ()
    none: NDArray[np.uint64] = np.zeros(len(records), np.uint64)
    # of a RST its connection's life is told too, which is not what it took
    lives = ("life_ns",) if "end" in names else ()
    for column in ("latency_ns", "wait_ns", "dwell_ns", *lives):
        if column in names:
            taken: NDArray[np.uint64] = records[column]
            return taken
    return none


def lasting(sockets: Records, filters: Filters) -> Records:
    """Sockets as --failed and --slower leave them to what sums up ends: by what they took so far.

    None of them has failed.
    """
    if filters.failed:
        return sockets[:0]
    if not filters.slower_ns:
        return sockets  # to copy many takes long
    return sockets[sockets["age_ns"] >= filters.slower_ns]


def _in_ports(ranges: tuple[PortRange, ...], *sides: NDArray[np.uint16]) -> Mask:
    allowed = np.zeros(65536, np.bool_)
    for first, last in ranges:
        allowed[first : last + 1] = True
    found: Mask = np.any([allowed[ports] for ports in sides], axis=0)
    return found


def _in_networks(networks: tuple[Network, ...], *sides: NDArray[np.uint8]) -> Mask:
    found = np.zeros(len(sides[0]), np.bool_)
    for network in networks:
        prefix, length = mapped(network)
        mask = np.frombuffer(((1 << 128) - (1 << (128 - length))).to_bytes(16, "big"), np.uint8)
        for addresses in sides:
            found |= ((addresses & mask) == (np.frombuffer(prefix, np.uint8) & mask)).all(axis=1)
    return found


def as_sockets(listeners: Records, layout: Layout) -> Records:
    """Rows of listeners as rows of sockets, which `refuse` can read."""
    rows = np.zeros(len(listeners), layout.dtypes["sock_row"])
    names = set(rows.dtype.names or ()) & set(listeners.dtype.names or ())
    for name in names & {"cookie", "netns", "pid", "start", "family", "uid", "cgroup_id"}:
        rows[name] = listeners[name]
    rows["laddr"], rows["lport"] = listeners["addr"], listeners["port"]
    rows["raddr"] = _nowhere(rows["family"])
    rows["state"] = layout.enums["tcp_state"]["LISTEN"]
    return rows


def _nowhere(families: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The address of no peer, as the kernel side writes it in each family."""
    found = np.zeros((len(families), 16), np.uint8)
    found[families == 4, 10:12] = 0xFF
    return found


def _in_states(states: frozenset[int], records: Records, layout: Layout) -> Mask:
    names = records.dtype.names or ()
    wanted = list(states)
    found = np.zeros(len(records), np.bool_)
    for column in ("old", "new", "timewait", "state"):
        if column in names:
            found |= np.isin(records[column], wanted)
    if "end" in names:
        found |= layout.enums["tcp_state"]["CLOSE"] in states
    if "cause" in names:  # dropped at a listener
        found |= layout.enums["tcp_state"]["LISTEN"] in states
    return found
