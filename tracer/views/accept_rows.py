"""Rows of `accepts`: accepts and queues put together by what --by asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from errno import errorcode
from typing import Any

import numpy as np

from tracer.attribution.processes import Process
from tracer.flows.accepting import Accepts, AcceptTable, Owner, Queue, Queues
from tracer.flows.grouping import PLACE
from tracer.flows.histogram import Histogram
from tracer.views import keys as keys_of
from tracer.views.columns import Facts
from tracer.views.text import address, escape

NOBODY: Owner = (0, 0)
MAPPED = b"\0" * 10 + b"\xff\xff"  # before an IPv4 address

Place = tuple[int, ...]  # what tells a listener from others: Accepts.listener
Others = tuple[object, ...]
Key = tuple[Place, Owner, str, bytes, Others]


@dataclass(frozen=True)
class By:
    """The keys of a row. `peer_bits`: of the peer's address (IPv4, IPv6); None: not a key."""

    listener: bool = True
    pid: bool = True
    comm: bool = False
    peer_bits: tuple[int, int] | None = None
    others: tuple[str, ...] = ()  # words of keys.py

    @classmethod
    def of(cls, words: tuple[str, ...], bits: int | None) -> By:
        """The keys that --by names; `bits` of a peer's address, None for all."""
        peer = (32, 128) if bits is None else (min(bits, 32), bits)
        own = ("listener", "pid", "comm", "peer")
        return cls(
            listener="listener" in words,
            pid="pid" in words,
            comm="comm" in words,
            peer_bits=peer if "peer" in words else None,
            others=tuple(word for word in words if word not in own),
        )


@dataclass
class Listener:
    """Where it listens, and how it is called among others on the same port."""

    cookie: int
    netns: int
    address: str
    port: int
    owner: Owner
    name: str = ""


@dataclass
class Row:
    """One row. What is no key is None; `accepted` is whether anybody called accept()."""

    waits: Histogram
    failed: dict[str, int]
    queue: Queue
    accepted: bool
    listener: Listener | None = None
    process: Process | None = None
    comm: str | None = None
    peer: str | None = None
    others: Others = ()
    sum_of: int = 0  # rows, if it is their sum
    knows_failures: bool = True

    def others_or_none(self, by: By) -> Others:
        """Values of the other words of --by; a sum has none."""
        return self.others or (None,) * len(by.others)

    def keys(self, by: By, facts: Facts) -> dict[str, object]:
        """The keys of its record."""
        listener = self.listener
        owner = facts.process(*listener.owner) if listener else None
        found: dict[str, object] = {
            "listener_addr": listener.address if listener else None,
            "listener_port": listener.port if listener else None,
            "listener_pid": owner.pid if owner else None,
            "listener_comm": owner.comm if owner else None,
            "listener_cookie": f"{listener.cookie:x}" if listener and listener.cookie else None,
            "netns": listener.netns if listener else None,
            "pid": self.process.pid if self.process and by.pid else None,
            "comm": self.comm,
        }
        found |= dict(zip(by.others, self.others_or_none(by), strict=True))
        return found | ({"peer": self.peer} if by.peer_bits else {})


@dataclass
class Block:
    """The rows of one listener, trouble first, and their sum where there are several."""

    rows: list[Row]
    sum: Row | None = None


@dataclass
class Totals:
    """Everything of a span, listeners with trouble first; `queues` are called as in the rows."""

    blocks: list[Block]
    whole: Histogram
    queues: list[tuple[str, Queue]]
    several_netns: bool = False

    @property
    def rows(self) -> list[Row]:
        """All rows without the sums."""
        return [row for block in self.blocks for row in block.rows]


def gather(
    counted: AcceptTable,
    queues: Queues,
    before: dict[int, tuple[int, int]],
    by: By,
    facts: Facts,
    knows_failures: bool = True,
) -> Totals:
    """Put rows together. `before` is what the queues had counted when the span began."""
    groups = counted.groups()
    told = _told(queues, before)
    listeners = _listeners(groups, told, queues, facts)
    # queues that have something to tell and that nobody accepted from
    silent = sorted(set(told) - {group.listener for group in groups})
    label = keys_of.By(by.others).label(facts)
    keys = [_key(group, by, facts, label) for group in groups]
    alone: list[Key] = [
        (place if by.listener else (), NOBODY, "", b"", label(_spot(told[place])))
        for place in silent
    ]
    parts = _Grouping(keys + alone, [group.listener for group in groups] + silent, told)
    rows = parts.rows(counted, groups, listeners, by, facts)
    # the sums: of a listener, where that is a key, or of all
    firsts = [key[:1] for key in keys + alone]
    sums = _Grouping(firsts, parts.places, told).rows(counted, groups, listeners, by, facts)
    blocks: dict[Place, Block] = {key[0]: Block([], row) for key, row in sums.items()}
    for key, row in rows.items():
        blocks[key[0]].rows.append(row)
    for block in blocks.values():
        block.rows.sort(key=_trouble)
        for row in (*block.rows, *([block.sum] if block.sum else [])):
            row.knows_failures = knows_failures
        # an accept() that failed has taken nobody: where rows are by peer, its own is nobody's
        named = sum(row.peer is not None or not by.peer_bits for row in block.rows)
        if named <= 1:
            block.sum = None
        elif block.sum:
            block.sum.sum_of = named
    whole = counted.gather([-1 if group.error else 0 for group in groups], 1)[0]
    return Totals(
        sorted(blocks.values(), key=lambda block: _trouble(block.sum or block.rows[0])),
        whole,
        [(listener.name, told.get(place, Queue())) for place, listener in listeners.items()],
        len({listener.netns for listener in listeners.values()}) > 1,
    )


