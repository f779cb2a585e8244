"""What packet filters refused as rules see it: their own counters, and what was seen dropped."""

from __future__ import annotations

import shlex
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from tracer.advice.evidence import Filtered, Refusing
from tracer.flows.packet_filters import PacketFilters, Rule
from tracer.flows.packets import PacketTable, Spot
from tracer.views.columns import Facts
from tracer.views.text import escape
from tracer.wire import reasons
from tracer.wire.layout import Records

BY_FILTERS = "NETFILTER_DROP"
Reasons = tuple[tuple[str, int], ...]


class Filters:
    """What was told so far: rules at the first look and at the last, and dropped packets."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._first: PacketFilters | None = None
        self._last: PacketFilters | None = None
        self._before = PacketTable()
        self._dropped: PacketTable | None = None

    def add(self, found: PacketFilters) -> None:
        """Take rules as they stand."""
        if self._first is None:
            self._first = found
        else:
            self._last = found

    def packets(self, pairs: Records, rest: NDArray[np.uint64]) -> None:
        """Take the kernel's counts of dropped packets, since they are counted."""
        self._dropped = PacketTable()
        self._dropped.set_counts(pairs, rest)

    def packets_left(self) -> None:
        """They are counted no longer."""
        self._before, self._dropped = PacketTable(), None

    def begin_at(self, before: Filters) -> None:
        """What `before` was told of packets is of an earlier span."""
        if before._dropped is not None:
            self._before = before._dropped

    @property
    def has(self) -> set[str]:
        """What there is to judge by."""
        return {"filters"} if self._last is not None or self._dropped is not None else set()

    def told(self) -> tuple[Filtered, ...]:
        """One for each namespace where a rule refuses packets, or was seen to."""
        grown: dict[int, list[Refusing]] = {}
        if self._first is not None and self._last is not None:
            for rule, count in self._last.since(self._first).items():
                grown.setdefault(rule.netns, []).append(_refusing(rule, count))
        dropped = self._new()
        seen: dict[int, Counter[Spot]] = {}
        for spot, count in dropped.packets.items():
            if spot.netns and self._facts.reason(spot.reason) == BY_FILTERS:
                seen.setdefault(spot.netns, Counter())[spot] += count
        return tuple(
            self._filtered(netns, grown.get(netns, []), seen.get(netns, Counter()))
            for netns in sorted(grown.keys() | seen.keys())
        )

    def unseen(self) -> tuple[str, ...]:
        """What was not looked at, safe to show."""
        if self._last is None:
            return ()
        return tuple(
            escape(f"packet-filter in network namespace {netns}: {one}")
            for netns, why in self._last.unseen.items()
            for one in why
        )

    def others(self, netns: int) -> Reasons:
        """Why other packets were dropped there with which something is lost, the most first."""
        found = Counter[str]()
        for spot, count in self._new().packets.items():
            told = (
                self._facts.reason(spot.reason),
                self._facts.function(spot.location),
                bool(spot.syn),
                spot.spent,
            )
            if spot.netns == netns and told[0] != BY_FILTERS and not reasons.is_expected(*told):
                found[told[0]] += count
        return tuple(found.most_common())

    def _new(self) -> PacketTable:
        return (self._dropped or PacketTable()).since(self._before)

    def _filtered(self, netns: int, rules: list[Refusing], seen: Counter[Spot]) -> Filtered:
        places = Counter[str]()
        for spot, count in seen.items():
            places[self._facts.function(spot.location) or "?"] += count
        by_socket = self._facts.layout.enums["owner_from"]["SOCKET"]
        return Filtered(
            netns,
            f"network namespace {netns}",
            tuple(rules),
            seen.total() if self._dropped is not None else None,
            sum(count for spot, count in seen.items() if spot.owner_from == by_socket),
            tuple((escape(place), count) for place, count in places.most_common()),
        )


def _refusing(rule: Rule, count: int | None) -> Refusing:
    if rule.by == "nftables":
        names = (*rule.table.split(" ", 1), rule.chain)
        shows = "nft -a list chain " + " ".join(shlex.quote(escape(name)) for name in names)
    else:
        chain, table = (shlex.quote(escape(name)) for name in (rule.chain, rule.table))
        shows = f"{rule.by} -t {table} -vnL {chain} --line-numbers"
    number = "" if rule.handle is None else f" (handle {rule.handle})"
    place = escape(f"{rule.by}, table {rule.table}, chain {rule.chain}")
    return Refusing(escape(rule.text), place + number, shows, count)
