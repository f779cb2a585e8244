"""What every summing view does: blocks by interval and for the whole, in every form."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tracer.attribution.names import Names
from tracer.flows.tally import Outcome, Tally
from tracer.views.base import View
from tracer.views.closing import Proofs, closing, explain_lost, explain_nothing
from tracer.views.columns import Facts
from tracer.views.look import TABLES, Look
from tracer.views.output import Notices, Output
from tracer.views.scope import scope
from tracer.views.tables import Column, Part, Row, Table, render
from tracer.views.text import escape
from tracer.wire.batch import Batch
from tracer.wire.head import Head

PATIENCE_S = (0.2, 2.0)  # for names, while tracing goes on, and when it has ended
Document = dict[str, Any]


@dataclass(frozen=True)
class Block:
    """One interval, or the `total`: its end (CLOCK_MONOTONIC), its length, its closing line."""

    now_ns: int
    span_ns: int
    total: bool
    proof: str
    outcome: Outcome | None = None  # of the total


class SummaryView(View):
    """Shows a block at each mark, and one for the whole at the end.

    A subclass gathers in `gather` (and in View's other calls), says in `parts` and `documents`
    what a block shows, and in `turn` begins the next interval. It puts its rows through `chosen`,
    and has a `table` made of them: so they look as it was asked for, whatever the form.
    """

    command = ""  # as it is typed
    kind = ""  # of its records
    counts_looks = False  # what is seen is what the latest look saw, and adds up to nothing

    def __init__(self, output: Output, notices: Notices, look: Look | None = None) -> None:
        self.output, self._notices, self.look = output, notices, look or Look()
        self._form = self.look.form
        self.look.check(self.shown(), (*_COMMON, *self.columns()))
        self.facts: Facts
        self.head: Head

    # --- for the subclass to say ----------------------------------------------------

    def start(self) -> None:
        """Begin to gather: `facts` and `head` are known."""

    def gather(self, batch: Batch) -> None:
        """Take a batch."""

    def turn(self) -> None:
        """The block just shown was an interval's: the next one begins."""

    def how(self) -> str:
        """What the numbers stand on: the end of the scope line."""
        return ""

    def shown(self) -> Sequence[Column[Any]]:
        """Columns of the table that --sort and --columns speak of."""
        return ()

    def parts(self, block: Block) -> list[Part]:
        """The block as tables and lines."""
        return []

    def documents(self, block: Block) -> list[Document]:
        """The block's records, without what all have."""
        return []

    def proof(self, block: Block) -> tuple[list[str], list[Document]]:
        """What the kernel counted beside it: as lines, and as whole records."""
        return [], []

    def columns(self) -> Sequence[str]:
        """Names of the cells of a CSV row, without what all have."""
        return ()

    def cells(self, document: Document) -> Document:
        """A record's cells by name."""
        return document

    def afterwards(self, outcome: Outcome) -> list[str]:
        """What is to be said at the end, beside the results."""
        return explain_nothing(outcome.tally, self.options(outcome)) + explain_lost(outcome.tally)

    # --- for the subclass to use ----------------------------------------------------

    def chosen(self, rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
        """The rows to show, in their order, and a line that says how many are left out."""
        return self.look.rows(self.shown(), rows, self.output.is_terminal)

    def table(self, rows: Sequence[Row]) -> Table[Row]:
        """The table, with the columns asked for: those that are named are never left out."""
        return Table(self.look.choose(self.shown()), rows, fits=not self.look.columns)

    # --- what a session tells -------------------------------------------------------

    def begin(self, facts: Facts, head: Head) -> None:
        """Start to gather."""
        self.facts, self.head = facts, head
        facts.names = Names() if self.look.names else None
        self._began_ns = self._since_ns = head.started_ns
        self._proofs = Proofs()
        self._marks = 0
        self.start()
        if self._form == "csv" and self.look.header:
            self.output.write([",".join(self._csv_columns())])

    def batch(self, batch: Batch) -> None:
        """Nothing here is done once an event."""
        for task in batch.kinds.get("task", ()):
            self.facts.processes.add_event(task)
        self.gather(batch)

    def notice(self, text: str) -> None:
        """Something about the session."""
        self._notices.say(text)

    def mark(self, now_ns: int, tally: Tally) -> None:
        """Show what this interval brought."""
        span_ns = now_ns - self._since_ns
        self._marks += 1
        proof = closing(tally, span_ns) if self.counts_looks else self._proofs.line(tally, span_ns)
        self._show(Block(now_ns, span_ns, False, proof))
        self._since_ns = now_ns
        self.turn()

    def end(self, outcome: Outcome) -> None:
        """Show the whole span."""
        proof = closing(outcome.tally, outcome.span_ns)
        now_ns = self._began_ns + outcome.span_ns
        self._show(Block(now_ns, outcome.span_ns, True, proof, outcome))
        for text in self.afterwards(outcome):
            self._notices.say(text)
        if self._form not in TABLES:
            self._notices.say(proof)

    def options(self, outcome: Outcome) -> dict[str, str]:
        """Filters of the session and, of a recording, those it is shown with."""
        return self.head.filters | outcome.filters.describe()

    def is_whole(self, outcome: Outcome) -> bool:
        """Whether nothing of what the kernel counts was left out, but by namespace.

        A recording may keep more kinds than this view looks at.
        """
        return not set(self.options(outcome)) - {"NETNS", "KIND"}

    # --- forms ----------------------------------------------------------------------

    def _show(self, block: Block) -> None:
        if self.facts.names:
            self.facts.names.allow(PATIENCE_S[block.total])
        proof_lines, proof_documents = self.proof(block)
        if self._form in TABLES:
            headed = "total  " if block.total and self._marks else ""
            first = scope(
                headed + self.command,
                self.head,
                self.facts,
                block.now_ns,
                block.span_ns,
                self.how(),
            )
            parts = [first, *self.parts(block), *proof_lines, block.proof]
            lines = render(parts, self._form, self.output.width, self.look.header)
            self.output.write([*lines, *([] if block.total else [""])])
            return
        common = {
            "ts": self.facts.clock.iso(block.now_ns),
            "span_us": block.span_ns // 1000,
            "kind": self.kind,
            "total": block.total,
        }
        documents = [common | document for document in self.documents(block)]
        if self._form == "json":
            self.output.write([json.dumps(one) for one in [*documents, *proof_documents]])
        else:
            self.output.write([self._csv(document) for document in documents])

    def _csv(self, document: Document) -> str:
        cells = self.cells(document)
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(
            [_cell(cells.get(name)) for name in self._csv_columns()]
        )
        return text.getvalue()

    def _csv_columns(self) -> Sequence[str]:
        return self.look.columns or (*_COMMON, *self.columns())


_COMMON = ("ts", "span_us", "kind", "total")


def _cell(value: Any) -> Any:
    """A value as CSV shows it: a row stays one line, whatever a process calls itself."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return escape(value) if isinstance(value, str) else value
