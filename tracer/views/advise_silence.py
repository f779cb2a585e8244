"""Silent connections as rules see them: who probes them, who was found dead, who forgot them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from errno import ETIMEDOUT

import numpy as np
from numpy.typing import NDArray

from tracer.advice.keepalive import LATE_S, LONG_S, TICK_S
from tracer.advice.lasting import Forgotten, Silent
from tracer.advice.owner import Owner
from tracer.flows.resets import RECEIVED, Silence, idle_spans
from tracer.views.advise_looks import by_owner
from tracer.views.columns import Facts
from tracer.views.text import address
from tracer.wire.layout import Records

Key = tuple[int, int]  # tgid, start
MOST = 1 << 16  # connections whose probes are remembered
_LOOPBACK4, _LOOPBACK6 = b"\0" * 10 + b"\xff\xff\x7f", b"\0" * 15 + b"\1"


class Silences:
    """What looks, RSTs and errors say of connections that nothing went over."""

    def __init__(self, facts: Facts, owner: Callable[[int, int], Owner], traced: bool) -> None:
        self._facts, self._owner, self._traced = facts, owner, traced
        enums = facts.layout.enums
        self._states = [enums["tcp_state"][name] for name in ("ESTABLISHED", "CLOSE_WAIT")]
        # a recording of an earlier version has no RSTs
        self._received = enums.get("reset_way", {}).get("RECEIVED")
        self._keepalive = enums.get("reset_by", {}).get("KEEPALIVE")
        self._waits_for_accept = enums["owner_is"]["LISTENER"]
        self._probes: dict[int, int] = {}  # by cookie: ms of silence before the first, 0: none
        self._active = enums["role"]["ACTIVE"]
        self._begun_here: set[int] = set()  # by cookie, as far as looks tell
        self._open: Records | None = None
        self._came: dict[Key, _Came] = {}
        self._probed: Counter[Key] = Counter()
        self._unanswered: Counter[Key] = Counter()
        self._told_by_rst: set[int] = set()

    # --- what a session tells -------------------------------------------------

    def connections(self, rows: Records) -> None:
        """Take a pass over what is open."""
        taken = rows["owner_is"] != self._waits_for_accept
        mine = rows[np.isin(rows["state"], self._states) & taken & (rows["pid"] > 0)]
        self._open = mine
        if self._traced and len(self._probes) < MOST:
            cookies, idle = mine["cookie"].tolist(), mine["keepalive_idle_ms"].tolist()
            self._probes.update(zip(cookies, idle, strict=True))
            self._begun_here.update(mine["cookie"][mine["role"] == self._active].tolist())

    def resets(self, records: Records) -> None:
        """Take `reset` records."""
        records = records[records["pid"] > 0]
        given_up = records[records["by"] == self._keepalive]
        for row in given_up:
            self._told_by_rst.add(int(row["cookie"]))
            self._probed[int(row["pid"]), int(row["start"])] += 1
        came = records[(records["way"] == self._received) & (records["answers"] == 0)]
        came = came[np.isin(came["state"], self._states)]
        came = came[self.were_begun_here(came)]
        silent, known = nothing_came_for(came)
        for key, rows in by_owner(came[known]):
            mine = (came["pid"] == key[0]) & (came["start"] == key[1]) & known
            self._came.setdefault(key, _Came()).add(rows, silent[mine], self._probes)

    def were_begun_here(self, came: Records) -> NDArray[np.bool_]:
        """Not known counts as not: clients that end what is idle with a RST are no trouble."""
        looked = [cookie in self._begun_here for cookie in came["cookie"].tolist()]
        # whoever came by a listener while it was traced is known to have done so
        traced = (came["life_is"] == self._facts.exact) & (came["life_ns"] > 0)
        traced &= came["listener_cookie"] == 0
        begun: NDArray[np.bool_] = traced | np.array(looked, np.bool_)
        return begun

    def errors(self, records: Records) -> None:
        """Take `error` records."""
        ended = (records["ended"] > 0) & (records["error"] == ETIMEDOUT) & (records["pid"] > 0)
        for row in records[ended & np.isin(records["state"], self._states)]:
            if int(row["cookie"]) not in self._told_by_rst:
                self._unanswered[int(row["pid"]), int(row["start"])] += 1

    # --- what rules are told --------------------------------------------------

    def silent(self) -> Iterator[Silent]:
        """One for each process with silent connections, or whose peers were found dead."""
        rows = self._leaves_and_is_silent()
        found = dict(by_owner(rows))
        for key in sorted(found.keys() | self._probed.keys() | self._unanswered.keys()):
            yield self._silent(key, found.get(key, rows[:0]))

    def _leaves_and_is_silent(self) -> Records:
        rows = self._open
        if rows is None:
            return np.zeros(0, self._facts.layout.dtypes["open_row"])
        silent, known = idle_spans(rows)
        rows = rows[known & (silent >= LONG_S * 10**9)]
        found: Records = rows[~_stays(rows)]
        return found

    def _silent(self, key: Key, rows: Records) -> Silent:
        found = Silent(
            self._owner(*key), probed=self._probed[key], unanswered=self._unanswered[key]
        )
        if not len(rows):
            return found
        silent = idle_spans(rows)[0]
        longest = rows[int(silent.argmax())]
        idle_ms = rows["keepalive_idle_ms"]
        return replace(
            found,
            count=len(rows),
            without=int((idle_ms == 0).sum()),
            late=int((idle_ms >= (LATE_S - TICK_S) * 1000).sum()),
            longest_s=int(silent.max()) / 1e9,
            peer=self._peer(longest),
            netns=int(rows["netns"][0]),
        )

    def forgotten(self) -> Iterator[Forgotten]:
        """One for each process whose connections were reset after the same silence."""
        for key, came in sorted(self._came.items()):
            spike = came.silence.spike()
            if spike is None or came.last is None:
                continue
            probing = [ms for ms in came.probes if ms]
            yield Forgotten(
                self._owner(*key),
                self._peer(came.last),
                spike.count,
                spike.of,
                spike.ns / 1e9,
                len(came.probes),
                len(probing),
                min(probing) / 1000 if probing else None,
                int(came.last["netns"]),
            )

    def _peer(self, row: np.void) -> str:
        return self._facts.endpoint(address(bytes(row["raddr"])), int(row["rport"]))


class _Came:
    """RSTs that came for one process: how silent it was before, and who had probed."""

    def __init__(self) -> None:
        self.silence = Silence()
        self.probes: list[int] = []
        self.last: np.void | None = None

    def add(self, rows: Records, silent: NDArray[np.uint64], probes: dict[int, int]) -> None:
        self.silence.add(silent)
        long = rows[silent >= Silence.LONG_NS]
        if len(long):
            self.last = long[-1]
        self.probes += [probes[cookie] for cookie in long["cookie"].tolist() if cookie in probes]


def nothing_came_for(records: Records) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Since a segment came, ns, and where that is known: what we sent last, the RST answers."""
    never = np.uint64(2**64 - 1)
    data = np.where(records["flags"] & RECEIVED, records["last_received_ns"], never)
    any_ = np.where(records["last_ack_ns"], records["last_ack_ns"], never)
    least: NDArray[np.uint64] = np.minimum(data, any_)
    return least, least < never


def _stays(rows: Records) -> NDArray[np.bool_]:
    """Whether both ends are this machine's: it cannot be forgotten on the way."""
    ends = zip(rows["laddr"], rows["raddr"], strict=True)
    return np.array([_is_here(bytes(local), bytes(remote)) for local, remote in ends], np.bool_)


def _is_here(local: bytes, remote: bytes) -> bool:
    return local == remote or remote.startswith(_LOOPBACK4) or remote == _LOOPBACK6
