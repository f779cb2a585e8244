"""Every socket there is: set right by passes over them, kept up from transitions in between.

Arrays by cookie, changed some tens of thousands of records at a time: a socket that lives and dies
between two folds is never made. A pass and the transitions around it may tell of the same moment;
by cookie, to be told twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracer.wire.batch import bytes_of, chosen, joined
from tracer.wire.layout import Layout, Records

Owner = tuple[int, int]  # tgid, start time
MANY = 100_000  # records that may wait for a fold: it copies all the sockets there are
MOST_REMAINS = 50_000  # TIME_WAIT sockets kept from transitions; a pass may bring more
TIMEWAIT_NS = 60_000_000_000  # TCP_TIMEWAIT_LEN, include/net/tcp.h
GONE, WELL, TROUBLED = range(3)
# more, where two looks have seen it: it stands, and does not pass by. Of others the end may have
# been lost, of those that one look met as well
SURE = 2
_NOT_KEPT = ("age_ns", "age_is", "matched")


class Sockets:
    """Sockets by cookie. `left_out` counts TIME_WAIT ones that there was no room to keep."""

    def __init__(self, layout: Layout, started_ns: int) -> None:
        self._states = layout.enums["tcp_state"]
        self._exact = layout.enums["dwell_is"]["EXACT"]
        self._process = layout.enums["owner_is"]["PROCESS"]
        self._dtype = _dtype(layout.dtypes["sock_row"])
        # what transitions tell of a socket as well as passes do
        both = set(self._dtype.names or ()) & set(layout.dtypes["state"].names or ())
        self._told = both - {"cookie"}
        self._keep(np.zeros(0, self._dtype))
        self._pass: Records | None = None
        self._pass_ns = started_ns  # what happened before it is in the pass
        self._waiting: list[tuple[str, Records]] = []
        self._many = 0
        self.left_out = 0

    # --- what is told ---------------------------------------------------------

    def set_right(self, rows: Records, began_ns: int = 0) -> None:
        """Take a pass over the sockets, that began then: what was kept before is forgotten.

        So is what is told later of the time before, or one whose end was lost would be back.
        """
        if self._waiting:  # who opened what is told by transitions alone
            self.rows(int(self._waiting[-1][1]["mono_ns"][-1]))
        self._pass, self._pass_ns = rows, began_ns

    def move(self, states: Records) -> None:
        """Take a batch of transitions, in time order."""
        self._wait("state", states)

    def pass_on(self, accepts: Records) -> None:
        """Take a batch of accepts: what they took was its listener's owner's."""
        self._wait("accept", accepts[accepts["error"] == 0])

    def _wait(self, kind: str, records: Records) -> None:
        if not len(records):
            return
        self._waiting.append((kind, records))
        self._many += len(records)
        if self._many > MANY:
            self.rows(int(records["mono_ns"][0]))

    # --- what there is --------------------------------------------------------

    def rows(self, now_ns: int) -> Records:
        """All of them, by cookie; `since_ns` is when each entered its state, CLOCK_MONOTONIC.

        `since_is` says whether that is exact or the latest it can have been; `looked` whether a
        pass has seen it (1), so that what passes alone tell is known, or more than one (2). Not to
        be written to.
        """
        if self._pass is not None:
            self._take_pass(self._pass, now_ns)
            self._pass = None
        waiting, self._waiting, self._many = self._waiting, [], 0
        for kind, fold in (("state", self._fold_states), ("accept", self._fold_accepts)):
            found = [records for name, records in waiting if name == kind]
            if found:
                fold(joined(found))
        self._forget_remains(now_ns)
        return self._table

    def standing(self, cookies: NDArray[np.uint64], told_ns: int) -> NDArray[np.uint8]:
        """How each of these sockets stood at that moment or later: GONE, or WELL or TROUBLED,
        and SURE more where two looks have seen it.

        Gone are TIME_WAIT ones and listeners as well: nothing more happens to one, and the other
        is no connection. To fold costs as much as all the sockets there are: it is done only where
        something of that time waits for it.
        """
        if self._waiting and int(self._waiting[0][1]["mono_ns"][0]) <= told_ns:
            self.rows(int(self._waiting[-1][1]["mono_ns"][-1]))
        at, known = self._find(cookies)
        rows = self._table[at[known]]
        names = self._states
        found = np.where(rows["state"] == names["ESTABLISHED"], WELL, TROUBLED)
        found[rows["waiting_ns"] > 0] = TROUBLED
        found[rows["looked"] > 1] += SURE
        found[np.isin(rows["state"], (names["TIME_WAIT"], names["LISTEN"]))] = GONE
        stands = np.zeros(len(cookies), np.uint8)
        stands[known] = found
        return stands

    def _forget_remains(self, now_ns: int) -> None:
        """Where no pass comes for long, as in a recording: TIME_WAIT takes a minute."""
        table = self._table
        if _oldest(table, self._states["TIME_WAIT"]) >= now_ns - TIMEWAIT_NS:
            return
        over = (table["state"] == self._states["TIME_WAIT"]) & (
            table["since_ns"] < now_ns - TIMEWAIT_NS
        )
        self._keep(chosen(table, ~over))

    def _take_pass(self, rows: Records, now_ns: int) -> None:
        table = np.zeros(len(rows), self._dtype)
        for name in rows.dtype.names or ():
            if name in (self._dtype.names or ()):
                table[name] = rows[name]
        table["since_ns"] = now_ns - rows["age_ns"].astype(np.int64)
        table["since_is"] = rows["age_is"]
        at, known = self._find(table["cookie"])
        table["looked"] = 1
        table["looked"][known] += self._table["looked"][at[known]] > 0
        table["role"] = self._known_roles(table["cookie"])
        _, first = np.unique(table["cookie"], return_index=True)
        self._keep(chosen(table, first))
        self.left_out = 0

    def _known_roles(self, cookies: NDArray[np.uint64]) -> NDArray[np.uint8]:
        at, known = self._find(cookies)
        roles = np.zeros(len(cookies), np.uint8)
        roles[known] = self._table["role"][at[known]]
        return roles

    def _keep(self, table: Records) -> None:
        self._table = table
        self._cookies = np.ascontiguousarray(table["cookie"])  # to be searched, again and again

    def _find(self, cookies: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Where they are in the table, and which of them are."""
        at = np.searchsorted(self._cookies, cookies)
        known = np.zeros(len(cookies), np.bool_)
        inside = at < len(self._table)
        known[inside] = self._cookies[at[inside]] == cookies[inside]
        return at, known

    def _fold_states(self, states: Records) -> None:
        states = states[states["cookie"] > 0]
        names = self._states
        active = states["cookie"][states["new"] == names["SYN_SENT"]]
        passive = states["cookie"][states["old"] == names["LISTEN"]]
        since = states["mono_ns"] >= self._pass_ns
        states = states if since.all() else chosen(states, since)
        last = _last(states["cookie"])
        states = chosen(states, last)
        became = np.where(states["timewait"] > 0, names["TIME_WAIT"], states["new"])
        at, known = self._find(states["cookie"])
        stays = became != names["CLOSE"]
        table = bytes_of(self._table).copy().view(self._dtype)  # pictures keep the one before
        self._write(table, at[known & stays], states[known & stays], became[known & stays])
        new = np.zeros(int((~known & stays).sum()), self._dtype)
        new["cookie"] = states["cookie"][~known & stays]
        self._write(new, np.arange(len(new)), states[~known & stays], became[~known & stays])
        kept = np.ones(len(table), np.bool_)
        kept[at[known & ~stays]] = False
        table = joined([chosen(table, kept), self._within_bounds(new)])
        self._keep(chosen(table, np.argsort(table["cookie"], kind="stable")))
        for role, cookies in ((1, active), (2, passive)):
            at, known = self._find(cookies)
            self._table["role"][at[known]] = role

    def _write(
        self, table: Records, at: NDArray[np.intp], states: Records, became: NDArray[Any]
    ) -> None:
        for name in self._told:
            table[name][at] = states[name]
        table["state"][at] = became
        table["since_ns"][at] = states["mono_ns"]
        table["since_is"][at] = self._exact

    def _within_bounds(self, new: Records) -> Records:
        remains = np.flatnonzero(new["state"] == self._states["TIME_WAIT"])
        there = int((self._table["state"] == self._states["TIME_WAIT"]).sum())
        surplus = min(len(remains), max(0, there + len(remains) - MOST_REMAINS))
        self.left_out += surplus
        kept = np.ones(len(new), np.bool_)
        kept[remains[:surplus]] = False
        return chosen(new, kept)

    def _fold_accepts(self, accepts: Records) -> None:
        accepts = chosen(accepts, _last(accepts["cookie"]))
        at, known = self._find(accepts["cookie"])
        table = bytes_of(self._table).copy().view(self._dtype)
        for name in ("pid", "start", "cgroup_id"):
            table[name][at[known]] = accepts[name][known]
        table["owner_is"][at[known]] = self._process
        table["waiting_ns"][at[known]] = 0
        table["listener_cookie"][at[known]] = accepts["listener_cookie"][known]
        table["role"][at[known]] = 2
        self._table = table


