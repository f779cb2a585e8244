"""Evidence for rules from what a session tells: passes, listeners, accepts, ports, descriptors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from errno import errorcode
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracer.advice.evidence import (
    AGES_S,
    Closing,
    Evidence,
    HeldBack,
    Listening,
    Owner,
    Refused,
    Space,
    Unread,
    Wait,
)
from tracer.flows.accepting import AcceptTable
from tracer.flows.listeners import Listener, ListenerTable
from tracer.flows.transitions import Spread
from tracer.views.advise_attempts import AttemptCounts
from tracer.views.advise_breaks import Breaks
from tracer.views.advise_devices import LostByDevices
from tracer.views.advise_filters import Filters
from tracer.views.advise_gaps import TurnedAway
from tracer.views.advise_lasting import Lasting
from tracer.views.advise_looks import Looks, TwoLooks, is_of
from tracer.views.advise_made import places
from tracer.views.advise_ports import port_uses
from tracer.views.advise_silence import Silences
from tracer.views.advise_spaces import Spaces
from tracer.views.columns import Facts
from tracer.views.listeners import ANY, max_set_by
from tracer.views.port_counts import PortCounts
from tracer.views.text import address, escape
from tracer.wire.batch import Batch
from tracer.wire.head import Head
from tracer.wire.layout import Records
from tracer.wire.made import Made

OLD_NS, OLDER_NS, STILL_NS = 10 * 10**9, 60 * 10**9, 2 * 10**9
# of accept(): for want of a descriptor, or of memory for a socket
SCARCE = {"EMFILE", "ENFILE", "ENOMEM", "ENOBUFS"}
Held = dict[tuple[int, int], tuple[int, int]]
_AGES_NS = [age * 10**9 for age in AGES_S]


class Gathered:
    """What was told so far; `traced`: probes were attached, and there is a span."""

    def __init__(self, facts: Facts, head: Head, traced: bool) -> None:
        self._facts, self._traced = facts, traced
        self._kinds = frozenset(head.kinds)
        states, owners = facts.layout.enums["tcp_state"], facts.layout.enums["owner_is"]
        self._close_wait, self._listen = states["CLOSE_WAIT"], states["LISTEN"]
        self._waits_for_accept = owners["LISTENER"]
        self.ports = PortCounts(facts, head, traced)
        self.spaces = Spaces(states["TIME_WAIT"], self._owner)
        self.devices = LostByDevices(of_cpus=not head.netns)
        self.filters = Filters(facts)
        self._accepts = AcceptTable()
        self._attempts = AttemptCounts(facts.layout, self._owner)
        self._silences = Silences(facts, self._owner, traced)
        self._breaks = Breaks(facts, self._owner, self._silences.were_begun_here)
        self._turned_away = TurnedAway(facts.layout, self._owner)
        self._listeners = ListenerTable(facts.layout)
        self._has = set[str]()
        self._looks = Looks()
        self.sockets = 0
        self._held: Held = {}
        self._made: Made | None = None

    def connections(self, rows: Records, now_ns: int) -> None:
        """Take a pass over what is open."""
        self._looks.take(rows, now_ns)
        self._silences.connections(rows)
        self.sockets = len(rows)
        self._has.add("connections")

    def all_sockets(self, rows: Records, chosen: NDArray[np.bool_]) -> None:
        """Take a pass over all sockets."""
        self.ports.look(rows, chosen)
        self.spaces.all_sockets(rows, chosen)
        self._has.add("ports")

    def listeners(self, rows: Records) -> None:
        """Take a look at listeners and what was counted of them."""
        self._listeners.look(rows)
        self._has.add("listeners")

    def from_now_on(self, now_ns: int) -> None:
        """What listeners have counted so far is of an earlier span."""
        self._listeners.since_last(now_ns)

    def made(self, found: Made) -> None:
        """Take where sockets were made."""
        self._made = found

    def held(self, found: Held) -> None:
        """Take descriptors in use, and limits, of processes."""
        self._held = found

    def gather(self, batch: Batch) -> None:
        """Take a batch."""
        self.ports.gather(batch)
        if "accept" in batch.kinds:
            self._accepts.add(batch.kinds["accept"])
        if "handshake" in batch.kinds:
            self._attempts.add(batch.kinds["handshake"])
        if "reset" in batch.kinds:
            self._silences.resets(batch.kinds["reset"])
            self._breaks.add(batch.kinds["reset"])
            self._turned_away.add(batch.kinds["reset"])
        if "error" in batch.kinds:
            self._silences.errors(batch.kinds["error"])

    def evidence(self, span_ns: int) -> Evidence:
        """All of it, over the whole span."""
        listenings = self._counted(span_ns) if self._traced else self._looked()
        has = {*self._has, "handshakes" if self._traced else "listeners"}
        has |= self.spaces.has | self.devices.has | self.filters.has
        has |= {"resets"} if "reset" in self._kinds else set()
        has |= {"looks"} if self._looks.both else set()
        has |= {"gaps"} if {"resets", "listeners"} <= has else set()
        spaces = self._with_more(tuple(self.spaces.told()))
        return Evidence(
            span_ns / 1e9 if self._traced else None,
            frozenset(has),
            min(self._looks.apart_ns(), span_ns) / 1e9 if self._looks.both else None,
            tuple(self._closings()),
            tuple(listenings),
            tuple(port_uses(self.ports.rows(span_ns, True), spaces)),
            tuple(self._refused()),
            *self._of_two_looks(),
            tuple(self._attempts.told()),
            spaces,
            self.devices.told(),
            tuple(self._breaks.told()),
            tuple(self._silences.silent()),
            tuple(self._silences.forgotten()),
            unheard=tuple(self._turned_away.told(self._listeners.so_far())),
            filtered=self.filters.told(),
            unseen=self.filters.unseen(),
            **self._lasting(spaces),
        )

    def _with_more(self, spaces: tuple[Space, ...]) -> tuple[Space, ...]:
        """What packets, and connections, tell of them."""
        spaces = tuple(replace(one, dropped=self.filters.others(one.netns)) for one in spaces)
        if self._looks.both is None:
            return spaces
        found = TwoLooks(self._facts, self._owner, *self._looks.both).resent_to()
        return tuple(replace(one, resent_to=found.get(one.netns)) for one in spaces)

    def _lasting(self, spaces: tuple[Space, ...]) -> dict[str, Any]:
        if self._looks.both is None:
            return {}
        both = Lasting(self._facts, self._owner, spaces, *self._looks.both)
        found = both.half_closed(), both.ownerless(), both.receiving()
        return dict(zip(("half_closed", "ownerless", "receiving"), map(tuple, found), strict=True))

    def _of_two_looks(self) -> tuple[tuple[Unread, ...], tuple[HeldBack, ...]]:
        if self._looks.both is None:
            return (), ()
        both = TwoLooks(self._facts, self._owner, *self._looks.both)
        return tuple(both.unread()), tuple(both.held_back())

    def _owner(self, pid: int, start: int) -> Owner:
        process = self._facts.process(pid, start)
        if process is None:
            return Owner()
        name = f"{escape(process.comm)}[{process.pid or '-'}]"
        return Owner(name, process.pid, process.comm, self._held.get((pid, start)))

    # --- CLOSE_WAIT -----------------------------------------------------------

    def _closings(self) -> list[Closing]:
        if self._looks.last is None or self._looks.first is None:
            return []
        now, then = map(self._closed_by_peers, (self._looks.last, self._looks.first))
        owners = {(int(row["pid"]), int(row["start"])) for row in now if row["pid"]}
        return [self._closing(owner, now, then) for owner in sorted(owners)]

    def _closed_by_peers(self, rows: Records) -> Records:
        taken = rows["owner_is"] != self._waits_for_accept
        found: Records = rows[(rows["state"] == self._close_wait) & taken]
        return found

    def _closing(self, owner: tuple[int, int], now: Records, then: Records) -> Closing:
        mine, before = _of(now, owner), _of(then, owner)
        stayed = int(np.isin(before["cookie"], now["cookie"]).sum())
        ages = mine["age_ns"]
        oldest = int(ages.argmax())
        return Closing(
            self._owner(*owner),
            len(mine),
            int((ages >= OLD_NS).sum()),
            int((ages >= OLDER_NS).sum()),
            int(ages[oldest]) / 1e9,
            int((mine["recv_queue"] > 0).sum()),
            bool(mine["age_is"][oldest] == self._facts.exact),
            len(before) if self._looks.both else None,
            stayed,
            len(before) - stayed,
            int(mine["netns"][0]),
            tuple(np.bincount(np.digitize(ages, _AGES_NS), minlength=len(_AGES_NS) + 1).tolist()),
            **self._places(mine[ages >= STILL_NS]),
        )

    def _places(self, rows: Records) -> dict[str, Any]:
        if self._made is None:
            return {}
        found = places(rows, self._made, self._facts.layout)
        unmade = len(rows) - sum(place.count for place in found)
        cut = sum(cookie in self._made.cut for cookie in rows["cookie"].tolist())
        return {"made": found, "unmade": unmade, "cut": cut, "unkept": self._made.unkept}

    # --- listeners ------------------------------------------------------------

    def _looked(self) -> list[Listening]:
        """As `ss` shows their queues: what waits is in recv_queue, the limit in send_queue."""
        last = self._looks.last
        if last is None:
            return []
        rows = last[last["state"] == self._listen]
        return [
            Listening(
                self._name(bytes(row["laddr"]), int(row["lport"])),
                self._owner(int(row["pid"]), int(row["start"])),
                int(row["netns"]),
                int(row["lport"]),
                int(row["send_queue"]),
                int(row["recv_queue"]),
            )
            for row in rows
        ]

    def _counted(self, span_ns: int) -> list[Listening]:
        waits = self._waits()
        return [self._listening(one, waits, span_ns) for one in self._listeners.so_far()]

    def _listening(self, one: Listener, waits: dict[int, Spread], span_ns: int) -> Listening:
        row = one.row
        return Listening(
            self._name(bytes(row["addr"]), int(row["port"])),
            self._owner(int(row["pid"]), int(row["start"])),
            int(row["netns"]),
            int(row["port"]),
            int(row["accept_queue_max"]),
            None if row["closed_ns"] else int(row["accept_queue"]),
            max_set_by(row),
            int(row["somaxconn"]) or None,
            one.accept_queue_peak,
            max(0, min(one.counted["full_ns"], span_ns)) / 1e9,
            one.counted["overflows"],
            one.counted["finished"],
            one.counted["accepts"],
            one.drops,
            one.counted["cookies_sent"],
            int(row["syn_queue"]),
            one.syn_queue_peak,
            int(row["max_syn_backlog"]),
            int(row["syncookies"]),
            _wait(waits.get(int(row["cookie"]))),
        )

    def _refused(self) -> Iterator[Refused]:
        for one in self._accepts.groups():
            error = errorcode.get(one.error, "")
            if error in SCARCE:
                owner, name = self._owner(*one.acceptor), self._name(one.address, one.port)
                yield Refused(owner, name, error, one.count, one.netns)

    def _waits(self) -> dict[int, Spread]:
        groups = self._accepts.groups()
        cookies = sorted({one.listener[0] for one in groups})
        labels = [cookies.index(one.listener[0]) if not one.error else -1 for one in groups]
        spreads: Sequence[Spread] = self._accepts.gather(labels, len(cookies))
        return dict(zip(cookies, spreads, strict=True))

    def _name(self, host: bytes, port: int) -> str:
        return self._facts.endpoint("*" if host in ANY else address(host), port)


def _of(rows: Records, owner: tuple[int, int]) -> Records:
    found: Records = rows[is_of(rows, owner)]
    return found


def _wait(spread: Spread | None) -> Wait | None:
    if spread is None or not spread.timed:
        return None
    p50, p99 = (spread.quantile(share) or 0.0 for share in (0.5, 0.99))
    return Wait(spread.timed, p50 / 1e9, p99 / 1e9, spread.most / 1e9)
