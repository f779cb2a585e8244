"""`drops`: what listeners threw away, by cause, beside the kernel's own counters."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, replace

from tracer.errors import TracerError
from tracer.flows.drops import DropTable, Place, explained, minus, reconcile
from tracer.flows.tally import Outcome, Tally
from tracer.views.base import View
from tracer.views.closing import closing, explain_lost, explain_nothing
from tracer.views.columns import Facts
from tracer.views.output import Notices, Output
from tracer.views.reconciled import proof_document, proof_lines
from tracer.views.scope import probes, scope
from tracer.views.tables import Heading, table
from tracer.views.text import escape
from tracer.wire.batch import Batch
from tracer.wire.head import Head
from tracer.wire.layout import Records

HEADINGS = (
    Heading("WHERE", words=True),
    Heading("REASON", words=True),
    Heading("AT", words=True),
    Heading("OWNER", words=True),
    Heading("LPORT"),
    Heading("COUNT"),
    Heading("RATE/s"),
)
NETNS = Heading("NETNS")
# the function that decides, by stage
DECIDES = {"syn": "tcp_conn_request", "ack": "tcp_check_req"}
MEANINGS = {
    "accept_queue_full": "finished connections wait for accept() up to the listener's limit",
    "syn_queue_full": "half-open connections up to the listener's limit, cookies off",
    "syn_queue_reserve": "the last quarter of tcp_max_syn_backlog is kept for known peers",
    "memory": "no memory for the request",
    "route": "no way back to the peer",
    "lsm": "a security module refused it",
    "other": "no memory, no route, or a security module; the kernel's counters do not say which",
}
CSV = (
    "ts",
    "span_us",
    "kind",
    "layer",
    "reason",
    "stage",
    "answer",
    "location",
    "pid",
    "comm",
    "netns",
    "lport",
    "listener_cookie",
    "count",
    "rate",
    "expected",
    "meaning",
)


Counters = dict[int, dict[str, int]]


@dataclass(frozen=True)
class Moment:
    """How things stood: what is shown is the difference of two."""

    mono_ns: int
    table: DropTable
    told: Counters
    kernel: Counters
    tally: tuple[int, int, int, int]  # seen, matched, lost, limited


class DropsView(View):
    """A block at each mark, and one for the whole at the end."""

    kinds = frozenset({"syn_drop"})

    def __init__(self, output: Output, notices: Notices, form: str = "table") -> None:
        self._output, self._notices, self._form = output, notices, form
        self._facts: Facts
        self._head: Head
        self._sent, self._counted = DropTable(), DropTable()
        self._filtered = True
        self._told: Counters = {}
        self._kernel: Counters | None = None
        self._first: Moment
        self._last: Moment

    def begin(self, facts: Facts, head: Head) -> None:
        """Start to gather."""
        self._facts, self._head = facts, head
        began = head.started_ns
        self._first = self._last = Moment(began, DropTable(), {}, {}, (0, 0, 0, 0))
        if self._form == "csv":
            self._output.write([",".join(CSV)])

    def batch(self, batch: Batch) -> None:
        """Names of processes; and drops, for where the counts do not tell enough."""
        for task in batch.kinds.get("task", ()):
            self._facts.processes.add_event(task)
        if "syn_drop" in batch.kinds:
            self._sent.add(batch.kinds["syn_drop"])

    def drops(self, pairs: Records, filtered: bool) -> None:
        """Take the kernel's own counts, which cover the session so far.

        Errors: TracerError where a filter is to be applied to counts alone.
        """
        if not filtered and not self._head.stream:
            raise TracerError(
                "this recording keeps counts of drops only; a filter needs records",
                "keep them with: tcptrace drops --syn -w FILE",
            )
        self._filtered = filtered
        self._counted.set_counts(pairs[pairs["key"]["matched"] > 0])
        self._told = explained(pairs, self._facts.layout)

    def kernel(self, counters: Counters) -> None:
        """Take the witness: what it says first stands for the begin."""
        if self._kernel is None:
            self._first = self._last = replace(self._first, kernel=counters)
        self._kernel = counters

    def notice(self, text: str) -> None:
        """Something about the session."""
        self._notices.say(text)

    def mark(self, now_ns: int, tally: Tally) -> None:
        """Show what this interval brought."""
        now = self._moment(now_ns, tally)
        self._show("", self._last, now)
        if self._form == "table":
            self._output.write([""])
        self._last = now

    def end(self, outcome: Outcome) -> None:
        """Show the whole span."""
        tally = outcome.tally
        now = self._moment(self._first.mono_ns + outcome.span_ns, tally)
        self._show("total  " if self._last is not self._first else "", self._first, now)
        options = self._head.filters | outcome.filters.describe()
        # all kinds but one are refused: that nobody asked for
        asked = {name: count for name, count in tally.refused.items() if name in options}
        nothing = explain_nothing(replace(tally, refused=asked), options)
        for text in nothing + explain_lost(tally):
            self._notices.say(text)
        if self._form != "table":
            self._notices.say(closing(tally, outcome.span_ns))

    def _moment(self, now_ns: int, tally: Tally) -> Moment:
        table = self._counted if self._filtered else self._sent
        tallied = (tally.seen, tally.matched, tally.lost, tally.limited)
        return Moment(now_ns, table.copy(), self._told, self._kernel or {}, tallied)

    # --- forms ----------------------------------------------------------------

    def _show(self, headed: str, before: Moment, now: Moment) -> None:
        span_ns = now.mono_ns - before.mono_ns
        table_ = now.table.since(before.table)
        places = sorted(table_.packets.items(), key=lambda item: (-item[1], str(item[0])))
        drops = [(place, count) for place, count in places if not self._is_cookie(place)]
        proof = list(reconcile(minus(now.kernel, before.kernel), minus(now.told, before.told)))
        if self._form == "json":
            documents = [self._document(p, n, table_, now.mono_ns, span_ns) for p, n in drops]
            documents += [proof_document(one, self._facts.clock.iso(now.mono_ns)) for one in proof]
            self._output.write([json.dumps(document) for document in documents])
        elif self._form == "csv":
            documents = [self._document(p, n, table_, now.mono_ns, span_ns) for p, n in drops]
            self._output.write([_csv(document) for document in documents])
        else:
            how = probes(self._head, "syn_drop")
            lines = [headed + scope("drops", self._head, self._facts, now.mono_ns, span_ns, how)]
            lines += self._table(drops, table_, span_ns)
            lines += self._cookies(places)
            lines += proof_lines(proof)
            self._output.write([*lines, _closing(before, now)])

    def _is_cookie(self, place: Place) -> bool:
        return self._facts.answers[place.answer] == "cookie"

    def _table(self, drops: list[tuple[Place, int]], found: DropTable, span_ns: int) -> list[str]:
        several = len({place.netns for place, _ in drops}) > 1
        rows = []
        for place, count in drops:
            stage = self._facts.stages[place.stage]
            reason = f"{stage.upper()}: {self._facts.causes[place.cause]}"
            if self._facts.answers[place.answer] == "rst":
                reason += ", RST sent"
            row = ["tcp", reason, DECIDES[stage], self._owner(place, found), str(place.port)]
            row += [str(count), f"{_rate(count, span_ns):.1f}"]
            rows.append([*row, str(place.netns)] if several else row)
        return table([*HEADINGS, NETNS] if several else HEADINGS, rows)

    def _owner(self, place: Place, found: DropTable) -> str:
        process = self._facts.process(*found.owners.get(place, (0, 0)))
        return f"{escape(process.comm)}[{process.pid or '-'}]" if process else "-"

    def _cookies(self, places: list[tuple[Place, int]]) -> list[str]:
        sent = sum(count for place, count in places if self._is_cookie(place))
        return [f"cookies: {sent} SYNs answered with one, not dropped"] if sent else []

    def _document(
        self, place: Place, count: int, found: DropTable, now_ns: int, span_ns: int
    ) -> dict[str, object]:
        facts = self._facts
        process = facts.process(*found.owners.get(place, (0, 0)))
        stage, cause = facts.stages[place.stage], facts.causes[place.cause]
        return {
            "ts": facts.clock.iso(now_ns),
            "span_us": span_ns // 1000,
            "kind": "drop_summary",
            "layer": "tcp",
            "reason": cause,
            "stage": stage,
            "answer": facts.answers[place.answer],
            "location": DECIDES[stage],
            "pid": process.pid if process else None,
            "comm": process.comm if process else None,
            "netns": place.netns,
            "lport": place.port,
            "listener_cookie": f"{place.listener:x}" if place.listener else None,
            "count": count,
            "rate": round(_rate(count, span_ns), 3),
            "expected": False,
            "meaning": MEANINGS[cause],
        }


def _rate(count: int, span_ns: int) -> float:
    """Packets a second."""
    return count * 1e9 / span_ns if span_ns else 0.0


def _csv(document: dict[str, object]) -> str:
    text = io.StringIO()
    cells = (document[name] for name in CSV)
    csv.writer(text, lineterminator="").writerow(
        ["" if c is None else escape(c) if isinstance(c, str) else c for c in cells]
    )
    return text.getvalue()


def _closing(before: Moment, now: Moment) -> str:
    seen, matched, lost, limited = (a - b for a, b in zip(now.tally, before.tally, strict=True))
    tally = Tally(seen=seen, matched=matched)
    tally.lost_buffer, tally.limited_by_kind = {"all": lost}, {"all": limited}
    return closing(tally, now.mono_ns - before.mono_ns)
