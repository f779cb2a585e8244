"""`drops`: what listeners threw away, by cause, beside the kernel's own counters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tracer.errors import TracerError
from tracer.flows.drops import DropTable, Place, Reading, explained, minus, reconcile
from tracer.flows.grouping import AT, PLACE, Numbers
from tracer.flows.tally import Outcome
from tracer.views.closing import explain_lost, explain_nothing
from tracer.views.drop_table import COLUMNS, DECIDES, SUMS, Group, Row
from tracer.views.keys import OF_OWNER, By, columns
from tracer.views.look import Look
from tracer.views.output import Notices, Output
from tracer.views.reconciled import gone_lines, proof_document, proof_lines
from tracer.views.scope import probes
from tracer.views.summary import Block, Document, SummaryView
from tracer.views.tables import Column, Part
from tracer.views.text import escape
from tracer.wire.batch import Batch
from tracer.wire.layout import Records

MEANINGS = {
    "accept_queue_full": "finished connections wait for accept() up to the listener's limit",
    "syn_queue_full": "half-open connections up to the listener's limit, cookies off",
    "syn_queue_reserve": "the last quarter of tcp_max_syn_backlog is kept for known peers",
    "memory": "no memory for the request",
    "route": "no way back to the peer",
    "lsm": "a security module refused it",
    "other": "no memory, or a security module; the kernel's counters do not say which",
}
MEMBERS = (
    *("layer", "reason", "stage", "answer", "location", "pid", "comm", "netns", "lport"),
    *("listener_cookie", "count", "rate", "expected", "meaning"),
)

Counters = dict[int, dict[str, int]]


@dataclass(frozen=True)
class Moment:
    """How things stood: what is shown is the difference of two."""

    table: DropTable
    told: Counters
    kernel: Reading


OF_PLACE = ("reason", "stage", "answer", "listener", "netns", "lport")  # counts tell these


class DropsView(SummaryView):
    """What was dropped, by place and cause, and what the kernel counted meanwhile."""

    command = "drops"
    kind = "drop_summary"
    kinds = frozenset({"syn_drop"})
    needs = ("drops", "records")

    def __init__(
        self, output: Output, notices: Notices, look: Look | None = None, by: By | None = None
    ) -> None:
        self._by = by
        self._of_record = by is not None and needs_records(by)
        super().__init__(output, notices, look)

    def start(self) -> None:
        """Begin to gather. Errors: TracerError where --by asks for what counts do not tell."""
        if self._of_record and "records" not in self.head.keeps:
            raise TracerError(
                "this recording keeps counts of drops only; what --by asks for needs records",
                "keep them with: tcptrace drops --syn -w FILE",
            )
        self._numbers = Numbers(self._by.grouping()) if self._by and self._of_record else None
        self._sent, self._counted = DropTable(self._numbers), DropTable()
        self._filtered = True
        self._told: Counters = {}
        self._kernel: Reading | None = None
        self._first = self._last = Moment(DropTable(), {}, Reading({}, {}))

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
        reading = Reading(counters, {})
        if self._kernel is None:
            self._first = self._last = replace(self._first, kernel=reading)
        self._kernel = reading

    def edge(self, moved: Counters) -> None:
        """What the witness cannot place."""
        if self._kernel is not None:
            self._kernel.edge.update(moved)

    def turn(self) -> None:
        """The next interval counts from here."""
        self._last = self._now()

    def _now(self) -> Moment:
        table = self._sent if self._of_record or not self._filtered else self._counted
        return Moment(table.copy(), self._told, self._kernel or self._first.kernel)

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

    def shown(self) -> Sequence[Column[Any]]:
        """Where, why, whose, how many; NETNS is left out where there is one."""
        if self._by is None:
            return COLUMNS
        return (*columns(self._by.words, lambda row: row.key), *SUMS)

    def _all(self, block: Block) -> list[Row]:
        found = self._now().table.since(self._before(block).table)
        places = sorted(found.packets.items(), key=lambda item: (-item[1], str(item[0])))
        return [self._row(place, count, found, block.span_ns) for place, count in places]

    def parts(self, block: Block) -> list[Part]:
        """Places, the worst first; cookies are none."""
        found = self._all(block)
        drops = [row for row in found if not self._is_cookie(row.place)]
        if self._by is not None:
            groups, more = self.chosen(self._groups(drops, self._by))
            return [self.table(groups), *more, *self._unsent(block), *self._cookies(found)]
        rows, more = self.chosen(drops)
        table = self.table(rows)
        if not self.look.columns and len({row.place.netns for row in drops}) < 2:
            table = replace(table, columns=[c for c in table.columns if c.title != "NETNS"])
        return [table, *more, *self._cookies(found)]

    def _groups(self, rows: list[Row], by: By) -> list[Group]:
        """Rows put together by what --by asks for, the worst first."""
        label, sums = self._label(by), dict[tuple[object, ...], tuple[int, float]]()
        for row in rows:
            key = label(row)
            count, rate = sums.get(key, (0, 0.0))
            sums[key] = count + row.count, rate + row.rate
        found = [Group(key, *values) for key, values in sums.items()]
        return sorted(found, key=lambda group: (-group.count, str(group.key)))

    def _label(self, by: By) -> Callable[[Row], tuple[object, ...]]:
        facts = self.facts
        makers: dict[str, Callable[[Place], object]] = {
            "reason": lambda place: facts.causes[place.cause],
            "stage": lambda place: facts.stages[place.stage],
            "answer": lambda place: facts.answers[place.answer],
            "listener": lambda place: f"{place.listener:x}" if place.listener else None,
        }
        label = by.label(facts)

        def name(row: Row) -> tuple[object, ...]:
            place = row.place
            if self._numbers is not None:
                spot = list(self._numbers.places[place.group])
            else:
                spot = [0] * len(PLACE)
                spot[AT["pid"]], spot[AT["start"]] = row.owner
                spot[AT["netns"]], spot[AT["lport"]] = place.netns, place.port
            told = label(spot)
            return tuple(
                makers[word](place) if word in makers else value
                for word, value in zip(by.words, told, strict=True)
            )

        return name

    def _unsent(self, block: Block) -> list[str]:
        """Too many at once are counted, and only some of them sent."""
        if not (block.total and self._of_record and self._filtered):
            return []
        tables = (self._counted, self._sent)
        counted, sent = (
            sum(n for place, n in table.packets.items() if not self._is_cookie(place))
            for table in tables
        )
        return [f"{counted - sent} more were counted, not sent: whose is not known"] * (
            counted > sent
        )

    def documents(self, block: Block) -> list[Document]:
        """A record for each place."""
        drops = [row for row in self._all(block) if not self._is_cookie(row.place)]
        if self._by is None:
            return [self._document(row) for row in self.chosen(drops)[0]]
        groups, _ = self.chosen(self._groups(drops, self._by))
        return [self._group_document(group, self._by) for group in groups]

    def _group_document(self, group: Group, by: By) -> Document:
        found: Document = dict.fromkeys(MEMBERS)
        found |= {"count": group.count, "rate": round(group.rate, 3), "expected": False}
        found |= dict(zip(by.words, group.key, strict=True))
        if "listener" in by.words:
            found["listener_cookie"] = found.pop("listener")
        if found["reason"]:
            found["meaning"] = MEANINGS[found["reason"]]
        return found

    def proof(self, block: Block) -> tuple[list[str], list[Document]]:
        """What the kernel counted in the block, beside what is explained."""
        before, now = self._before(block), self._now()
        told = minus(now.told, before.told)
        kernel, edge = now.kernel.since(before.kernel)
        proof = list(reconcile(kernel, told, edge=edge))
        moment = self.facts.clock.iso(block.now_ns)
        gone = gone_lines(now.kernel.counters, told, self.head.netns) if self._kernel else []
        return [*proof_lines(proof), *gone], [proof_document(one, moment) for one in proof]

    def columns(self) -> Sequence[str]:
        """The members of a record."""
        words = self._by.words if self._by else ()
        return tuple(dict.fromkeys((*MEMBERS, *(w for w in words if w != "listener"))))

    def _is_cookie(self, place: Place) -> bool:
        return self.facts.answers[place.answer] == "cookie"

    def _row(self, place: Place, count: int, found: DropTable, span_ns: int) -> Row:
        stage = self.facts.stages[place.stage]
        reason = f"{stage.upper()}: {self.facts.causes[place.cause]}"
        if self.facts.answers[place.answer] == "rst":
            reason += ", RST sent"
        owner = found.owners.get(place, (0, 0))
        process = self.facts.process(*owner)
        name = f"{escape(process.comm)}[{process.pid or '-'}]" if process else None
        return Row(place, stage, reason, owner, name, count, _rate(count, span_ns))

    def _cookies(self, rows: list[Row]) -> list[str]:
        sent = sum(row.count for row in rows if self._is_cookie(row.place))
        return [f"cookies: {sent} SYNs answered with one, not dropped"] if sent else []

    def _document(self, row: Row) -> Document:
        facts, place = self.facts, row.place
        process, cause = facts.process(*row.owner), facts.causes[place.cause]
        return {
            "layer": "tcp",
            "reason": cause,
            "stage": row.stage,
            "answer": facts.answers[place.answer],
            "location": DECIDES[row.stage],
            "pid": process.pid if process else None,
            "comm": process.comm if process else None,
            "netns": place.netns,
            "lport": place.port,
            "listener_cookie": f"{place.listener:x}" if place.listener else None,
            "count": row.count,
            "rate": round(row.rate, 3),
            "expected": False,
            "meaning": MEANINGS[cause],
        }


def needs_records(by: By) -> bool:
    """Whether counts do not tell what --by asks for."""
    return not set(by.words) <= {*OF_PLACE, *OF_OWNER}


def _rate(count: int, span_ns: int) -> float:
    """Packets a second."""
    return count * 1e9 / span_ns if span_ns else 0.0