def _asked_again(function: Callable[..., Any]) -> Callable[..., Any]:
    """Answers about the same table, which is never written to: most pictures are like the last."""
    last: list[tuple[Records, tuple[Any, ...], Any]] = []

    @wraps(function)
    def answer(rows: Records, *more: Any) -> Any:
        before = last[0] if last else None
        if before is None or before[0] is not rows or before[1] != more:
            before = rows, more, function(rows, *more)
            last[:] = [before]
        return before[2]

    return answer


@_asked_again
def _oldest(rows: Records, state: int) -> int:
    """When the first of those in a state entered it; for ever from now, if there is none."""
    since = rows["since_ns"][rows["state"] == state]
    return int(since.min()) if len(since) else int(np.iinfo(np.int64).max)


@_asked_again
def by_owner(rows: Records) -> dict[Owner, dict[int, int]]:
    """Counts by state, for each (tgid, start)."""
    packed = rows["pid"].astype(np.uint64) << np.uint64(32) | rows["start"].astype(np.uint64)
    owners, which = np.unique(packed, return_inverse=True)
    counts = np.bincount(which * 16 + rows["state"], minlength=len(owners) * 16).reshape(-1, 16)
    return {
        (int(owner) >> 32, int(owner) & 0xFFFFFFFF): {
            int(state): int(line[state]) for state in np.flatnonzero(line)
        }
        for owner, line in zip(owners, counts, strict=True)
    }


@_asked_again
def by_state(rows: Records) -> dict[int, int]:
    """Counts by state, of all owners."""
    return {
        state: count for state, count in enumerate(np.bincount(rows["state"]).tolist()) if count
    }


def _last(cookies: NDArray[np.uint64]) -> NDArray[np.intp]:
    """The last of each cookie, by cookie."""
    if not len(cookies):
        return np.zeros(0, np.intp)
    order = np.argsort(cookies, kind="stable")
    ends = np.ones(len(order), np.bool_)
    ends[:-1] = cookies[order][1:] != cookies[order][:-1]
    return order[ends]


def _dtype(row: np.dtype[np.void]) -> np.dtype[np.void]:
    fields: list[Any] = [
        (name, row[name]) for name in row.names or () if name not in _NOT_KEPT and row.fields
    ]
    own: list[Any] = [("since_ns", "i8"), ("since_is", "u1"), ("looked", "u1"), ("role", "u1")]
    return np.dtype([*fields, *own])
