"""`retransmits`: what was sent again, why, whose and to whom, beside the kernel's counters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracer.flows.drops import Counters
from tracer.flows.retransmits import RESENT, Resent, RetransmitTable
from tracer.views.keys import By, columns
from tracer.views.look import Look
from tracer.views.output import Notices, Output
from tracer.views.reconciled import Witness, proof_document
from tracer.views.retransmit_table import NUMBERS, SHARE, Row, percent
from tracer.views.scope import probes
from tracer.views.summary import Block, Document, SummaryView
from tracer.views.tables import Column, Part
from tracer.wire.batch import Batch

KIND = "retransmit"
OF_RECORD = ("type", "state")  # keys that no place has
# counters that the kernel may move further than there are records, and what the rest is
BEYOND = {
    "TCPSynRetrans": "the rest could not be sent, and is in TCPRetransFail too",
    "TCPLostRetransmit": "the rest was not sent once more, or not yet, or in other pieces",
    "TCPLossProbes": "the rest sent data that was new",
}
SHORT = {"TCPLostRetransmit": "the rest was not counted as lost before it was sent once more"}
MEMBERS = ("count", "rate", "share", "times", "bytes", "lost_again", "queue_full", "last_rto_us")


class RetransmitsView(SummaryView):
    """Groups of segments that were sent again, most first."""

    command = "retransmits"
    kind = "retransmit_summary"
    needs = ("records",)
    kinds = frozenset({KIND})

    def __init__(
        self, output: Output, notices: Notices, look: Look | None = None, by: By | None = None
    ) -> None:
        self._by = by or By(("type", "pid", "comm", "peer"))
        super().__init__(output, notices, look)

    def start(self) -> None:
        """Begin to gather."""
        self.whole, self._since = self._empty(), self._empty()
        self._resent = Resent(self.facts.layout)
        self._witness = Witness(RESENT, BEYOND, SHORT)
        self._before: Counters | None = None  # the kernel's counters where the interval began
        self._now: Counters = {}

    def _empty(self) -> RetransmitTable:
        return RetransmitTable(self.facts.layout, self._by.grouping())

    def gather(self, batch: Batch) -> None:
        """Count a batch."""
        if KIND in batch.kinds:
            self._since.add(batch.kinds[KIND])
            self._resent.add(batch.kinds[KIND])

    def kernel(self, counters: Counters) -> None:
        """Take the witness's word."""
        self._witness.take(counters)
        self._now = counters
        if self._before is None:
            self._before = counters

    def edge(self, moved: Counters) -> None:
        """What the witness cannot place."""
        self._witness.edge(moved)

    def turn(self) -> None:
        """What the interval brought belongs to the whole."""
        self.whole.merge(self._since)
        self._since = self._empty()
        self._before = self._now

    # --- forms ----------------------------------------------------------------

    def how(self) -> str:
        """What sees them."""
        return probes(self.head, *(name for name in (KIND, "synack") if name in self.head.attached))

    def shown(self) -> Sequence[Column[Any]]:
        """What --by asks for, then the numbers; the share where rows are namespaces."""
        share = [SHARE] if self._by.words == ("netns",) else []
        return (*columns(self._by.words, lambda row: row.name), *NUMBERS, *share)

    def _found(self, block: Block) -> tuple[list[Row], list[str]]:
        counted = self._since
        if block.total:
            self.whole.merge(self._since)
            self._since, counted = self._empty(), self.whole
        names, label = self._by.words, self._by.label(self.facts)
        facts = self.facts

        def call(key: list[int]) -> tuple[object, ...]:
            own = {"type": facts.resends[key[0]], "state": facts.states[key[1]]}
            values = label(key[len(OF_RECORD) :])
            return tuple(own.get(word, value) for word, value in zip(names, values, strict=True))

        groups = counted.groups(call)
        found = sorted(groups.items(), key=lambda one: (-one[1].segments, str(one[0])))
        sent = self._sent(block.total)

        def sent_by(netns: object) -> int | None:
            return sent.get(netns) if isinstance(netns, int) else None

        return self.chosen(
            [Row(name, group, block.span_ns, sent_by(name[0])) for name, group in found]
        )

    def _sent(self, total: bool) -> dict[int, int]:
        """Segments sent in the block by each namespace, where those are what rows are of."""
        if self._by.words != ("netns",):
            return {}
        if total:
            return self._witness.moved("OutSegs")
        before = self._before or {}
        return {
            netns: values.get("OutSegs", 0) - before.get(netns, {}).get("OutSegs", 0)
            for netns, values in self._now.items()
        }

    def parts(self, block: Block) -> list[Part]:
        """The table, and what its SYN-ACKs mean."""
        rows, more = self._found(block)
        full = sum(row.group.queue_full for row in rows)
        told = []
        if full:
            which = "1 SYN-ACK was" if full == 1 else f"{full} SYN-ACKs were"
            told.append(
                f"{which} sent again though the ACK had come: the accept queue was full, see:"
                " tcptrace listeners"
            )
        return [self.table(rows), *more, *told]

    def proof(self, block: Block) -> tuple[list[str], list[Document]]:
        """The kernel's account of the whole; none where filters leave out some of it."""
        if block.outcome is None or not self.is_whole(block.outcome):
            return [], []
        failed = self._witness.moved("TCPRetransFail")
        told = self._resent.told(failed)
        moment = self.facts.clock.iso(block.now_ns)
        documents = [proof_document(one, moment) for one in self._witness.proof(told)]
        lines = self._witness.lines(told, self.head.netns)
        return [*lines, *self._of_all(sum(failed.values()))], documents

    def _of_all(self, failed: int) -> list[str]:
        """How much that is of what was sent; and what of it was refused by the machine itself."""
        sent = sum(self._witness.moved("OutSegs").values())
        again = sum(self._witness.moved("RetransSegs").values())
        lines = []
        if again and sent:
            share = percent(again / sent)
            lines.append(f"{again} segments sent again beside {sent} sent (OutSegs): {share}")
        if failed:
            lines.append(
                f"{failed} of RetransSegs could not be sent by this machine (TCPRetransFail),"
                " and are not told of"
            )
        return lines

    def documents(self, block: Block) -> list[Document]:
        """A record for each group."""
        return [self._document(row) for row in self._found(block)[0]]

    def _document(self, row: Row) -> Document:
        group = row.group
        return {
            **dict(zip(self._by.words, row.name, strict=True)),
            "count": group.segments,
            "rate": round(row.rate, 3),
            "share": row.share,
            "times": group.times,
            "bytes": group.bytes,
            "lost_again": group.lost_again,
            "queue_full": group.queue_full,
            "last_rto_us": group.rto_us or None,
        }

    def columns(self) -> Sequence[str]:
        """The keys, and the numbers."""
        return (*self._by.words, *MEMBERS)
