"""`connections --open --by`: open connections put together by what they share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracer.flows.buckets import AGES, RATES, bucket, name_age, name_rate
from tracer.flows.connections import Pass
from tracer.flows.grouping import PLACE
from tracer.views.connection_columns import SHORT
from tracer.views.connection_record import NOBODY
from tracer.views.connections import OpenConnectionsView
from tracer.views.keys import By, columns
from tracer.views.look import Look
from tracer.views.output import Notices, Output
from tracer.views.summary import Block, Document
from tracer.views.tables import Column, Part
from tracer.views.text import duration, quantity
from tracer.wire.layout import Records

SUMMED = ("recv_queue", "send_queue", "rx_bytes", "tx_bytes", "retransmits")
MEMBERS = (
    *("connections", "new", "recv_queue", "send_queue", "rx_bytes", "tx_bytes"),
    *("rx_per_s", "tx_per_s", "retransmits", "oldest_us", "oldest_at_least_us"),
)
OWN = ("state", "role", "uid", "age", "rate")  # words of this view alone
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Group:
    """Connections that share what --by asks for: sums, rates (NaN: not known), the oldest's age.

    `is_exact`: the ages of all are known, not only bounds of some.
    """

    key: tuple[object, ...]
    count: int
    new: int
    summed: dict[str, int]
    rx_per_s: float
    tx_per_s: float
    oldest_ns: int
    is_exact: bool

    def age_text(self) -> str:
        """`>=` is a lower bound."""
        if not self.oldest_ns:
            return "-"
        return ("" if self.is_exact else ">=") + duration(self.oldest_ns)


def _sum(title: str, name: str, spare: int = 0) -> Column[Group]:
    return Column(title, lambda group: group.summed[name], quantity, spare=spare)


SUMS: tuple[Column[Group], ...] = (
    Column("CONNS", lambda group: group.count),
    Column("OLDEST", lambda group: group.oldest_ns or None, text=Group.age_text),
    _sum("RECV-Q", "recv_queue"),
    _sum("SEND-Q", "send_queue"),
    _sum("IN", "rx_bytes", spare=2),
    _sum("OUT", "tx_bytes", spare=2),
)
RATES_OF_ALL: tuple[Column[Group], ...] = (
    Column("IN/s", lambda group: _known(group.rx_per_s), quantity),
    Column("OUT/s", lambda group: _known(group.tx_per_s), quantity),
    Column("NEW", lambda group: group.new, spare=3),
)
AGAIN: tuple[Column[Group], ...] = (
    Column("RTX", lambda group: group.summed["retransmits"], spare=3),
)


class ConnectionGroupsView(OpenConnectionsView):
    """What there is at the end of each block by what --by asks for, the most first.

    By age or rate alone, in that order.
    """

    kind = "connection_summary"

    def __init__(
        self,
        output: Output,
        notices: Notices,
        look: Look,
        by: By,
        *,
        rates: bool,
        timewaits: bool,
    ) -> None:
        self._by = by
        super().__init__(output, notices, look, rates=rates, timewaits=timewaits)

    def shown(self) -> Sequence[Column[Any]]:
        """The keys, then sums."""
        keys: list[Column[Group]] = columns(self._by.words, lambda group: group.key)
        return (*keys, *SUMS, *(RATES_OF_ALL if self.has_rates else ()), *AGAIN)

    def parts(self, block: Block) -> list[Part]:
        """The table, and what is left out of it."""
        found = self.latest(block)
        if found is None:
            return []
        shown = self.is_shown(found)
        groups, more = self.chosen(self._groups(found, shown))
        return [self.table(groups), *more, *self.hidden(shown)]

    def documents(self, block: Block) -> list[Document]:
        """A record for each."""
        found = self.latest(block)
        if found is None:
            return []
        shown = self.is_shown(found)
        for text in self.hidden(shown):
            self.notice(text)
        return [self._group_document(one) for one in self.chosen(self._groups(found, shown))[0]]

    def columns(self) -> Sequence[str]:
        """The members of a record."""
        return (*self._by.words, *MEMBERS)

    def cells(self, document: Document) -> Document:
        """All of them are plain."""
        return document

    def _groups(self, found: Pass, shown: NDArray[np.bool_]) -> list[Group]:
        rows = found.rows[shown]
        own = [word for word in self._by.words if word in OWN]
        rates = found.rx_per_s[shown], found.tx_per_s[shown]
        parts = [self._by.grouping().place(rows)]
        parts += [self._values(word, rows, rates).reshape(-1, 1) for word in own]
        keys, which = np.unique(np.hstack(parts), axis=0, return_inverse=True)
        which, label = which.reshape(-1), self._label(own)
        made: dict[tuple[object, ...], list[int]] = {}
        for at, key in enumerate(keys.tolist()):  # several owners may have one name
            made.setdefault(label(key), []).append(at)
        groups = []
        for key, places in made.items():
            chosen = np.isin(which, places)
            new = int(found.is_new[shown][chosen].sum())
            sides = (float(rate[chosen].sum()) for rate in map(_zero_or_unknown, rates))
            groups.append(self._sum_up(key, rows[chosen], new, *sides))
        by_size = sorted(groups, key=lambda group: (-group.count, str(group.key)))
        order = _ORDERED.get(self._by.words[0])
        return sorted(by_size, key=lambda group: order(group.key[0])) if order else by_size

    def _sum_up(
        self, key: tuple[object, ...], rows: Records, new: int, rx_per_s: float, tx_per_s: float
    ) -> Group:
        known = rows["life_ns"] > 0
        exact = known & (rows["life_is"] == self.facts.exact)
        return Group(
            key,
            len(rows),
            new,
            {name: int(rows[name].sum(dtype=np.uint64)) for name in SUMMED},
            rx_per_s,
            tx_per_s,
            int(rows["life_ns"].max(initial=0)),
            bool(exact.all()),
        )

    def _values(self, word: str, rows: Records, rates: tuple[Any, Any]) -> Numbers:
        """A word's number for each row: what it is of, or the bucket that it is in."""
        if word == "age":
            found = bucket(rows["life_ns"].astype(np.float64), AGES)
            bound = rows["life_is"] != self.facts.exact
            found = np.where(bound, found + len(AGES) + 1, found)
            return np.where(rows["life_ns"] > 0, found, -1)
        if word == "rate":
            both = rates[0] + rates[1]
            return np.where(np.isnan(both), -1, bucket(np.nan_to_num(both), RATES))
        return rows[word].astype(np.int64)

    def _label(self, own: list[str]) -> Callable[[list[int]], tuple[object, ...]]:
        facts, label = self.facts, self._by.label(self.facts)
        makers: dict[str, Callable[[int], object]] = {
            "state": lambda value: SHORT.get(facts.states[value], facts.states[value]),
            "role": lambda value: facts.roles[value] if value else None,
            "uid": lambda value: value if value != NOBODY else None,
            "age": name_age,
            "rate": name_rate,
        }

        def name(key: list[int]) -> tuple[object, ...]:
            told = label(key[: len(PLACE)])
            values = dict(zip(own, key[len(PLACE) :], strict=True))
            return tuple(
                makers[word](values[word]) if word in values else told[at]
                for at, word in enumerate(self._by.words)
            )

        return name

    def _group_document(self, group: Group) -> Document:
        oldest = group.oldest_ns // 1000 if group.oldest_ns else None
        rates = (_known(rate) for rate in (group.rx_per_s, group.tx_per_s))
        rx_per_s, tx_per_s = (rate if rate is None else round(rate, 1) for rate in rates)
        return (
            dict(zip(self._by.words, group.key, strict=True))
            | {"connections": group.count, "new": group.new if self.has_rates else None}
            | group.summed
            | {
                "rx_per_s": rx_per_s,
                "tx_per_s": tx_per_s,
                "oldest_us": oldest if group.is_exact else None,
                "oldest_at_least_us": None if group.is_exact else oldest,
            }
        )


def _zero_or_unknown(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mini-sockets carry nothing; where no rate is known of any, none is of all."""
    known = ~np.isnan(rates)
    return np.where(known, rates, 0.0) if known.any() else rates


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _place(names: Sequence[object]) -> Callable[[object], int]:
    order = {name: at for at, name in enumerate(names)}
    return lambda name: order.get(name, len(order))


_ORDERED = {
    "age": _place([name_age(at) for at in (*range(2 * len(AGES) + 2), -1)]),
    "rate": _place([name_rate(at) for at in (*range(len(RATES) + 1), -1)]),
}
