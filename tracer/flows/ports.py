"""Ephemeral ports: which of them connections to one destination use, and which are free.

A port that connect() chooses is in use for one pair of addresses and one remote port alone: so many
connections as the range has ports can go to *each* of them (__inet_hash_connect(),
net/ipv4/inet_hashtables.c). It passes over a port that somebody listens on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracer.flows.rows import sort
from tracer.wire.batch import chosen as copied
from tracer.wire.distinct import distinct
from tracer.wire.layout import Layout, Records

TIME_WAIT_S = 60  # TCP_TIMEWAIT_LEN, include/net/tcp.h
REUSE_S = 1  # a TIME_WAIT younger than that is not used again
Mask = NDArray[np.bool_]
_LOOPBACK = b"\0" * 10 + b"\xff\xff\x7f"
_LOOPBACK6 = b"\0" * 15 + b"\1"


@dataclass(frozen=True)
class Range:
    """Ports that connect() may choose, by the settings of one namespace."""

    low: int
    high: int
    reserved: frozenset[int]  # of those between

    @property
    def size(self) -> int:
        """Without the reserved ones."""
        return self.high - self.low + 1 - len(self.reserved)

    def holds(self, ports: NDArray[np.uint16]) -> Mask:
        """Which of these ports it has."""
        inside = (ports >= self.low) & (ports <= self.high)
        return inside & ~np.isin(ports, list(self.reserved)) if self.reserved else inside

    def __str__(self) -> str:
        return f"{self.low}-{self.high}"


def read_range(settings: Mapping[str, str]) -> Range | None:
    """From sysctls by name; None where they are not known."""
    low, _, high = settings.get("ip_local_port_range", "").partition("\t")
    if not low or not high:
        return None
    first, last = int(low), int(high)
    reserved = set[int]()
    for part in settings.get("ip_local_reserved_ports", "").split(","):
        if part:
            begin, _, end = part.partition("-")
            reserved.update(range(max(first, int(begin)), min(last, int(end or begin)) + 1))
    return Range(first, last, frozenset(reserved))


def reuses(settings: Mapping[str, str], remote: bytes) -> bool:
    """Whether a port in TIME_WAIT is used again for this remote address: tcp_twsk_unique()."""
    if settings.get("tcp_timestamps") == "0":
        return False
    way = settings.get("tcp_tw_reuse")
    return way == "1" or (way == "2" and is_loopback(remote))


def is_loopback(remote: bytes) -> bool:
    """Whether an address is this machine's own: what tcp_tw_reuse=2 is for."""
    return remote.startswith(_LOOPBACK) or remote == _LOOPBACK6


def most_per_s(ports: int, seconds: float = TIME_WAIT_S) -> float:
    """How many connections a second can go on for ever, if each keeps its port so long."""
    return ports / seconds


@dataclass(frozen=True, order=True)
class Way:
    """What a port is in use for: addresses as the wire has them."""

    netns: int
    laddr: bytes
    raddr: bytes
    rport: int


@dataclass(frozen=True)
class Use:
    """The ports of one way at one moment; `remains` are the cookies of those in TIME_WAIT.

    `owner`: (tgid, start) of who has the most, (0, 0) where nobody is known; `others`: how many
    processes more.
    """

    live: int
    remains: NDArray[np.uint64]
    owner: tuple[int, int] = (0, 0)
    others: int = 0

    @property
    def held(self) -> int:
        """In use, or in TIME_WAIT."""
        return self.live + len(self.remains)


NOTHING = Use(0, np.zeros(0, np.uint64))


class Ports:
    """One pass over all sockets: `uses` by way, `listened`: ports of the range by namespace."""

    def __init__(
        self, rows: Records, chosen: Mask, ranges: Mapping[int, Range], layout: Layout
    ) -> None:
        """`rows` of all sockets, of which the `chosen` say which ways are told of.

        Of a namespace whose range is not known every port may be of the range.
        """
        self._states = layout.enums["tcp_state"]
        listens = rows["state"] == self._states["LISTEN"]
        heard = distinct(np.stack([rows["netns"][listens], rows["lport"][listens]], 1), axis=0)
        self.listened: dict[int, int] = dict.fromkeys(ranges, 0)
        for netns, port in heard.tolist():
            found = ranges.get(netns)
            if found and found.low <= port <= found.high and port not in found.reserved:
                self.listened[netns] += 1
        kept = self._chose_their_port(rows, heard, ranges)
        self.uses = _by_way(copied(rows, kept), chosen[kept], self._states["TIME_WAIT"])

    def _chose_their_port(
        self, rows: Records, heard: NDArray[np.int64], ranges: Mapping[int, Range]
    ) -> Mask:
        """What connect() may have given its port: no listener, and no child of one."""
        asked = np.isin(
            rows["state"], [self._states[name] for name in ("LISTEN", "NEW_SYN_RECV")], invert=True
        )
        within = np.zeros(len(rows), np.bool_)
        ports = rows["lport"]
        for netns in distinct(rows["netns"]).tolist():
            here = rows["netns"] == netns
            of_listeners = heard[heard[:, 0] == netns][:, 1] if len(heard) else heard
            here &= ~np.isin(ports, of_listeners)
            found = ranges.get(netns)
            within |= here & found.holds(ports) if found else here
        kept: Mask = asked & within & (rows["rport"] > 0)
        return kept


