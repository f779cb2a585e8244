"""What groups of connections carried: passes over those that are open, and records of the ended.

    traffic = Traffic(layout, numbers, began_ns)
    traffic.look(rows)  # of `open_row`: the first is what all else is compared with
    traffic.ended(records)  # of `connection`
    traffic.since, traffic.whole  # Sums: one row a number, one column of SUMS each

Each byte is counted once: a connection is known by its cookie, and a pass, or the record of its
end, adds what it has carried since it was looked at last.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from tracer.flows.grouping import Numbers
from tracer.flows.owners import FULL
from tracer.wire.layout import Layout, Records

CARRIED = ("rx_bytes", "tx_bytes", "segs_out", "retransmits")
SUMS = (*CARRIED, "opened", "ended", "failures")
AT = {name: i for i, name in enumerate(SUMS)}
ATTEMPTS = ("SYN_SENT", "SYN_RECV", "NEW_SYN_RECV")
MOST_RTTS = 1 << 18  # of the ended ones: a session may go on for hours
PASSES = 2  # without a connection, until it is no more waited for that its end is told

Sums = NDArray[np.int64]  # shape (numbers, len(SUMS))
Mask = NDArray[np.bool_]
_KNOWN = np.dtype(
    [("cookie", "u8"), *((name, "i8") for name in CARRIED), ("was_open", "?"), ("missed", "u1")]
)


class Rtts:
    """Numbers and round trips, us, of connections that ended: the latest MOST_RTTS or so."""

    def __init__(self) -> None:
        self._parts: deque[tuple[NDArray[np.int64], NDArray[np.int64]]] = deque()
        self._count = 0

    def add(self, numbers: NDArray[np.int64], values: NDArray[np.int64]) -> None:
        """Take those of a batch."""
        self._parts.append((numbers, values))
        self._count += len(values)
        while self._count > MOST_RTTS and len(self._parts) > 1:
            self._count -= len(self._parts.popleft()[1])

    def with_open(
        self, numbers: NDArray[np.int64], values: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """All of them, and those of open connections beside."""
        parts = [*self._parts, (numbers, values)]
        return np.concatenate([a for a, _ in parts]), np.concatenate([b for _, b in parts])


class Traffic:
    """`rows` are the open connections of the latest pass; `unknown` had ended before the first."""

    def __init__(self, layout: Layout, numbers: Numbers, began_ns: int) -> None:
        states, ends = layout.enums["tcp_state"], layout.enums["end"]
        self._attempts = [states[name] for name in ATTEMPTS]
        self._listen, self._fin = states["LISTEN"], ends["FIN"]
        self._exact = layout.enums["dwell_is"]["EXACT"]
        self._numbers, self._began_ns = numbers, began_ns
        self._known = np.zeros(0, _KNOWN)
        self._is_first = True
        self.rows = np.zeros(0, layout.dtypes["open_row"])
        self.rtts_since, self.rtts_whole = Rtts(), Rtts()
        self.since: Sums = np.zeros((1, len(SUMS)), np.int64)
        self.whole: Sums = np.zeros((1, len(SUMS)), np.int64)
        self.unknown = 0

    def look(self, rows: Records) -> None:
        """Take a pass."""
        rows = rows[((rows["flags"] & FULL) > 0) & (rows["state"] != self._listen)]
        place, known = self._find(rows["cookie"])
        is_open = ~np.isin(rows["state"], self._attempts)
        was_open = known & self._known["was_open"][place] if len(self._known) else known
        moved = self._moved(rows, place, known)
        if self._is_first:
            # those that began with the session count from 0, others from here
            young = self._is_young(rows)
            moved[~young] = 0
            was_open = is_open & ~young
            self._is_first = False
        columns = np.zeros((len(rows), len(SUMS)), np.int64)
        columns[:, : len(CARRIED)] = moved
        columns[:, AT["opened"]] = is_open & ~was_open
        self._add(rows, columns)
        self._keep(rows, is_open | was_open, place[known])
        self.rows = rows[is_open]

    def ended(self, records: Records) -> None:
        """Take records of connections that ended, in time order."""
        if not len(records):
            return
        place, known = self._find(records["cookie"])
        was_known_open = known & self._known["was_open"][place] if len(self._known) else known
        attempt = np.isin(records["old"], self._attempts)
        new = ~known & (attempt | self._is_young(records))
        moved = self._moved(records, place, known)
        moved[~known & ~new] = 0
        self.unknown += int((~known & ~new).sum())
        columns = np.zeros((len(records), len(SUMS)), np.int64)
        columns[:, : len(CARRIED)] = moved
        columns[:, AT["opened"]] = ~attempt & (new | known) & ~was_known_open
        columns[:, AT["ended"]] = ~attempt
        columns[:, AT["failures"]] = records["end"] != self._fin
        numbers = self._add(records, columns)
        measured = records["srtt_us"] > 0
        for rtts in (self.rtts_since, self.rtts_whole):
            rtts.add(numbers[measured], records["srtt_us"][measured].astype(np.int64))
        self._known = np.delete(self._known, place[known])

    def turn(self) -> None:
        """The next interval begins."""
        self.since = np.zeros_like(self.since)
        self.rtts_since = Rtts()

    def open_srtt(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Numbers and round trips, us, of the open ones that have one."""
        rows = self.rows[self.rows["srtt_us"] > 0]
        return self._numbers.of(rows), rows["srtt_us"].astype(np.int64)

    def open_count(self) -> NDArray[np.int64]:
        """How many are open, by number."""
        numbers = self._numbers.of(self.rows)
        return np.bincount(numbers, minlength=len(self._numbers.places)).astype(np.int64)

    # --- cookies --------------------------------------------------------------

    def _find(self, cookies: NDArray[np.uint64]) -> tuple[NDArray[np.intp], Mask]:
        """Where they are in what is known, and which are."""
        known = self._known["cookie"]
        if not len(known):
            return np.zeros(len(cookies), np.intp), np.zeros(len(cookies), np.bool_)
        place = np.searchsorted(known, cookies).clip(max=len(known) - 1)
        return place, known[place] == cookies

    def _is_young(self, records: Records) -> Mask:
        """Which are known to have been opened since the session began."""
        opened = records["mono_ns"].astype(np.int64) - records["life_ns"].astype(np.int64)
        exact = (records["life_is"] == self._exact) & (records["life_ns"] > 0)
        young: Mask = exact & (opened >= self._began_ns)
        return young

    def _moved(self, records: Records, place: NDArray[np.intp], known: Mask) -> Sums:
        found = np.stack([records[name].astype(np.int64) for name in CARRIED], axis=1)
        if known.any():
            before = self._known[place[known]]
            moved = found[known] - np.stack([before[name] for name in CARRIED], axis=1)
            # one that connected again counts from 0
            found[known] = np.where(moved < 0, found[known], moved)
        return found

    def _keep(self, rows: Records, was_open: Mask, seen: NDArray[np.intp]) -> None:
        """What was looked at, and for a while what was not: its end is still to be told."""
        rest = np.delete(self._known, seen)
        rest["missed"] += 1
        fresh = np.zeros(len(rows), _KNOWN)
        for name in ("cookie", *CARRIED):
            fresh[name] = rows[name]
        fresh["was_open"] = was_open
        known = np.concatenate([fresh, rest[rest["missed"] < PASSES]])
        self._known = known[np.argsort(known["cookie"], kind="stable")]

    def _add(self, records: Records, columns: Sums) -> NDArray[np.int64]:
        numbers = self._numbers.of(records)
        room = len(self._numbers.places) - len(self.whole)
        if room > 0:
            self.whole = np.pad(self.whole, ((0, room), (0, 0)))
            self.since = np.pad(self.since, ((0, room), (0, 0)))
        np.add.at(self.since, numbers, columns)
        np.add.at(self.whole, numbers, columns)
        return numbers
