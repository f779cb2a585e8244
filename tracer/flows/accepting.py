"""Accepts by listener, acceptor and peer; and what waits, or came to its end, in accept queues."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tracer.flows.histogram import Histogram, Histograms, histogram
from tracer.wire.distinct import distinct
from tracer.wire.layout import Layout, Records

Owner = tuple[int, int]  # tgid and start
Rows = tuple[NDArray[np.int64], NDArray[np.uint64]]
WIDTH = 9  # listener's cookie, address (2), netns and port; pid, start; peer (2); errno


@dataclass(frozen=True)
class Accepts:
    """What one combination of listener, acceptor and peer came to.

    `listener` is its cookie; where that is not known, the namespace and the address that was
    reached. Each errno is one of its own; 0 is what was accepted. Without a peer, as where accept()
    failed, that is all zero.
    """

    listener: tuple[int, ...]
    acceptor: Owner
    peer: bytes
    netns: int
    address: bytes
    port: int
    error: int
    count: int


class AcceptTable:
    """Counts accept records. `peer_bits`: of the peer's address (IPv4, IPv6); None: not kept."""

    def __init__(self, peer_bits: tuple[int, int] | None = None) -> None:
        self._bits = peer_bits
        self._table = Histograms(WIDTH)

    def add(self, records: Records) -> None:
        """Count a batch of accept records, those that failed too."""
        size = len(records)
        keys = np.zeros((size, WIDTH), np.int64)
        keys[:, 0] = records["listener_cookie"].view(np.int64)
        told = records["listener_port"] > 0
        keys[:, 1:3] = _pair(np.where(told[:, None], records["listener_addr"], records["laddr"]))
        port = np.where(told, records["listener_port"], records["lport"]).astype(np.int64)
        keys[:, 3] = records["netns"].astype(np.int64) << 16 | port
        keys[:, 4], keys[:, 5] = records["pid"], records["start"]
        if self._bits:
            masks = np.stack([_mask(96 + self._bits[0]), _mask(self._bits[1])])
            peers = records["raddr"] & masks[(records["family"] == 6).astype(int)]
            keys[:, 6:8] = _pair(np.where(records["error"][:, None], 0, peers))
        keys[:, 8] = records["error"]
        well = records["error"] == 0
        waits = np.where(well, records["wait_ns"], 0).astype(np.uint64)
        self._table.add(keys, waits, well & (records["established_ns"] > 0))

    def rows(self) -> Rows:
        """Keys and values as they stand: arrays that are never changed."""
        return self._table.rows()

    def absorb(self, other: AcceptTable) -> None:
        """Add all that another table has counted."""
        self._table.absorb(other._table)

    def groups(self) -> list[Accepts]:
        """Every combination that there was; each errno is one of its own."""
        keys, counts = self._table.groups()
        addresses, peers = np.ascontiguousarray(keys[:, 1:3]), np.ascontiguousarray(keys[:, 6:8])
        return [
            Accepts(
                listener=(cookie & (1 << 64) - 1,) if cookie else (0, place, high, low),
                acceptor=(pid, start),
                peer=peers[i].tobytes(),
                netns=place >> 16,
                address=addresses[i].tobytes(),
                port=place & 0xFFFF,
                error=error,
                count=count,
            )
            for i, ((cookie, high, low, place, pid, start, _, _, error), count) in enumerate(
                zip(keys.tolist(), counts.tolist(), strict=True)
            )
        ]

    def gather(self, labels: Iterable[int], size: int) -> list[Histogram]:
        """Waits, ns, of all groups that have label 0, 1, … size - 1; negative ones are left out."""
        return self._table.gather(np.fromiter(labels, np.int64), size)


