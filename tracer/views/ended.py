"""`connections`: one row for each that has ended; as they end, or the longest of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tracer.flows.ended import EndedConnections
from tracer.views import ended_words as words
from tracer.views.columns import EVENTS, Facts, document
from tracer.views.columns import rows as as_tuples
from tracer.views.events import EventView
from tracer.views.lines import Event, owner
from tracer.views.look import Look
from tracer.views.output import Notices, Output
from tracer.views.summary import Block, Document, SummaryView
from tracer.views.tables import Column, Part
from tracer.views.text import address, duration, quantity
from tracer.wire.batch import Batch
from tracer.wire.head import Head

KIND = "connection"
SIGNS = {"active": ">", "passive": "<"}


def _remote(event: Event) -> str:
    """Who was there, and who began: `<` the peer did, `>` we did."""
    row, facts = event.row, event.facts
    sign = SIGNS.get(facts.roles[row.role], "-")
    return f"{sign} {facts.endpoint(address(row.raddr), row.rport)}"


def _us(value: int) -> str:
    return duration(value * 1000)


def _known_us(name: str, title: str, width: int, spare: int = 0) -> Column[Event]:
    return Column(
        title, lambda event: getattr(event.row, name) or None, _us, spare=spare, width=width
    )


COLUMNS: tuple[Column[Event], ...] = (
    Column("ENDED", lambda e: e.facts.clock.time(e.row.mono_ns), words=True, width=15),
    Column("PROCESS", lambda e: owner(e.row, e.facts), words=True, width=24),
    Column("REMOTE", _remote, words=True, width=23),
    Column("LPORT", lambda e: e.row.lport or None, width=5),
    Column(
        "LIFE",
        lambda e: e.row.life_ns,
        text=lambda e: words.life(e.row, e.facts),
        width=8,
    ),
    _known_us("handshake_us", "SHAKE", 6, spare=4),
    _known_us("accept_wait_us", "ACCEPT", 6, spare=4),
    Column("IN", lambda e: e.row.rx_bytes, quantity, width=6),
    Column("OUT", lambda e: e.row.tx_bytes, quantity, width=6),
    _known_us("srtt_us", "RTT", 6, spare=3),
    Column("RTX", lambda e: e.row.retransmits, width=3, spare=2),
    Column("ENDED BY", lambda e: words.ended_by(e.row, e.facts), words=True, width=9),
    Column("NETNS", lambda e: e.row.netns, spare=5, width=10),
)


class EndedLines(EventView):
    """A row as each ends."""

    kinds = frozenset({KIND})
    name = "connections"
    line_columns = tuple(column for column in COLUMNS if column.title != "NETNS")

    def begin(self, facts: Facts, head: Head) -> None:
        """Say what is shown: of all kinds that are traced, this one."""
        super().begin(facts, replace(head, kinds=(KIND,)))


class EndedView(SummaryView):
    """Those that ended in each block, the longest first or as --sort has it."""

    command = "connections"
    kind = KIND
    needs = ("records",)
    kinds = frozenset({KIND})

    def __init__(
        self, output: Output, notices: Notices, look: Look | None = None, slowest: bool = False
    ) -> None:
        self._slowest = slowest
        super().__init__(output, notices, look)

    def start(self) -> None:
        """Begin to gather."""
        self.whole, self._since = EndedConnections(), EndedConnections()

    def gather(self, batch: Batch) -> None:
        """Keep what ended."""
        if KIND in batch.kinds:
            self._since.add(batch.kinds[KIND])

    def turn(self) -> None:
        """What the interval brought belongs to the whole."""
        self.whole.merge(self._since)
        self._since = EndedConnections()

    # --- forms ----------------------------------------------------------------

    def how(self) -> str:
        """In which order they come."""
        if self.look.sort:
            return f"by {self.look.sort}"
        return "longest first" if self._slowest else "latest first"

    def shown(self) -> Sequence[Column[Event]]:
        """All columns."""
        return COLUMNS

    def _found(self, block: Block) -> tuple[list[Event], list[str]]:
        if block.total:
            self.turn()
        found = self.whole if block.total else self._since
        records = found.records
        if self._slowest:
            records = records[np.argsort(records["life_ns"], kind="stable")[::-1]]
        elif not self.look.sort:
            records = records[::-1]
        events = [Event(KIND, row, self.facts) for row in as_tuples(records, KIND)]
        rows, more = self.chosen(events)
        folded = f"of {found.count}, the {len(found.records)} longest were kept"
        return rows, [*more, *([folded] if found.count > len(found.records) else [])]

    def parts(self, block: Block) -> list[Part]:
        """The table, and what is to be noticed."""
        rows, more = self._found(block)
        table = self.table(rows)
        if not self.look.columns and len({event.row.netns for event in rows}) < 2:
            kept = [column for column in table.columns if column.title != "NETNS"]
            table = replace(table, columns=kept)
        told = words.held_up([event.row for event in rows], self.facts)
        signs = ["> we opened it, < the peer did; >= older than the tracer"] if rows else []
        return [table, *more, *told, *signs]

    def documents(self, block: Block) -> list[Document]:
        """A record for each."""
        found = (document(KIND, event.row, self.facts) for event in self._found(block)[0])
        return [{k: v for k, v in one.items() if k not in ("ts", "kind")} for one in found]

    def columns(self) -> Sequence[str]:
        """The members of a record."""
        return [name for name in EVENTS[KIND] if name not in ("ts", "kind")]

    def cells(self, document: Document) -> Document:
        """Keepalive by its first member, states by name."""
        keepalive, states = document["keepalive"], document["states_us"]
        return document | {
            "keepalive": keepalive and keepalive["idle_s"],
            "states_us": ";".join(f"{name}={us}" for name, us in states.items()),
        }
