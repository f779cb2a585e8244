"""`resets`: RSTs by what they came from, who for; how silent it had been; ports nobody heard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from errno import ECONNRESET, EPIPE, ETIMEDOUT, errorcode
from typing import Any

from tracer.flows.drops import Counters
from tracer.flows.gaps import Gaps
from tracer.flows.grouping import Numbers
from tracer.flows.histogram import Histogram
from tracer.flows.resets import COUNTERS, SORTS, Broken, ResetTable
from tracer.views import gap_words, reset_silence
from tracer.views.keys import By, columns
from tracer.views.look import Look
from tracer.views.output import Notices, Output
from tracer.views.reconciled import Witness, proof_document
from tracer.views.reset_columns import LOCAL, NO_REASON
from tracer.views.scope import probes
from tracer.views.spreads import NAMES, percentiles, quantile
from tracer.views.summary import Block, Document, SummaryView
from tracer.views.tables import Column, Part
from tracer.views.text import TICK_NS
from tracer.wire.batch import Batch
from tracer.words.resets import MEANINGS

OWN_KEYS = ("direction", "local", "by", "reason", "answers", "state", "errno")
DEFAULT = ("direction", "by", "reason", "pid", "comm", "peer")
# what the kernel counts, and no RST and no application's error tells of
BEYOND = {
    "TCPAbortOnTimeout": "the rest timed out with their descriptor closed, or with the error of an"
    " ICMP message",
    "TCPAbortOnData": "the rest was closed with SO_LINGER 0 in a state that needs no RST",
}


@dataclass(frozen=True)
class Row:
    """RSTs that --by puts together."""

    name: tuple[object, ...]
    count: int
    rate: float  # a second
    idle: Histogram


NUMBERS: tuple[Column[Row], ...] = (
    Column("COUNT", lambda row: row.count),
    Column("RATE/s", lambda row: row.rate, lambda rate: f"{rate:.1f}", spare=1),
    Column(
        "SILENT",
        lambda row: row.idle.quantile(0.5),
        text=lambda row: _silent(row.idle),
        spare=2,
    ),
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

    def turn(self) -> None:
        """What the interval brought belongs to the whole."""
        self._whole.merge(self._since)
        self._since = ResetTable(self._numbers)

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

    def _found(self, block: Block) -> tuple[list[Row], list[str]]:
        table, label = self._table(block), self._label()
        names: dict[tuple[object, ...], int] = {}
        groups = {
            key: names.setdefault(label(key), len(names)) for key in sorted(table.counts, key=str)
        }
        counts = [0] * len(names)
        for key, group in groups.items():
            counts[group] += table.counts[key]
        idle = table.idle(groups, len(names))
        rows = [
            Row(name, counts[i], _rate(counts[i], block.span_ns), idle[i])
            for name, i in names.items()
        ]
        return self.chosen(sorted(rows, key=lambda row: (-row.count, str(row.name))))

    def _label(self) -> Callable[[tuple[int, ...]], tuple[object, ...]]:
        facts, places = self.facts, self._numbers.places
        of_place = self._by.label(facts)

        def name(key: tuple[int, ...]) -> tuple[object, ...]:
            sort = dict(zip(SORTS, key, strict=False))
            own = _own(sort, facts)
            return tuple(
                own.get(word, value)
                for word, value in zip(self._by.words, of_place(places[key[-1]]), strict=True)
            )

        return name

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
        return [self.table(rows), *more, *told, *self._gap_lines(block)]

    def _felt(self, block: Block) -> list[Any]:
        return list(self._gaps.felt(0 if block.total else block.now_ns - block.span_ns))

    def _gap_lines(self, block: Block) -> list[str]:
        found = self._felt(block)
        several = len({gap.netns for gap in found}) > 1
        return [gap_words.sentence(gap, self.facts, block.now_ns, several) for gap in found]

    def proof(self, block: Block) -> tuple[list[str], list[Document]]:
        """The kernel's account of the whole; none where filters leave out some of it."""
        moment = self.facts.clock.iso(block.now_ns)
        gaps: list[Document] = [
            {"ts": moment, "span_us": block.span_ns // 1000, "kind": "listener_gap"}
            | {"total": block.total}
            | gap_words.document(gap, self.facts, moment, block.now_ns)
            for gap in self._felt(block)
        ]
        if block.outcome is None or not self.is_whole(block.outcome):
            return [], gaps
        told = self._told.told()
        documents = [proof_document(one, moment) for one in self._witness.proof(told)]
        return self._witness.lines(told, self.head.netns), [*gaps, *documents]

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


def _own(sort: dict[str, int], facts: Any) -> dict[str, object]:
    """What the sort of a RST says, by the words of --by."""
    by = facts.reset_bys[sort["by"]] if sort["by"] else None
    reason = sort["reason"]
    return {
        "direction": facts.reset_ways[sort["way"]],
        "by": by,
        "local": by in LOCAL and not sort["answers"],
        "reason": None if reason == NO_REASON else facts.reset_reasons.get(reason, str(reason)),
        "answers": facts.answered[sort["answers"]] if sort["answers"] else None,
        "state": facts.states[sort["state"]] if sort["state"] else None,
        "errno": errorcode.get(sort["error"], str(sort["error"])) if sort["error"] else None,
    }


def _silent(idle: Histogram) -> str:
    """Half were so for no longer; the kernel's ticks are no finer than 10 ms everywhere."""
    half = idle.quantile(0.5)
    return "<10ms" if half is not None and half < TICK_NS else quantile(idle, 0.5)


def _rate(count: int, span_ns: int) -> float:
    return count * 1e9 / span_ns if span_ns else 0.0
