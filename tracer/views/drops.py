"""`drops`: what listeners threw away, by cause, beside the kernel's own counters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tracer.errors import TracerError
from tracer.flows.drops import DropTable, Place, explained, minus, reconcile
from tracer.flows.tally import Outcome
from tracer.views.closing import explain_lost, explain_nothing
from tracer.views.reconciled import gone_lines, proof_document, proof_lines
from tracer.views.scope import probes
from tracer.views.summary import Block, Document, SummaryView
from tracer.views.tables import Heading, limited, table
from tracer.views.text import escape
from tracer.wire.batch import Batch
from tracer.wire.layout import Records

HEADINGS = (
    Heading("WHERE", words=True, spare=3),
    Heading("REASON", words=True),
    Heading("AT", words=True, spare=2),
    Heading("OWNER", words=True),
    Heading("LPORT"),
    Heading("COUNT"),
    Heading("RATE/s", spare=1),
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
    "other": "no memory, or a security module; the kernel's counters do not say which",
}
COLUMNS = (
    *("layer", "reason", "stage", "answer", "location", "pid", "comm", "netns", "lport"),
    *("listener_cookie", "count", "rate", "expected", "meaning"),
)

Counters = dict[int, dict[str, int]]


@dataclass(frozen=True)
class Moment:
    """How things stood: what is shown is the difference of two."""

    table: DropTable
    told: Counters
    kernel: Counters


class DropsView(SummaryView):
    """What was dropped, by place and cause, and what the kernel counted meanwhile."""

    command = "drops"
    kind = "drop_summary"
    kinds = frozenset({"syn_drop"})
    needs = ("drops", "records")

    def start(self) -> None:
        """Begin to gather."""
        self._sent, self._counted = DropTable(), DropTable()
        self._filtered = True
        self._told: Counters = {}
        self._kernel: Counters | None = None
        self._first = self._last = Moment(DropTable(), {}, {})

    def gather(self, batch: Batch) -> None:
        """Drops as they were sent, for where the counts do not tell enough."""
        if "syn_drop" in batch.kinds:
            self._sent.add(batch.kinds["syn_drop"])

    def drops(self, pairs: Records, filtered: bool) -> None:
        """Take the kernel's own counts, which cover the session so far.

        Errors: TracerError where a filter is to be applied to counts alone.
        """
        if not filtered and "records" not in self.head.keeps:
            raise TracerError(
                "this recording keeps counts of drops only; a filter needs records",
                "keep them with: tcptrace drops --syn -w FILE",
            )
        self._filtered = filtered
        self._counted.set_counts(pairs[pairs["key"]["matched"] > 0])
        self._told = explained(pairs, self.facts.layout)

    def kernel(self, counters: Counters) -> None:
        """Take the witness: what it says first stands for the begin."""
        if self._kernel is None:
            self._first = self._last = replace(self._first, kernel=counters)
        self._kernel = counters

    def turn(self) -> None:
        """The next interval counts from here."""
        self._last = self._now()

    def _now(self) -> Moment:
        table = self._counted if self._filtered else self._sent
        return Moment(table.copy(), self._told, self._kernel or {})

    def _before(self, block: Block) -> Moment:
        return self._first if block.total else self._last

    def afterwards(self, outcome: Outcome) -> list[str]:
        """Say why nothing matched; all kinds but one are refused, which nobody asked for."""
        tally, options = outcome.tally, self.options(outcome)
        asked = {name: count for name, count in tally.refused.items() if name in options}
        return explain_nothing(replace(tally, refused=asked), options) + explain_lost(tally)

    # --- forms ----------------------------------------------------------------

    def how(self) -> str:
        """What sees the drops."""
        return probes(self.head, "syn_drop")

    def _found(self, block: Block) -> tuple[DropTable, list[tuple[Place, int]]]:
        found = self._now().table.since(self._before(block).table)
        places = sorted(found.packets.items(), key=lambda item: (-item[1], str(item[0])))
        return found, places

    def lines(self, block: Block) -> list[str]:
        """Places, the worst first; cookies are none."""
        found, places = self._found(block)
        drops = [(place, count) for place, count in places if not self._is_cookie(place)]
        return [*self._table(drops, found, block.span_ns), *self._cookies(places)]

    def documents(self, block: Block) -> list[Document]:
        """A record for each place."""
        found, places = self._found(block)
        return [
            self._document(place, count, found, block.span_ns)
            for place, count in places
            if not self._is_cookie(place)
        ]

    def proof(self, block: Block) -> tuple[list[str], list[Document]]:
        """What the kernel counted in the block, beside what is explained."""
        before, now = self._before(block), self._now()
        told = minus(now.told, before.told)
        proof = list(reconcile(minus(now.kernel, before.kernel), told))
        moment = self.facts.clock.iso(block.now_ns)
        gone = gone_lines(now.kernel, told, self.head.netns) if now.kernel else []
        return [*proof_lines(proof), *gone], [proof_document(one, moment) for one in proof]

    def columns(self) -> Sequence[str]:
        """The members of a record."""
        return COLUMNS

    def _is_cookie(self, place: Place) -> bool:
        return self.facts.answers[place.answer] == "cookie"

    def _table(self, drops: list[tuple[Place, int]], found: DropTable, span_ns: int) -> list[str]:
        several = len({place.netns for place, _ in drops}) > 1
        rows = []
        for place, count in drops:
            stage = self.facts.stages[place.stage]
            reason = f"{stage.upper()}: {self.facts.causes[place.cause]}"
            if self.facts.answers[place.answer] == "rst":
                reason += ", RST sent"
            row = ["tcp", reason, DECIDES[stage], self._owner(place, found), str(place.port)]
            row += [str(count), f"{_rate(count, span_ns):.1f}"]
            rows.append([*row, str(place.netns)] if several else row)
        shown, more = limited(rows, self.limit)
        return table([*HEADINGS, NETNS] if several else HEADINGS, shown, self.output.width) + more

    def _owner(self, place: Place, found: DropTable) -> str:
        process = self.facts.process(*found.owners.get(place, (0, 0)))
        return f"{escape(process.comm)}[{process.pid or '-'}]" if process else "-"

    def _cookies(self, places: list[tuple[Place, int]]) -> list[str]:
        sent = sum(count for place, count in places if self._is_cookie(place))
        return [f"cookies: {sent} SYNs answered with one, not dropped"] if sent else []

    def _document(self, place: Place, count: int, found: DropTable, span_ns: int) -> Document:
        facts = self.facts
        process = facts.process(*found.owners.get(place, (0, 0)))
        stage, cause = facts.stages[place.stage], facts.causes[place.cause]
        return {
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