@dataclass(frozen=True)
class Waits:
    """Rows of one table or more, to be asked for some of what they hold."""

    keys: NDArray[np.int64]
    values: NDArray[np.uint64]

    @classmethod
    def of(cls, tables: Iterable[Rows]) -> Waits:
        """All of them together."""
        parts = [(np.empty((0, WIDTH + 1), np.int64), np.empty((0, 4), np.uint64)), *tables]
        keys, values = zip(*parts, strict=True)
        return cls(np.concatenate(keys), np.concatenate(values))

    def _chosen(self, rows: NDArray[np.bool_]) -> Waits:
        return Waits(self.keys[rows], self.values[rows])

    def of_listener(self, cookie: int) -> Waits:
        """Those of one listening socket."""
        return self._chosen(self.keys[:, 0].view(np.uint64) == cookie)

    def of_process(self, owner: Owner) -> Waits:
        """Those that one process accepted."""
        return self._chosen((self.keys[:, 4] == owner[0]) & (self.keys[:, 5] == owner[1]))

    def accepted(self) -> Histogram:
        """How long those waited that were accepted."""
        well = self.keys[:, 8] == 0
        return histogram(self.keys[well, -1], self.values[well])

    def acceptors(self) -> int:
        """How many processes accepted one."""
        well = self.keys[:, 8] == 0
        return len(distinct(self.keys[well, 4:6], axis=0))

    def failed(self) -> dict[int, int]:
        """Calls that took none, by errno."""
        found: dict[int, int] = {}
        for error, count in zip(self.keys[:, 8].tolist(), self.values[:, 0].tolist(), strict=True):
            if error:
                found[error] = found.get(error, 0) + count
        return found


def _pair(addresses: NDArray[np.uint8]) -> NDArray[np.int64]:
    """16 bytes as two numbers."""
    return np.ascontiguousarray(addresses).view(np.int64)


def _mask(bits: int) -> NDArray[np.uint8]:
    ones = (1 << 128) - (1 << (128 - bits))
    return np.frombuffer(ones.to_bytes(16, "big"), np.uint8)


@dataclass
class Queue:
    """One accept queue. Counters, from when tracing began; `waiting` and `oldest` as it stands."""

    netns: int = 0
    address: bytes = bytes(16)
    port: int = 0
    owner: Owner = (0, 0)
    reset: int = 0
    never: int = 0
    waiting: int = 0
    oldest_ns: int = 0
    oldest_exact: bool = True


@dataclass
class Queues:
    """Every accept queue that was heard of, by its listener's cookie.

    `knows_counters` and `knows_waiting` say whether anything told of them: not every recording has
    them.
    """

    by_cookie: dict[int, Queue] = field(default_factory=dict)
    knows_counters: bool = False
    knows_waiting: bool = False

    def set_counters(self, rows: Records) -> None:
        """Take the listeners as they stand; one that closed is told of once, and stays."""
        self.knows_counters = True
        columns = ("cookie", "netns", "port", "pid", "start", "reset_in_queue", "never_accepted")
        for i, (cookie, netns, port, pid, start, reset, never) in enumerate(
            zip(*(rows[column].tolist() for column in columns), strict=True)
        ):
            queue = self.by_cookie.setdefault(cookie, Queue())
            queue.netns, queue.port, queue.address = netns, port, rows["addr"][i].tobytes()
            queue.owner = pid, start
            queue.reset, queue.never = reset, never

    def set_waiting(self, sockets: Records, layout: Layout) -> None:
        """Take a pass over the sockets: which of them are finished and wait."""
        self.knows_waiting = True
        for queue in self.by_cookie.values():
            queue.waiting = queue.oldest_ns = 0
        listening = sockets[sockets["state"] == layout.enums["tcp_state"]["LISTEN"]]
        for row in listening:
            queue = self.by_cookie.setdefault(int(row["cookie"]), Queue())
            queue.netns, queue.port = int(row["netns"]), int(row["lport"])
            queue.address, queue.owner = (
                row["laddr"].tobytes(),
                (int(row["pid"]), int(row["start"])),
            )
        waiting = sockets[(sockets["waiting_ns"] > 0) & (sockets["listener_cookie"] > 0)]
        exact = layout.enums["dwell_is"]["EXACT"]
        for cookie in distinct(waiting["listener_cookie"]):
            mine = waiting[waiting["listener_cookie"] == cookie]
            oldest = mine[int(mine["waiting_ns"].argmax())]
            fresh = Queue(int(oldest["netns"]), oldest["laddr"].tobytes(), int(oldest["lport"]))
            queue = self.by_cookie.setdefault(int(cookie), fresh)
            queue.waiting, queue.oldest_ns = len(mine), int(oldest["waiting_ns"])
            queue.oldest_exact = bool(oldest["age_is"] == exact)

    def counters(self) -> dict[int, tuple[int, int]]:
        """Reset while waiting and never accepted, by cookie, as they stand."""
        return {cookie: (queue.reset, queue.never) for cookie, queue in self.by_cookie.items()}
