"""`handshakes`: how attempts to connect end, how long they take, and which are still pending."""

from __future__ import annotations

from collections.abc import Sequence

from tracer.flows.drops import Counters
from tracer.flows.handshakes import Group, HandshakeTable, going_on
from tracer.flows.opens import OPENS, Opens, still_going
from tracer.views.handshake_table import NUMBERS, Row
from tracer.views.handshake_words import BEYOND, WELL, sentences, unplaced, unrecorded
from tracer.views.keys import By, columns
from tracer.views.look import Look
from tracer.views.output import Notices, Output
from tracer.views.reconciled import Witness, lost_document, proof_document
from tracer.views.schema import OUTCOMES
from tracer.views.spreads import NAMES, at_least, percentiles
from tracer.views.summary import Block, Document, SummaryView
from tracer.views.tables import Column, Part
from tracer.wire.batch import Batch
from tracer.wire.layout import Records

SPREADS = ("latency_us", "rtt_us")


class HandshakesView(SummaryView):
    """Groups of attempts, those in trouble first."""

    command = "handshakes"
    kind = "handshake_summary"
    needs = ("records",)
    kinds = frozenset({"handshake"})

    def __init__(
        self,
        output: Output,
        notices: Notices,
        look: Look | None = None,
        by: By | None = None,
    ) -> None:
        self._by = by or By(("role", "peer"))
        super().__init__(output, notices, look)

    def start(self) -> None:
        """Begin to gather."""
        self._sockets: Records | None = None
        self.whole, self._since = self._empty(), self._empty()
        layout = self.facts.layout
        sees_synacks = self.head.attached.get("synack", "off") != "off"
        # recordings of before 0.1.0 have no such counts
        counts_synacks = sees_synacks and "untold" in layout.dtypes
        self._opens = Opens(layout, self.head.started_ns, counts_synacks)
        self._witness = Witness(OPENS, BEYOND)
        self._unrecorded: Counters = {}

    def _empty(self) -> HandshakeTable:
        return HandshakeTable(self.facts.layout, self._by.grouping())

    def gather(self, batch: Batch) -> None:
        """Count a batch."""
        if "handshake" in batch.kinds:
            self._since.add(batch.kinds["handshake"])
            self._opens.add(batch.kinds["handshake"])
            if self._sockets is not None:
                self._sockets = still_going(self._sockets, batch.kinds["handshake"])

    def sockets(self, rows: Records) -> None:
        """Take the latest pass over the sockets: attempts that go on are among them."""
        if self._sockets is None:
            self._opens.begin(rows)
        self._sockets = going_on(rows, self.facts.layout)

    def kernel(self, counters: Counters) -> None:
        """Take the witness's word."""
        self._witness.take(counters)

    def edge(self, moved: Counters) -> None:
        """What the witness cannot place."""
        self._witness.edge(moved)

    def unrecorded(self, counts: Counters) -> None:
        """What the kernel counted and no record tells of; of all namespaces, and of 0 the rest."""
        asked = self.head.netns
        here = {
            netns: found for netns, found in counts.items() if not asked or netns in {0, *asked}
        }
        self._unrecorded = here
        self._opens.unrecorded(here)

    def gate(self, ended_ns: int) -> None:
        """What the kernel counts from here on is not in its last word."""
        self._opens.end(ended_ns)

    def turn(self) -> None:
        """What the interval brought belongs to the whole."""
        self.whole.merge(self._since)
        self._since = self._empty()

    # --- forms ----------------------------------------------------------------

    def how(self) -> str:
        """What passive latency is measured from."""
        return "passive timed from the SYN-ACK"

    def shown(self) -> Sequence[Column[Row]]:
        """What --by asks for, then the numbers."""
        return (*columns(self._by.words, lambda row: row.name), *NUMBERS)

    def _found(self, block: Block) -> tuple[list[Row], list[str]]:
        if block.total:
            self.turn()
        counted = self.whole if block.total else self._since
        label, roles = self._by.label(self.facts), self.facts.roles
        groups = counted.groups(
            self._sockets,
            lambda row: (roles[int(row[0])], *label(row[1:].tolist())),
        )
        found = sorted(groups.items(), key=self._trouble)
        return self.chosen([Row(name, group, self.facts) for name, group in found])

    def _trouble(self, one: tuple[tuple[object, ...], Group]) -> tuple[int, int, str]:
        name, group = one
        well = group.outcomes().get(self.facts.layout.enums["outcome"][WELL], 0)
        return well - group.attempts, -group.attempts, str(name)

    def parts(self, block: Block) -> list[Part]:
        """The table, and in words what its numbers mean."""
        rows, more = self._found(block)
        told = sentences([(row.name, row.group) for row in rows], self.facts)
        return [self.table(rows), *more, *told]

    def proof(self, block: Block) -> tuple[list[str], list[Document]]:
        """The kernel's account of the whole; none where filters leave out some of it."""
        if block.outcome is None or not self.is_whole(block.outcome):
            return [], []
        told, unsure = self._opens.told(self._sockets, self.facts.exact, block.span_ns)
        moment = self.facts.clock.iso(block.now_ns)
        documents = [proof_document(one, moment) for one in self._witness.proof(told, unsure)]
        for what, count in unplaced(self._unrecorded):
            documents.append(lost_document(count, what, block.now_ns, moment))
        lines = self._witness.lines(told, self.head.netns, unsure)
        return [*lines, *(unrecorded(self._unrecorded) if lines else [])], documents

    def documents(self, block: Block) -> list[Document]:
        """A record for each group."""
        return [self._document(row.name, row.group) for row in self._found(block)[0]]

    def _document(self, name: tuple[object, ...], group: Group) -> Document:
        facts = self.facts
        well = group.ended_as(facts.layout.enums["outcome"][WELL])
        latency = well.latency()
        timed_from = facts.layout.enums["latency_from"]
        active = name[0] == "active"
        oldest = group.oldest_ns // 1000 or None
        return {
            **dict(zip(self._by.words, name, strict=True)),
            "attempts": group.attempts,
            "pending": group.pending,
            "oldest_pending_us": oldest if group.oldest_is_exact else None,
            "oldest_pending_at_least_us": None if group.oldest_is_exact else oldest,
            "outcomes": {facts.outcomes[value]: n for value, n in group.outcomes().items()},
            "latency_us": percentiles(latency),
            **at_least("latency", latency),
            "latency_from": facts.latencies[timed_from["SYN" if active else "SYNACK"]],
            "rtt_us": percentiles(well.rtt()),
            "syn_retransmits": group.again,
            "syncookies": group.syncookies,
        }

    def columns(self) -> Sequence[str]:
        """A cell for each outcome and for each percentile."""
        return (
            *self._by.words,
            *("attempts", "pending", "oldest_pending_us", "oldest_pending_at_least_us"),
            *OUTCOMES,
            *(f"{spread}_{name}" for spread in SPREADS for name in NAMES),
            *("latency_at_least_count", "latency_at_least_us"),
            *("latency_from", "syn_retransmits", "syncookies"),
        )

    def cells(self, document: Document) -> Document:
        """Counts by outcome that are not told are 0."""
        found: Document = dict.fromkeys(OUTCOMES, 0)
        found |= document | document["outcomes"]
        for spread in SPREADS:
            parts = document[spread] or {}
            found |= {f"{spread}_{name}": value for name, value in parts.items()}
        return found
