"""Packets that died elsewhere than at a listener, since that is attached: by place, and the last.

What devices and CPUs count as lost before there is a packet stands beside them; so does what died
at the application: what it had not read when it closed.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import astuple

import numpy as np
from numpy.typing import NDArray

from tracer.flows.devices import Devices, Lost
from tracer.flows.packet_places import PlaceTable, last_of_each
from tracer.flows.packets import PacketTable, Spot
from tracer.views import lines
from tracer.views.columns import Facts, Row, rows
from tracer.views.counter_words import meaning
from tracer.views.drop_columns import is_expected_drop
from tracer.views.drop_rows import packet_row
from tracer.views.live.parts import DropRow, Key, PacketsPicture, Told
from tracer.views.live.rows import named
from tracer.views.text import address, endpoint, escape
from tracer.wire.layout import Records

RECENT = 20
MOST = 256  # rows; what comes beyond is counted together, by stage
SQUEEZED = "time_squeeze"  # a CPU left packets for later: none is lost with it
UNREAD = "closed with it unread: its connection was answered with a RST"


class Packets:
    """Counts are the kernel's, exact however fast they come; peers and lines are of records.

    `by_records`: there are records alone, as of a recording before its end, or of what a screen is
    narrowed to.
    """

    def __init__(self, facts: Facts, by_records: bool = False) -> None:
        self._facts, self._by_records = facts, by_records
        self.since_ns: int | None = None  # None: not attached
        self._restart(0)

    def _restart(self, now_ns: int) -> None:
        self._began_ns = self._marked_ns = now_ns
        self._table = PlaceTable()
        self._before = PacketTable()
        self._rates: dict[Spot, float] | None = None
        self._unread: Counter[Key] = Counter()
        self._unread_before: Counter[Key] = Counter()
        self._peers: dict[Spot, str] = {}
        self._recent: dict[bool, deque[Told]] = {
            expected: deque(maxlen=RECENT) for expected in (False, True)
        }
        self._unread_rates: dict[Key, float] = {}
        self._devices: list[tuple[int, Devices]] = []  # the first, the last but one, the last

    def begin(self, now_ns: int) -> None:
        """It is attached: everything is counted from here."""
        self.since_ns = now_ns
        self._restart(now_ns)

    def end(self) -> None:
        """It is attached no more: nothing is known of what comes."""
        self.since_ns = None
        self._restart(0)

    def counts(self, pairs: Records, rest: NDArray[np.uint64]) -> None:
        """Take the kernel's counts as they stand."""
        self._by_records = False
        self._table.set_counts(pairs, rest)

    def devices(self, found: Devices, now_ns: int) -> None:
        """Take what devices and CPUs have counted by now; the first look stands for the begin."""
        if self.since_ns is not None:
            self._devices = [*self._devices[:1], *self._devices[1:][-1:], (now_ns, found)]

    def add(self, kinds: dict[str, Records]) -> None:
        """Take a batch."""
        if self.since_ns is not None and "drop" in kinds:
            self._add(kinds["drop"])
        if self.since_ns is not None and "reset" in kinds:
            self._add_unread(kinds["reset"])

    def _add(self, records: Records) -> None:
        """Who sent the last of each place, and the last lines."""
        if self._by_records:
            self._table.add(records)
        for spot, at in last_of_each(records):
            self._peers[spot] = address(records["raddr"][at].tobytes())
        last = records[-RECENT:]
        for row in rows(last, "drop"):
            expected = is_expected_drop(row, self._facts)
            whole = lines.line("drop", row, self._facts)
            told = Told(row.mono_ns, (row.pid, row.start), whole, self._briefly(row), expected)
            self._recent[expected].append(told)

    def _briefly(self, row: Row) -> str:
        """For a narrow screen: who sent it, to which port, and what became of it."""
        facts = self._facts
        peer = endpoint(address(row.raddr), row.rport or None)
        way = "<" if facts.directions[row.direction] == "tx" else ">"
        what = lines.what("drop", row, facts)
        return f"{facts.clock.time(row.mono_ns)} {peer} {way} :{row.lport or '*'}  {what}"

    def _add_unread(self, resets: Records) -> None:
        """Of RSTs, those that tell of data which nobody read."""
        enums = self._facts.layout.enums
        unread = resets[resets["by"] == enums["reset_by"]["APP_CLOSE_UNREAD"]]
        for key in zip(unread["pid"].tolist(), unread["start"].tolist(), strict=True):
            self._unread[key] += 1

    def tick(self, now_ns: int) -> None:
        """An interval is over: rates are of it, or of what of it was looked at."""
        if self.since_ns is None:
            return
        seconds = (now_ns - self._marked_ns) / 1e9
        if seconds > 0:
            new, unread = (
                self._table.packets - self._before.packets,
                self._unread - self._unread_before,
            )
            self._rates = {spot: count / seconds for spot, count in new.items()}
            self._unread_rates = {key: count / seconds for key, count in unread.items()}
        self._before, self._marked_ns = self._table.copy(), now_ns
        self._unread_before = self._unread.copy()

    # --- what is shown --------------------------------------------------------

    def picture(
        self, now_ns: int, all_of_them: bool, before: str, unsent: int
    ) -> PacketsPicture | None:
        """As it stands, None: not attached; with `all_of_them` also what listeners' rows tell."""
        if self.since_ns is None:
            return None
        found = [*self._devices_rows(), *self._rows(all_of_them), *self._application()]
        recent = [told for kept in self._recent.values() for told in kept]
        return PacketsPicture(
            now_ns - self._began_ns,
            found,
            sorted(recent, key=lambda told: told.at_ns),
            before,
            unsent,
        )

    def _rows(self, all_of_them: bool) -> list[DropRow]:
        """The worst places, and what is left together."""
        rates = self._rates or {}
        spots = [s for s in self._table.packets if all_of_them or not s.told]
        if len(spots) > MOST:
            spots.sort(key=lambda s: (-rates.get(s, 0.0), -self._table.packets[s]))
        found = [self._row(spot) for spot in spots[:MOST]]
        more: dict[tuple[str, bool], list[DropRow]] = {}
        for row in map(self._row, spots[MOST:]):
            more.setdefault((row.where, row.expected), []).append(row)
        return found + [
            _together(where, expected, part) for (where, expected), part in more.items()
        ]

    def _row(self, spot: Spot) -> DropRow:
        facts, count = self._facts, self._table.packets[spot]
        row = packet_row(spot, count, self._table.device(spot), facts, 0)
        port = self._table.port(spot)
        return DropRow(
            key=str(astuple(spot)),
            where=row.layer or "-",
            reason=row.reason,
            at=row.at or "-",
            owner=named(row.owner, facts),
            owner_key=row.owner,
            local=endpoint("*", port) if port else "-",
            count=count,
            rate=None if self._rates is None else self._rates.get(spot, 0.0),
            meaning=row.why[1],
            dev=row.dev or "-",
            peer=self._peers.get(spot, "-"),
            expected=row.expected,
        )

    def _application(self) -> list[DropRow]:
        """Connections that were closed with data in them, by who closed."""
        facts = self._facts
        return [
            DropRow(
                key=f"unread {key}",
                where="application",
                reason="unread",
                at="close()",
                owner=named(key, facts),
                owner_key=key,
                local="-",
                count=count,
                rate=None if self._rates is None else self._unread_rates.get(key, 0.0),
                meaning=UNREAD,
            )
            for key, count in self._unread.items()
        ]

    # --- what has no packet ---------------------------------------------------

    def _moved(self) -> tuple[list[Lost], dict[tuple[object, ...], float]]:
        """What devices and CPUs lost so far, and of what moved since the last look, how fast."""
        if len(self._devices) < 2:
            return [], {}
        (_, first), (before_ns, before) = self._devices[0], self._devices[-2]
        now_ns, now = self._devices[-1]
        seconds = max((now_ns - before_ns) / 1e9, 1e-3)
        rates = {_which(one): one.count / seconds for one in now.since(before)}
        return now.since(first), rates

    def _devices_rows(self) -> list[DropRow]:
        lost, rates = self._moved()
        return [
            DropRow(
                key=f"before {_which(one)}",
                where="before",
                reason=one.counter,
                at="device" if one.cpu is None else f"CPU {one.cpu}",
                owner="-",
                owner_key=(0, 0),
                local="-",
                count=one.count,
                rate=None if self._rates is None else rates.get(_which(one), 0.0),
                meaning=_meaning(one),
                dev=escape(one.device or "-"),
            )
            for one in lost
            if one.counter != SQUEEZED
        ]

    def before(self) -> str:
        """In words, what was lost before there was a packet."""
        if not self._devices:
            return "not looked at yet"
        lost, _ = self._moved()
        of_devices = sum(one.count for one in lost if one.cpu is None)
        cpus = Counter({one.counter: 0 for one in lost})
        for one in lost:
            cpus[one.counter] += one.count if one.cpu is not None else 0
        count = len(self._devices[-1][1].devices)
        return (
            f"{of_devices} on {count} device{'s' * (count != 1)},"
            f" softnet dropped {cpus['dropped']}, squeezed {cpus[SQUEEZED]}"
        )


def _which(one: Lost) -> tuple[object, ...]:
    return one.netns, one.device, one.cpu, one.counter


def _meaning(one: Lost) -> str:
    name = one.counter if one.cpu is None else f"softnet_{one.counter}"
    return meaning(name) or meaning(name, "nic") or "-"


def _together(where: str, expected: bool, part: list[DropRow]) -> DropRow:
    known = [row.rate for row in part if row.rate is not None]
    return DropRow(
        key=f"more {where} {expected}",
        where=where,
        reason=f"({len(part)} more)",
        at="-",
        owner="-",
        owner_key=(0, 0),
        local="-",
        count=sum(row.count for row in part),
        rate=sum(known) if known else None,
        meaning="more places and owners than are kept apart here",
        expected=expected,
    )
