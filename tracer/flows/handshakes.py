"""Attempts to connect by group: how they ended, how long they took, what had to be sent again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tracer.flows.grouping import PLACE, Grouping, Keys
from tracer.flows.rows import sort
from tracer.flows.transitions import Spread, bucket
from tracer.wire.layout import Layout, Records

# What a row is kept by.
KEYS = ("role", *PLACE, "latency_from", "outcome", "error", "again", "bucket", "rtt_bucket")
COLUMN = {name: i for i, name in enumerate(KEYS)}
# count, then sum, least and most of latency and of round trip (ns), then handshakes by syncookie
FEW = 4096  # rows that are not worth putting together one batch at a time
_ADDED, _LEAST, _MOST = [0, 1, 4, 7], [2, 5], [3, 6]

Values = NDArray[np.uint64]


@dataclass
class Group:
    """Attempts that share a name, as rows of a table; `oldest_ns` is of the pending ones."""

    keys: Keys
    values: Values
    pending: int = 0
    oldest_ns: int = 0
    oldest_is_exact: bool = True

    @property
    def ended(self) -> int:
        """Attempts that ended, one way or another."""
        return int(self.values[:, 0].sum())

    @property
    def attempts(self) -> int:
        """Attempts that ended, and those that go on."""
        return self.ended + self.pending

    @property
    def again(self) -> int:
        """SYNs, or SYN-ACKs, sent again."""
        return int((self.values[:, 0] * self.keys[:, COLUMN["again"]].astype(np.uint64)).sum())

    @property
    def syncookies(self) -> int:
        """Handshakes that a listener finished without having kept anything."""
        return int(self.values[:, 7].sum())

    def outcomes(self) -> dict[int, int]:
        """How many ended each way."""
        kinds, place = np.unique(self.keys[:, COLUMN["outcome"]], return_inverse=True)
        counts = np.zeros(len(kinds), np.uint64)
        np.add.at(counts, place.reshape(-1), self.values[:, 0])
        return dict(zip(kinds.tolist(), counts.tolist(), strict=True))

    def errors(self) -> dict[int, int]:
        """Of those whose outcome has no name, how many ended with each errno; 0: with none."""
        kinds, place = np.unique(self.keys[:, COLUMN["error"]], return_inverse=True)
        counts = np.zeros(len(kinds), np.uint64)
        np.add.at(counts, place.reshape(-1), self.values[:, 0])
        return dict(zip(kinds.tolist(), counts.tolist(), strict=True))

    def ended_as(self, outcome: int, again: int = 0) -> Group:
        """Those with this outcome that sent at least `again` SYNs again."""
        chosen = self.keys[:, COLUMN["outcome"]] == outcome
        chosen &= self.keys[:, COLUMN["again"]] >= again
        return Group(self.keys[chosen], self.values[chosen])

    def sent_once(self) -> Group:
        """Those that had nothing to send again."""
        chosen = self.keys[:, COLUMN["again"]] == 0
        return Group(self.keys[chosen], self.values[chosen])

    def latency(self) -> Spread:
        """From the first SYN or SYN-ACK to the end, of those whose beginning is known."""
        timed = self.keys[:, COLUMN["latency_from"]] != 0
        older = self.values[~timed & (self.values[:, 3] > 0)]
        return replace(
            self._spread("bucket", timed, 1),
            at_least=int(older[:, 0].sum()),
            most_at_least=int(older[:, 3].max(initial=0)),
        )

    def rtt(self) -> Spread:
        """Round trips, of those that could be measured."""
        return self._spread("rtt_bucket", self.values[:, 6] != 0, 4)

    def _spread(self, name: str, chosen: NDArray[np.bool_], at: int) -> Spread:
        keys, values = self.keys[chosen, COLUMN[name]], self.values[chosen]
        buckets, place = np.unique(keys, return_inverse=True)
        weights = np.zeros(len(buckets), np.uint64)
        np.add.at(weights, place.reshape(-1), values[:, 0])
        return Spread(
            count=int(weights.sum()),
            total=int(values[:, at].sum()),
            least=int(values[:, at + 1].min()) if len(values) else 0,
            most=int(values[:, at + 2].max()) if len(values) else 0,
            at_least=0,
            most_at_least=0,
            buckets=buckets.astype(np.uint16),
            weights=weights,
        )

    def slowest(self) -> Group:
        """The row that holds the slowest, alone."""
        at = int(self.values[:, 3].argmax())
        return Group(self.keys[at : at + 1], self.values[at : at + 1])

    def again_range(self) -> tuple[int, int]:
        """Least and most SYNs that one of them sent again."""
        again = self.keys[:, COLUMN["again"]]
        return int(again.min()), int(again.max())

    def processes(self) -> list[tuple[int, int]]:
        """(pid, start) of those that are known, the one with most attempts first."""
        who = self.keys[:, [COLUMN["pid"], COLUMN["start"]]]
        owners, place = np.unique(who, axis=0, return_inverse=True)
        counts = np.zeros(len(owners), np.uint64)
        np.add.at(counts, place.reshape(-1), self.values[:, 0])
        found = [tuple(owners[i].tolist()) for i in np.argsort(counts)[::-1]]
        return [(pid, start) for pid, start in found if pid]


def going_on(sockets: Records, layout: Layout) -> Records:
    """Of a pass over the sockets, those whose attempt has not ended."""
    names = layout.enums["tcp_state"]
    wanted = [names[name] for name in ("SYN_SENT", "SYN_RECV", "NEW_SYN_RECV")]
    return sockets[np.isin(sockets["state"], wanted)]


@dataclass(frozen=True)
class Pending:
    """Attempts that go on, by the columns of `place`; ages in ns, one that is a bound is so."""

    roles: Keys
    place: Keys
    ages_ns: NDArray[np.int64]
    exact: NDArray[np.bool_]


class HandshakeTable:
    """Attempts that ended, added up by KEYS.

    Batches are added up one by one and put together once they are as many rows as the whole, so
    that a small batch does not cost what a large table does.
    """

    def __init__(self, layout: Layout, grouping: Grouping) -> None:
        self.layout, self.grouping = layout, grouping
        self._keys = np.empty((0, len(KEYS)), np.int64)
        self._values = np.empty((0, 8), np.uint64)
        self._parts: list[tuple[Keys, Values]] = []

    def add(self, records: Records) -> None:
        """Count a batch of handshake records."""
        if not len(records):
            return
        self._parts.append(_add_up(self._keys_of(records), _values_of(records)))
        if sum(len(part) for part, _ in self._parts) > max(FEW, len(self._keys)):
            self.rows()

    def _keys_of(self, records: Records) -> Keys:
        enums = self.layout.enums
        active = records["role"] == enums["role"]["ACTIVE"]
        keys = np.empty((len(KEYS), len(records)), np.int64)
        keys[1 : len(PLACE) + 1] = self.grouping.place(records, active).T
        for name, column in (
            ("role", "role"),
            ("latency_from", "latency_from"),
            ("outcome", "outcome"),
            ("again", "syn_retransmits"),
        ):
            keys[COLUMN[name]] = records[column]
        # whose they were is told of those that an application gave up, however they are grouped
        given_up = records["outcome"] == enums["outcome"]["GAVE_UP"]
        if given_up.any():
            for name in ("pid", "start"):
                keys[COLUMN[name], given_up] = records[name][given_up]
        # an error is told where it alone says how they ended
        unknown = records["outcome"] == enums["outcome"]["UNKNOWN"]
        keys[COLUMN["error"]] = np.where(unknown, records["error"], 0)
        keys[COLUMN["bucket"]] = bucket(records["latency_ns"].astype(np.uint64))
        keys[COLUMN["rtt_bucket"]] = bucket(records["rtt_us"].astype(np.uint64) * np.uint64(1000))
        return keys.T

    @property
    def size(self) -> int:
        """Rows that it takes, at most."""
        return len(self._keys) + sum(len(keys) for keys, _ in self._parts)

    def frozen(self) -> HandshakeTable:
        """As it stands, in a table of its own."""
        found = HandshakeTable(self.layout, self.grouping)
        found._keys, found._values = self.rows()
        return found

    def merge(self, other: HandshakeTable) -> None:
        """Add what another table of the same grouping holds."""
        self._parts.append(other.rows())

    def rows(self) -> tuple[Keys, Values]:
        """One row for each combination of keys that there was."""
        if self._parts:
            parts = [(self._keys, self._values), *self._parts]
            self._parts = []
            self._keys, self._values = _add_up(
                np.concatenate([keys for keys, _ in parts]),
                np.concatenate([values for _, values in parts]),
            )
        return self._keys, self._values

    def pending(self, sockets: Records | None) -> Pending:
        """Of a pass over the sockets, the attempts that have not ended."""
        enums = self.layout.enums
        if sockets is None:
            sockets = np.zeros(0, self.layout.dtypes["sock_row"])
        names = enums["tcp_state"]
        rows = going_on(sockets, self.layout)
        # both sides called at once: no listener has such a one
        active = rows["state"] == names["SYN_SENT"]
        active |= (rows["state"] == names["SYN_RECV"]) & (rows["listener_cookie"] == 0)
        roles = np.where(active, enums["role"]["ACTIVE"], enums["role"]["PASSIVE"])
        return Pending(
            roles.astype(np.int64),
            self.grouping.place(rows, active),
            rows["age_ns"].astype(np.int64),
            rows["age_is"] == enums["dwell_is"]["EXACT"],
        )

    def groups(
        self, sockets: Records | None, label: Callable[[Keys], tuple[object, ...]]
    ) -> dict[tuple[object, ...], Group]:
        """Attempts by what `label` makes of (role, *PLACE); it is asked once for each of these."""
        wide = len(PLACE) + 1
        found: dict[tuple[object, ...], Group] = {}
        keys, values = self.rows()
        for name, chosen in _members(keys[:, :wide], label).items():
            found[name] = Group(keys[chosen], values[chosen])
        pending = self.pending(sockets)
        waiting = np.concatenate((pending.roles[:, None], pending.place), axis=1)
        for name, chosen in _members(waiting, label).items():
            group = found.setdefault(name, Group(keys[:0], values[:0]))
            oldest = chosen[int(pending.ages_ns[chosen].argmax())]
            group.pending = len(chosen)
            group.oldest_ns = int(pending.ages_ns[oldest])
            group.oldest_is_exact = bool(pending.exact[oldest])
        return found


def _values_of(records: Records) -> Values:
    values = np.empty((8, len(records)), np.uint64)
    values[0] = 1
    values[1:4] = records["latency_ns"]
    values[4:7] = records["rtt_us"].astype(np.uint64) * np.uint64(1000)
    values[7] = records["syncookie"] == 1
    return values.T


def _add_up(keys: Keys, values: Values) -> tuple[Keys, Values]:
    """Rows with the same keys as one, in the order of the keys."""
    if not len(keys):
        return keys, values
    order, starts = sort(list(keys.T), len(keys))
    sums = np.empty((values.shape[1], len(starts)), np.uint64)
    for i, column in enumerate(values.T):
        how = np.add if i in _ADDED else np.minimum if i in _LEAST else np.maximum
        sums[i] = how.reduceat(column[order], starts)
    return keys[order[starts]], sums.T


def _members(
    keys: Keys, label: Callable[[Keys], tuple[object, ...]]
) -> dict[tuple[object, ...], NDArray[np.intp]]:
    """Indexes of the rows that go by each name."""
    if not len(keys):
        return {}
    unique, place = np.unique(keys, axis=0, return_inverse=True)
    names: dict[tuple[object, ...], int] = {}
    which = np.array([names.setdefault(label(row), len(names)) for row in unique], np.intp)
    of = which[place.reshape(-1)]
    order = np.argsort(of, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(of[order])) + 1)
    return {name: parts[i] for name, i in names.items()}
