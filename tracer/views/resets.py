"""`resets`: RSTs by what they came from, who for; how silent it had been; ports nobody heard."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from errno import ECONNRESET, EPIPE, ETIMEDOUT
from typing import Any

from tracer.flows.drops import Counters
from tracer.flows.gaps import Gaps
from tracer.flows.grouping import Numbers
from tracer.flows.reset_counts import ResetCounts
from tracer.flows.resets import COUNTERS, MOST_ANSWERS, Broken, Key, ResetTable
from tracer.flows.tally import Outcome, Tally
from tracer.views import gap_words, reset_silence
from tracer.views.keys import By, columns
from tracer.views.look import Look
from tracer.views.output import Notices, Output
from tracer.views.reconciled import Witness, lost_document, proof_document
from tracer.views.reset_groups import DEFAULT, NUMBERS, Row, label, needs_records
from tracer.views.scope import probes
from tracer.views.spreads import NAMES, percentiles
from tracer.views.summary import Block, Document, SummaryView
from tracer.views.tables import Column, Part
from tracer.wire.batch import Batch
from tracer.wire.layout import Records
from tracer.words.resets import MEANINGS

# what the kernel counts, and no RST and no application's error tells of
BEYOND = {
    "TCPAbortOnTimeout": "the rest timed out with their descriptor closed, or with the error of an"
    " ICMP message",
    "TCPAbortOnData": "the rest was closed with SO_LINGER 0 in a state that needs no RST",
}
LIMITED = (
    "limited: {} of those without a connection, beyond {} a second and CPU, were counted, not sent:"
    " they are in the table"
)


class ResetsView(SummaryView):
    """Groups of RSTs, the most first."""

    command = "resets"
    kind = "reset_summary"
    needs = ("records",)
    kinds = frozenset({"reset", "error"})
    also = frozenset({"state"})  # of which begin and end of listening are looked at

    def __init__(
        self, output: Output, notices: Notices, look: Look | None = None, by: By | None = None
    ) -> None:
        self._by = by or By(DEFAULT)
        super().__init__(output, notices, look)

    def start(self) -> None:
        """Begin to gather."""
        self._numbers = Numbers(self._by.grouping())
        self._whole, self._since = ResetTable(self._numbers), ResetTable(self._numbers)
        self._counted = ResetCounts(self._numbers)
        self._of_records, self._all_came = needs_records(self._by.words), True
        self._gaps, self._began = Gaps(self.facts.layout), False
        self._told = Broken(self.facts.layout)
        self._witness = Witness(COUNTERS, BEYOND)

    def gather(self, batch: Batch) -> None:
        """Count a batch."""
        if not self._began and self.facts.holders is not None:
            self._gaps.begin(self.facts.holders)
            self._began = True
        resets, errors = batch.kinds.get("reset"), batch.kinds.get("error")
        self._gaps.add(batch.kinds.get("state"), resets)
        if resets is not None:
            self._since.add(resets)
            self._told.resets(resets)
        if errors is not None:
            self._told.errors(errors, [ECONNRESET, EPIPE], ETIMEDOUT)

    def kernel(self, counters: Counters) -> None:
        """Take the witness's word."""
        self._witness.take(counters)

    def edge(self, moved: Counters) -> None:
        """What the witness cannot place."""
        self._witness.edge(moved)

    def resets(self, pairs: Records) -> None:
        """Take the kernel's own counts."""
        self._counted.take(pairs)

    def mark(self, now_ns: int, tally: Tally) -> None:
        """An interval ends."""
        self._all_came = not (tally.lost or tally.limited)
        super().mark(now_ns, tally)

    def end(self, outcome: Outcome) -> None:
        """The session is over."""
        self._all_came = not (outcome.tally.lost or outcome.tally.limited)
        super().end(outcome)

    def turn(self) -> None:
        """What the interval brought belongs to the whole."""
        self._counted.turn()
        self._whole.merge(self._since)
        self._since = ResetTable(self._numbers)

    def afterwards(self, outcome: Outcome) -> list[str]:
        """Of those that were limited the table has all, but where it stands on records."""
        tally = outcome.tally
        limited = tally.limited_by_kind.get("reset", 0)
        if not limited or "resets" not in self.head.keeps:
            return super().afterwards(outcome)
        others = {name: n for name, n in tally.limited_by_kind.items() if name != "reset"}
        rest = replace(outcome, tally=replace(tally, limited_by_kind=others))
        return [*super().afterwards(rest), LIMITED.format(limited, MOST_ANSWERS)]

    # --- forms ----------------------------------------------------------------

    def how(self) -> str:
        """What sees them."""
        return probes(self.head, "reset")

    def shown(self) -> Sequence[Column[Row]]:
        """What --by asks for, then the numbers."""
        return (*columns(self._by.words, lambda row: row.name), *NUMBERS)

    def _table(self, block: Block) -> ResetTable:
        if block.total:
            self.turn()
        return self._whole if block.total else self._since

    @property
    def _is_counted(self) -> bool:
        """Whether the kernel's counts have all; those of a recording that was cut are of before."""
        whole = sum(self._whole.counts.values()) + sum(self._since.counts.values())
        counted = sum(self._counted.counts.values()) + self._counted.unplaced
        return self._counted.pairs is not None and counted >= whole

    def _counts(self, block: Block) -> Counter[Key]:
        if self._of_records or not self._is_counted:
            return self._table(block).counts
        return self._counted.counts if block.total else self._counted.of_interval()

    def _found(self, block: Block) -> tuple[list[Row], list[str]]:
        table, all_counts = self._table(block), self._counts(block)
        name_of = label(self._by, self.facts, self._numbers)
        names: dict[tuple[object, ...], int] = {}
        groups = {
            key: names.setdefault(name_of(key), len(names)) for key in sorted(all_counts, key=str)
        }
        counts = [0] * len(names)
        for key, group in groups.items():
            counts[group] += all_counts[key]
        idle = table.idle(groups, len(names))
        rows = [
            Row(name, counts[i], _rate(counts[i], block.span_ns), idle[i])
            for name, i in names.items()
        ]
        return self.chosen(sorted(rows, key=lambda row: (-row.count, str(row.name))))

    def parts(self, block: Block) -> list[Part]:
        """The table, what its words mean, how silent it had been, and ports nobody heard."""
        rows, more = self._found(block)
        table = self._table(block)
        told: list[str] = []
        if "by" in self._by.words:
            place = self._by.words.index("by")
            kinds = dict.fromkeys(str(row.name[place]) for row in rows)
            told = [f"{name}  {MEANINGS[name]}" for name in kinds if name in MEANINGS]
        for way, name in self.facts.reset_ways.items():
            if way in table.silence:
                told += reset_silence.lines(name, table.silence[way])
        return [self.table(rows), *more, *self._beside(block), *told, *self._gap_lines(block)]

    def _beside(self, block: Block) -> list[str]:
        """What of the kernel's counts the table does not have, or not by peer and owner."""
        if not (block.total and self._is_counted):
            return []
        counted = self._counted
        missing = sum(counted.counts.values()) - sum(self._whole.counts.values())
        missing += counted.unplaced
        if self._of_records:
            told = f"{missing} more were counted, not sent: whose is not known"
            return [told] if missing > 0 else []
        apart = counted.apart()
        told = f"{apart} are counted without peer and owner: there were too many to keep apart"
        rest = f"{counted.unplaced} more are in no row: there were too many sorts to keep apart"
        return [told] * (apart > 0) + [rest] * (counted.unplaced > 0)

    def _felt(self, block: Block) -> list[Any]:
        return list(self._gaps.felt(0 if block.total else block.now_ns - block.span_ns))

    def _gap_lines(self, block: Block) -> list[str]:
        found = self._felt(block)
        several = len({gap.netns for gap in found}) > 1
        return [
            gap_words.sentence(gap, self.facts, block.now_ns, several, self._all_came)
            for gap in found
        ]

    def proof(self, block: Block) -> tuple[list[str], list[Document]]:
        """The kernel's account of the whole; none where filters leave out some of it."""
        moment = self.facts.clock.iso(block.now_ns)
        gaps: list[Document] = [
            {"ts": moment, "span_us": block.span_ns // 1000, "kind": "listener_gap"}
            | {"total": block.total}
            | gap_words.document(gap, self.facts, moment, block.now_ns, self._all_came)
            for gap in self._felt(block)
        ]
        if block.outcome is None:
            return [], gaps
        unplaced = self._counted.unplaced if self._is_counted and not self._of_records else 0
        lost = [lost_document(unplaced, "reset", block.now_ns, moment)] * (unplaced > 0)
        if not self.is_whole(block.outcome):
            return [], [*gaps, *lost]
        told = self._told.told(self._counted.pairs if self._is_counted else None)
        documents = [proof_document(one, moment) for one in self._witness.proof(told)]
        return self._witness.lines(told, self.head.netns), [*gaps, *lost, *documents]

    def documents(self, block: Block) -> list[Document]:
        """A record for each group."""
        return [self._document(row) for row in self._found(block)[0]]

    def _document(self, row: Row) -> Document:
        return {
            **dict(zip(self._by.words, row.name, strict=True)),
            "count": row.count,
            "rate": round(row.rate, 3),
            "idle_us": percentiles(row.idle),
        }

    def columns(self) -> Sequence[str]:
        """A cell for each key and number."""
        return (*self._by.words, "count", "rate", *(f"idle_us_{name}" for name in NAMES))

    def cells(self, document: Document) -> Document:
        """Percentiles in cells of their own."""
        parts = document["idle_us"] or {}
        return document | {f"idle_us_{name}": value for name, value in parts.items()}


def _rate(count: int, span_ns: int) -> float:
    return count * 1e9 / span_ns if span_ns else 0.0
