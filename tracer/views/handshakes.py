"""`handshakes`: how attempts to connect end, how long they take, and which are still pending."""

from __future__ import annotations

import csv
import io
import json

from tracer.flows.drops import Counters
from tracer.flows.handshakes import OPENS, Group, HandshakeTable, Opens
from tracer.flows.tally import Outcome, Tally
from tracer.views.base import View
from tracer.views.closing import Proofs, closing, explain_lost, explain_nothing
from tracer.views.columns import Facts
from tracer.views.handshake_keys import By
from tracer.views.handshake_words import OTHER_COLUMNS, WELL, cells, sentences, shown
from tracer.views.output import Notices, Output
from tracer.views.reconciled import Witness, proof_document
from tracer.views.scope import scope
from tracer.views.spreads import NAMES, percentiles
from tracer.views.tables import Heading, table
from tracer.views.text import escape
from tracer.wire.batch import Batch
from tracer.wire.head import Head
from tracer.wire.layout import Records

SPREADS = ("latency_us", "rtt_us")
MOST_ON_TERMINAL = 20
Found = list[tuple[tuple[object, ...], Group]]


class HandshakesView(View):
    """A block at each mark, and one for the whole at the end.

    `limit` groups are shown, 0 for all; None for all but on a terminal.
    """

    needs = ("records",)
    kinds = frozenset({"handshake"})

    def __init__(
        self,
        output: Output,
        notices: Notices,
        form: str = "table",
        by: By | None = None,
        limit: int | None = None,
    ) -> None:
        self._output, self._notices, self._form = output, notices, form
        self._by = by or By()
        on_terminal = form == "table" and output.is_terminal
        self._limit = limit if limit is not None else MOST_ON_TERMINAL if on_terminal else 0
        self._sockets: Records | None = None
        self._marks = 0
        self._facts: Facts
        self._head: Head

    def begin(self, facts: Facts, head: Head) -> None:
        """Start to gather."""
        self._facts, self._head = facts, head
        self.table, self._since = self._empty(), self._empty()
        self._opens, self._witness = Opens(facts.layout), Witness(OPENS)
        self._proofs = Proofs()
        self._began_ns = self._mark_ns = head.started_ns
        if self._form == "csv":
            self._output.write([",".join(self._csv_header())])

    def _empty(self) -> HandshakeTable:
        return HandshakeTable(self._facts.layout, self._by.grouping())

    def batch(self, batch: Batch) -> None:
        """Count a batch: nothing here is done once an event."""
        for task in batch.kinds.get("task", ()):
            self._facts.processes.add_event(task)
        if "handshake" in batch.kinds:
            self._since.add(batch.kinds["handshake"])
            self._opens.add(batch.kinds["handshake"])

    def sockets(self, rows: Records) -> None:
        """Take the latest pass over the sockets: attempts that go on are among them."""
        self._sockets = rows

    def kernel(self, counters: Counters) -> None:
        """Take the witness's word."""
        self._witness.take(counters)

    def _told(self, outcome: Outcome) -> Counters | None:
        """What is to be held against the kernel's counters; None where filters leave out some."""
        options = self._head.filters | outcome.filters.describe()
        if set(options) - {"NETNS"}:
            return None
        return self._opens.told(self._sockets, self._facts.exact)

    def notice(self, text: str) -> None:
        """Something about the session."""
        self._notices.say(text)

    def mark(self, now_ns: int, tally: Tally) -> None:
        """Show what this interval brought."""
        span = now_ns - self._mark_ns
        self._show(self._since, now_ns, span, "", [self._proofs.line(tally, span)])
        self.table.merge(self._since)
        self._since, self._mark_ns = self._empty(), now_ns
        self._marks += 1

    def end(self, outcome: Outcome) -> None:
        """Show the whole span."""
        self.table.merge(self._since)
        tally, span = outcome.tally, outcome.span_ns
        headed = "total  " if self._marks else ""
        now, told = self._began_ns + span, self._told(outcome)
        last = [] if told is None else self._witness.lines(told)
        self._show(self.table, now, span, headed, [*last, closing(tally, span)])
        if self._form == "json" and told is not None:
            moment = self._facts.clock.iso(now)
            proof = [proof_document(one, moment) for one in self._witness.proof(told)]
            self._output.write([json.dumps(one) for one in proof])
        options = self._head.filters | outcome.filters.describe()
        for text in explain_nothing(tally, options) + explain_lost(tally):
            self._notices.say(text)
        if self._form != "table":
            self._notices.say(closing(tally, span))

    # --- forms ----------------------------------------------------------------

    def _show(
        self, counted: HandshakeTable, now_ns: int, span_ns: int, headed: str, proof: list[str]
    ) -> None:
        groups = counted.groups(self._sockets, self._by.label(self._facts))
        found = sorted(groups.items(), key=self._trouble)
        left_out = len(found) - self._limit if self._limit else 0
        if left_out > 0:
            found = found[: self._limit]
        if self._form == "table":
            lines = [headed + self._scope(now_ns, span_ns), *self._table(found)]
            if left_out > 0:
                lines.append(f"... {left_out} more (--limit 0)")
            lines += sentences(found, self._facts)
            separate = not headed and self._marks > 0
            self._output.write([*lines, *proof, *([""] if separate else [])])
            return
        documents = [self._document(*one, now_ns, span_ns) for one in found]
        make = json.dumps if self._form == "json" else self._csv
        self._output.write([make(document) for document in documents])

    def _trouble(self, one: tuple[tuple[object, ...], Group]) -> tuple[int, int, str]:
        name, group = one
        well = group.outcomes().get(self._facts.layout.enums["outcome"][WELL], 0)
        return well - group.attempts, -group.attempts, str(name)

    def _scope(self, now_ns: int, span_ns: int) -> str:
        how = "passive timed from the SYN-ACK"
        return scope("handshakes", self._head, self._facts, now_ns, span_ns, how)

    def _table(self, found: Found) -> list[str]:
        words = [
            Heading(name.upper(), words=name in ("role", "peer", "raddr", "comm"))
            for name in self._by.names
        ]
        rows = [[*map(shown, name), *cells(group, self._facts)] for name, group in found]
        return table([*words, *map(Heading, OTHER_COLUMNS)], rows)

    def _document(
        self, name: tuple[object, ...], group: Group, now_ns: int, span_ns: int
    ) -> dict[str, object]:
        facts = self._facts
        well = group.ended_as(facts.layout.enums["outcome"][WELL])
        timed_from = facts.layout.enums["latency_from"]
        active = name[0] == "active"
        return {
            "ts": facts.clock.iso(now_ns),
            "span_us": span_ns // 1000,
            "kind": "handshake_summary",
            **dict(zip(self._by.names, name, strict=True)),
            "attempts": group.attempts,
            "pending": group.pending,
            "oldest_pending_us": group.oldest_ns // 1000 or None,
            "outcomes": {facts.outcomes[value]: n for value, n in group.outcomes().items()},
            "latency_us": percentiles(well.latency()),
            "latency_from": facts.latencies[timed_from["SYN" if active else "SYNACK"]],
            "rtt_us": percentiles(well.rtt()),
            "syn_retransmits": group.again,
            "syncookies": group.syncookies,
        }

    def _csv_header(self) -> list[str]:
        outcomes = self._facts.outcomes.values()
        return [
            *("ts", "span_us", "kind", *self._by.names),
            *("attempts", "pending", "oldest_pending_us", *outcomes),
            *(f"{spread}_{name}" for spread in SPREADS for name in NAMES),
            *("latency_from", "syn_retransmits", "syncookies"),
        ]

    def _csv(self, document: dict[str, object]) -> str:
        values = dict.fromkeys(self._facts.outcomes.values(), 0) | document
        values.update(values.pop("outcomes"))  # type: ignore[call-overload]
        for spread in SPREADS:
            parts = values.pop(spread) or {}
            values.update({f"{spread}_{name}": value for name, value in parts.items()})  # type: ignore[attr-defined]
        text = io.StringIO()
        row = [values.get(name) for name in self._csv_header()]
        csv.writer(text, lineterminator="").writerow(
            ["" if c is None else escape(c) if isinstance(c, str) else c for c in row]
        )
        return text.getvalue()