def _by_way(rows: Records, chosen: Mask, timewait: int) -> dict[Way, Use]:
    return {
        way: _use(rows, members, timewait)
        for way, members in ways(rows).items()
        if chosen[members].any()
    }


def ways(rows: Records) -> dict[Way, NDArray[np.intp]]:
    """Which rows, or records, are of each way."""
    if not len(rows):
        return {}
    columns = [rows[name].astype(np.int64) for name in ("netns", "rport")]
    for name in ("laddr", "raddr"):
        words = np.ascontiguousarray(rows[name]).view(">i8").reshape(-1, 2).astype(np.int64)
        columns += [words[:, 0], words[:, 1]]
    order, starts = sort(columns, len(rows))
    return {
        _way(rows[members[0]]): members for members in np.split(order, starts[1:]) if len(members)
    }


def _way(row: np.void) -> Way:
    return Way(int(row["netns"]), bytes(row["laddr"]), bytes(row["raddr"]), int(row["rport"]))


def _use(rows: Records, members: NDArray[np.intp], timewait: int) -> Use:
    # whole rows are long: of tens of thousands only what is asked for is taken
    names = ("state", "lport", "cookie", "pid", "start")
    states, ports, cookies, pids, starts = (rows[name][members] for name in names)
    remains = states == timewait
    # one port may be in TIME_WAIT and used again
    live = distinct(ports[~remains])
    left = remains & ~np.isin(ports, live)
    owned = pids > 0
    owner, others = (0, 0), 0
    if owned.any():
        packed = pids[owned].astype(np.uint64) << np.uint64(32) | starts[owned].astype(np.uint64)
        owners, counts = np.unique(packed, return_counts=True)
        most = int(owners[counts.argmax()])
        owner, others = (most >> 32, most & 0xFFFFFFFF), len(owners) - 1
    return Use(len(live), np.sort(cookies[left]), owner, others)


@dataclass(frozen=True)
class Pace:
    """How the ports of a way came and went, a second."""

    opens: float  # taken
    grows: float  # in use, more than before; less than 0: fewer
    remains: float  # came into TIME_WAIT
    expires: float  # left it


def pace(then: Use, now: Use, opens: int, seconds: float, between: float) -> Pace:
    """From two looks with so many seconds `between` them, and what was opened in the span."""
    came = len(np.setdiff1d(now.remains, then.remains, assume_unique=True))
    went = len(np.setdiff1d(then.remains, now.remains, assume_unique=True))
    # what came and went within has been there for no longer than a TIME_WAIT lasts
    return Pace(
        opens / seconds,
        (now.live - then.live) / between,
        came / min(between, TIME_WAIT_S),
        went / between,
    )


def exhausted_in_s(now: Use, ports: int, pace: Pace, reused: bool) -> float | None:
    """In how long no port is free, if it goes on as in the span; None: it will not come to that.

    Ports that connections keep add up without end; in TIME_WAIT there are at most as many as come
    within 60 s, or within the second that one is not used again for.
    """
    free = ports - now.live - (0 if reused else len(now.remains))
    if free <= 0:
        return 0.0
    standing = pace.remains * (REUSE_S if reused else TIME_WAIT_S)
    at_last = now.live + standing
    grows = pace.grows if reused else pace.grows + pace.remains - pace.expires
    if at_last >= ports:
        return free / grows if grows > 0 else None
    if pace.grows <= 0:
        return None
    # within a minute, what is in TIME_WAIT now may still be
    soon = free / grows if grows > 0 else TIME_WAIT_S
    return soon if soon < TIME_WAIT_S else (ports - at_last) / pace.grows
