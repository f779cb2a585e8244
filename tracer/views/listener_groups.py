"""`listeners --by`: listening sockets put together by owner, address, namespace or port."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tracer.flows.grouping import AT, PLACE
from tracer.flows.listeners import COUNTERS
from tracer.views.keys import By, Label, columns
from tracer.views.listeners import ListenersView, Row, causes_of, marked, rate
from tracer.views.look import Look
from tracer.views.output import Notices, Output
from tracer.views.summary import Block, Document
from tracer.views.tables import Column, Part
from tracer.views.text import address, escape

SUMMED = ("finished", "accepts", "reset_in_queue", "never_accepted", "overflows", "cookies_sent")
MEMBERS = (
    *("listeners", "accept_queue", "accept_queue_peak", "full_us", "syn_queue", "syn_queue_peak"),
    *("finished", "accepts", "reset_in_queue", "never_accepted", "overflows", "syn_drops"),
    "cookies_sent",
)


@dataclass
class Group:
    """Listening sockets that share what --by asks for, over a span.

    Depths now, counters and drops are sums; peaks and the time at full are those of the worst.
    `open` is how many listen still; of several twins it may not be known whose a peak is.
    """

    key: tuple[object, ...]
    span_ns: int
    open: int = 0
    accept_queue: int = 0
    syn_queue: int = 0
    accept_queue_peak: int = 0
    syn_queue_peak: int | None = 0
    full_ns: int = 0
    counted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0))
    drops: dict[str, int] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Put one more in."""
        one = row.one
        if not row.closed:
            self.open += 1
            self.accept_queue += int(one.row["accept_queue"])
            self.syn_queue += int(one.row["syn_queue"])
        self.accept_queue_peak = max(self.accept_queue_peak, one.accept_queue_peak)
        peaks = (self.syn_queue_peak, row.syn_queue_peak)
        known = [peak for peak in peaks if peak is not None]
        self.syn_queue_peak = max(known) if len(known) == len(peaks) else None
        self.full_ns = max(self.full_ns, row.full_ns())
        for name in COUNTERS:
            self.counted[name] += one.counted[name]
        for cause, count in one.drops.items():
            self.drops[cause] = self.drops.get(cause, 0) + count

    def full(self) -> float:
        """Share of the span that the worst one's accept queue was full."""
        return self.full_ns / self.span_ns if self.span_ns else 0.0

    def accepts(self) -> float | None:
        """A second."""
        return self.counted["accepts"] * 1e9 / self.span_ns if self.span_ns else None

    def dropped(self) -> int:
        """SYNs and final ACKs."""
        return sum(self.drops.values())


SUMS: tuple[Column[Group], ...] = (
    Column("LISTENERS", lambda group: group.open),
    Column("QUEUE", lambda group: group.accept_queue),
    Column("PEAK", lambda group: group.accept_queue_peak),
    Column("FULL", Group.full, "{:.0%}".format),
    Column("SYNQ", lambda group: group.syn_queue, spare=3),
    Column("PEAK", lambda group: group.syn_queue_peak, spare=4, name="SYNQ PEAK"),
    Column("ACC/s", Group.accepts, rate, spare=1),
    Column("OVERFL", lambda group: group.counted["overflows"], marked),
    Column("DROPS", Group.dropped, marked),
)


class ListenerGroupsView(ListenersView):
    """Listening sockets by what --by asks for, those in trouble first."""

    kind = "listener_summary"

    def __init__(self, output: Output, notices: Notices, look: Look, by: By) -> None:
        self._by = by
        super().__init__(output, notices, look)

    def shown(self) -> Sequence[Column[Any]]:
        """The keys, then sums and the worst."""
        return (*columns(self._by.words, lambda group: group.key), *SUMS)

    def _groups(self, block: Block) -> tuple[list[Group], list[str]]:
        label, groups = self._by.label(self.facts), dict[tuple[object, ...], Group]()
        for row in self.rows(block):
            # twins of one address are one listener, those of two namespaces are not
            place = int(row.one.row["netns"]) if "listener" in self._by.words else 0
            key = self._key(row, label)
            groups.setdefault((place, *key), Group(key, block.span_ns)).add(row)
        return self.chosen(sorted(groups.values(), key=_trouble))

    def _key(self, row: Row, label: Label) -> tuple[object, ...]:
        one, spot = row.one.row, [0] * len(PLACE)
        for name, member in (("pid", "pid"), ("start", "start"), ("netns", "netns")):
            spot[AT[name]] = int(one[member])
        spot[AT["lport"]] = int(one["port"])
        own = {"listener": row.name, "laddr": self.facts.host(address(bytes(one["addr"])))}
        told = label(spot)
        return tuple(own.get(word, told[at]) for at, word in enumerate(self._by.words))

    def parts(self, block: Block) -> list[Part]:
        """The table, and below it the causes of what was dropped."""
        groups, more = self._groups(block)
        causes = [
            f"{' '.join(escape(str(key)) for key in group.key)}  {text}"
            for group in groups
            if (text := causes_of(group.counted, group.drops))
        ]
        return [self.table(groups), *more, *causes]

    def documents(self, block: Block) -> list[Document]:
        """A record for each."""
        return [self._group_document(group) for group in self._groups(block)[0]]

    def _group_document(self, group: Group) -> Document:
        return dict(zip(self._by.words, group.key, strict=True)) | {
            "listeners": group.open,
            "accept_queue": group.accept_queue,
            "accept_queue_peak": group.accept_queue_peak,
            "full_us": group.full_ns // 1000,
            "syn_queue": group.syn_queue,
            "syn_queue_peak": group.syn_queue_peak,
            **{name: group.counted[name] for name in SUMMED},
            "syn_drops": group.drops,
        }

    def columns(self) -> Sequence[str]:
        """The members of a record."""
        return (*self._by.words, *MEMBERS)


def _trouble(group: Group) -> tuple[object, ...]:
    worst = (-group.dropped(), -group.full_ns, -group.counted["accepts"], -group.accept_queue)
    return (*worst, *map(str, group.key))