def _trouble(row: Row) -> tuple[bool, int]:
    """What failed, or was never accepted, comes first; then the biggest."""
    return row.accepted and not row.failed, -row.waits.count


def _spot(of: Accepts | Queue, owner: Owner = NOBODY) -> list[int]:
    """What keys.py reads the other words from."""
    words = np.frombuffer(of.address, ">i8").tolist()
    told = {"netns": of.netns, "lport": of.port, "pid": owner[0], "start": owner[1]}
    told |= {"local_high": words[0], "local_low": words[1]}
    return [told.get(name, 0) for name in PLACE]


def _key(group: Accepts, by: By, facts: Facts, label: keys_of.Label) -> Key:
    process = facts.process(*group.acceptor) if by.comm else None
    return (
        group.listener if by.listener else (),
        group.acceptor if by.pid else NOBODY,
        process.comm if process else "",
        group.peer if by.peer_bits else b"",
        label(_spot(group, group.acceptor)),
    )


def _told(queues: Queues, before: dict[int, tuple[int, int]]) -> dict[Place, Queue]:
    """Queues that have something to tell of this span."""
    found: dict[Place, Queue] = {}
    for cookie, queue in queues.by_cookie.items():
        reset, never = before.get(cookie, (0, 0))
        span = replace(queue, reset=queue.reset - reset, never=queue.never - never)
        if span.reset or span.never or span.waiting:
            found[(cookie,)] = span
    return found


def _listeners(
    groups: list[Accepts], told: dict[Place, Queue], queues: Queues, facts: Facts
) -> dict[Place, Listener]:
    """Every listener that has a row. Those on the same address and port are numbered."""
    found: dict[Place, Listener] = {}
    for group in groups:
        queue = queues.by_cookie.get(group.listener[0])
        owner = queue.owner if queue else NOBODY
        found[group.listener] = Listener(
            group.listener[0], group.netns, address(group.address), group.port, owner
        )
    for place, queue in told.items():
        found[place] = Listener(
            place[0], queue.netns, address(queue.address), queue.port, queue.owner
        )
    twins: dict[tuple[int, str, int], list[Listener]] = {}
    for place in sorted(found):
        listener = found[place]
        twins.setdefault((listener.netns, listener.address, listener.port), []).append(listener)
    for (_, host, port), same in twins.items():
        shown = facts.endpoint("*" if host in ("0.0.0.0", "::") else host, port)
        for i, listener in enumerate(same, 1):
            listener.name = f"{shown} ({i} of {len(same)})" if len(same) > 1 else shown
    return found


@dataclass
class _Grouping:
    """Groups of accepts, then queues nobody accepted from: the key of each, and its listener."""

    keys: Sequence[tuple[Any, ...]]
    places: list[Place]
    told: dict[Place, Queue]

    def rows(
        self,
        counted: AcceptTable,
        groups: list[Accepts],
        listeners: dict[Place, Listener],
        by: By,
        facts: Facts,
    ) -> dict[tuple[Any, ...], Row]:
        """One row for each key, in their order."""
        numbers = {key: i for i, key in enumerate(dict.fromkeys(self.keys))}
        failed: list[dict[str, int]] = [{} for _ in numbers]
        places: list[set[Place]] = [set() for _ in numbers]
        for key, place in zip(self.keys, self.places, strict=True):
            places[numbers[key]].add(place)
        labels = []
        for key, group in zip(self.keys, groups, strict=False):
            labels.append(-1 if group.error else numbers[key])
            if group.error:
                name = errorcode.get(group.error, str(group.error))
                mine = failed[numbers[key]]
                mine[name] = mine.get(name, 0) + group.count
        waits = counted.gather(labels, len(numbers))
        used = {key for key, _ in zip(self.keys, groups, strict=False)}
        found = {}
        for key, i in numbers.items():
            row = Row(waits[i], failed[i], _sum_of(self.told, places[i]), key in used)
            row.listener = listeners.get(key[0])
            if len(key) > 1:
                _, owner, comm, peer, row.others = key
                row.process = facts.process(*owner) if by.pid else None
                row.comm = row.process.comm if row.process else comm or None
                row.peer = _peer(peer, by.peer_bits, facts) if by.peer_bits and any(peer) else None
            found[key] = row
        return found


def _sum_of(told: dict[Place, Queue], places: set[Place]) -> Queue:
    queues = [told[place] for place in places if place in told]
    oldest = max(queues, key=lambda queue: queue.oldest_ns, default=Queue())
    return replace(
        oldest,
        reset=sum(queue.reset for queue in queues),
        never=sum(queue.never for queue in queues),
        waiting=sum(queue.waiting for queue in queues),
    )


def process_name(process: Process | None) -> str:
    """As rows and the lines under them call it."""
    return f"{escape(process.comm)}[{process.pid or '-'}]" if process else "(unknown)"


def _peer(packed: bytes, bits: tuple[int, int], facts: Facts) -> str:
    """An address, with the length of its prefix where it is not whole."""
    v4 = packed.startswith(MAPPED)
    length, whole = (bits[0], 32) if v4 else (bits[1], 128)
    return f"{address(packed)}/{length}" if length < whole else facts.host(address(packed))
