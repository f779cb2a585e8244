"""`drops`: what was thrown away, by listeners and elsewhere, beside the kernel's own counters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracer.errors import TracerError
from tracer.flows.devices import Devices
from tracer.flows.drops import DropTable, Reading, explained, minus, reconcile
from tracer.flows.grouping import Numbers
from tracer.flows.packets import PacketTable
from tracer.flows.tally import Outcome
from tracer.views import drop_rows, drop_words, stack_words
from tracer.views.captured import Captured
from tracer.views.closing import explain_lost, explain_nothing
from tracer.views.drop_groups import label, needs_records
from tracer.views.drop_table import COLUMNS, SUMS, Group, Row, grouped
from tracer.views.keys import By, columns
from tracer.views.look import Look
from tracer.views.output import Notices, Output
from tracer.views.reconciled import gone_lines, proof_document, proof_lines
from tracer.views.scope import probes
from tracer.views.summary import Block, Document, SummaryView
from tracer.views.tables import Column, Part, Table
from tracer.wire.batch import Batch
from tracer.wire.layout import Records

Counters = dict[int, dict[str, int]]
SYN, PACKETS = "syn_drop", "drop"
BOTH = frozenset({SYN, PACKETS})
COUNTS = {"drops", "packets"}  # what a recording keeps of them; a part of one has records alone


@dataclass(frozen=True)
class Moment:
    """How things stood: what is shown is the difference of two."""

    listeners: DropTable
    packets: PacketTable
    told: Counters
    kernel: Reading
    devices: Devices


class DropsView(SummaryView):
    """What was dropped, by place and reason, and what the kernel counted meanwhile.

    `parts` are the kinds it shows; with `expected`, what is harmless too; `captured` keeps the
    packets' headers.
    """

    command = "drops"
    kind = "drop_summary"
    needs = ("drops", "packets", "records")

    def __init__(
        self,
        output: Output,
        notices: Notices,
        look: Look | None = None,
        by: By | None = None,
        parts: frozenset[str] = BOTH,
        expected: bool = False,
        captured: Captured | None = None,
    ) -> None:
        self._by, self._expected, self._captured = by, expected, captured
        self.kinds = parts
        self.may_lack = parts if len(parts) > 1 else frozenset()
        self._of_record = by is not None and needs_records(by)
        super().__init__(output, notices, look)

    def start(self) -> None:
        """Begin to gather. Errors: TracerError where --by asks for what counts do not tell."""
        if self._of_record and "records" not in self.head.keeps:
            raise TracerError(
                "this recording keeps counts of drops only; what --by asks for needs records",
                "keep them with: tcptrace drops -w FILE",
            )
        if self._captured is not None:
            self._captured.open()
        self.facts.calls.show(self.look.stacks, self.head, self.notice)
        for kind in sorted(self.kinds - set(self.head.kinds)):
            self.notice(f"this recording keeps no {kind} records: {drop_words.LACKS[kind]}")
        self._numbers = Numbers(self._by.grouping()) if self._by and self._of_record else None
        self._sent = DropTable(self._numbers), PacketTable(self._numbers)
        self._counted = DropTable(), PacketTable()
        self._filtered = True
        self._told: Counters = {}
        self._kernel: Reading | None = None
        self._first = self._last = Moment(
            DropTable(), PacketTable(), {}, Reading({}, {}), Devices()
        )
        self._devices: Devices | None = None

    def gather(self, batch: Batch) -> None:
        """Drops as they were sent, for where the counts do not tell enough."""
        if SYN in batch.kinds:
            self._sent[0].add(batch.kinds[SYN])
        if PACKETS in batch.kinds:
            self._sent[1].add(batch.kinds[PACKETS])
            if self._captured is not None:
                self._captured.add(batch.kinds[PACKETS], self.facts)

    def drops(self, pairs: Records, filtered: bool) -> None:
        """Take the kernel's own counts of listeners, which cover the session so far.

        Errors: TracerError where a filter is to be applied to counts alone.
        """
        self._take_filtered(filtered)
        self._counted[0].set_counts(pairs[pairs["key"]["matched"] > 0])
        self._told = explained(pairs, self.facts.layout)

    def packets(self, pairs: Records, rest: NDArray[np.uint64], filtered: bool) -> None:
        """Likewise of what was dropped elsewhere."""
        self._take_filtered(filtered)
        self._counted[1].set_counts(pairs, rest)

    def _take_filtered(self, filtered: bool) -> None:
        if not filtered and "records" not in self.head.keeps:
            raise TracerError(
                "this recording keeps counts of drops only; a filter needs records",
                "keep them with: tcptrace drops -w FILE",
            )
        self._filtered = filtered

    def kernel(self, counters: Counters) -> None:
        """Take the witness: what it says first stands for the begin."""
        reading = Reading(counters, {})
        if self._kernel is None:
            self._first = self._last = replace(self._first, kernel=reading)
        self._kernel = reading

    def devices(self, found: Devices) -> None:
        """What is lost before there is a packet; the first stands for the begin."""
        if self._devices is None:
            self._first = self._last = replace(self._first, devices=found)
        self._devices = found

    def edge(self, moved: Counters) -> None:
        """What the witness cannot place."""
        if self._kernel is not None:
            self._kernel.edge.update(moved)

    def turn(self) -> None:
        """The next interval counts from here."""
        self._last = self._now()

    def _now(self) -> Moment:
        whole = self._filtered and not self._of_record and COUNTS & set(self.head.keeps)
        listeners, packets = self._counted if whole else self._sent
        kernel = self._kernel or self._first.kernel
        devices = self._devices or self._first.devices
        return Moment(listeners.copy(), packets.copy(), self._told, kernel, devices)

    def _before(self, block: Block) -> Moment:
        return self._first if block.total else self._last

    def afterwards(self, outcome: Outcome) -> list[str]:
        """Say why nothing matched; all kinds but these are refused, which nobody asked for."""
        tally, options = outcome.tally, self.options(outcome)
        asked = {name: count for name, count in tally.refused.items() if name in options}
        kept = self._captured.close() if self._captured is not None else []
        asked_for = replace(tally, refused=asked)
        return [*kept, *explain_nothing(asked_for, options), *explain_lost(tally)]

    # --- forms ----------------------------------------------------------------

    def how(self) -> str:
        """What sees the drops, and what is left out."""
        seen = probes(self.head, *(kind for kind in (SYN, PACKETS) if kind in self._shown_kinds))
        hides = PACKETS in self._shown_kinds and not self._expected
        return seen + ("; expected ones hidden (--all)" if hides else "")

    @property
    def _shown_kinds(self) -> frozenset[str]:
        return self.kinds & set(self.head.kinds)

    def shown(self) -> Sequence[Column[Any]]:
        """Where, why, whose, how many; NETNS is left out where there is one."""
        if self._by is None:
            return COLUMNS
        return (*columns(self._by.words, lambda row: row.key), *SUMS)

    def _rows(self, block: Block) -> tuple[list[Row], int]:
        """What is shown, the worst first, and how many packets are hidden as expected ones."""
        now, before = self._now(), self._before(block)
        listeners = now.listeners.since(before.listeners)
        packets = now.packets.since(before.packets)
        found: list[Row] = []
        if SYN in self._shown_kinds:
            found += drop_rows.of_listeners(listeners, self.facts, block.span_ns)
        if PACKETS in self._shown_kinds:
            alone = SYN not in self._shown_kinds
            found += drop_rows.of_packets(packets, self.facts, block.span_ns, alone)
        kept = [row for row in found if self._expected or not row.expected]
        hidden = sum(row.count for row in found) - sum(row.count for row in kept)
        return sorted(kept, key=lambda row: (-row.count, drop_words.order(row))), hidden

    def parts(self, block: Block) -> list[Part]:
        """Places, the worst first, what their reasons mean, and what is not among them."""
        found, hidden = self._rows(block)
        after = [*drop_words.hidden(hidden), *self._cookies(block)]
        if self._by is not None:
            groups, more = self.chosen(grouped(found, label(self._by, self.facts, self._numbers)))
            return [
                self._with_stacks(self.table(groups)),
                *more,
                *self._unsent(block, found, hidden),
                *after,
            ]
        rows, more = self.chosen(found)
        table = self._with_stacks(self.table(rows))
        if not self.look.columns and len({row.netns for row in found}) < 2:
            table = replace(table, columns=[c for c in table.columns if c.title != "NETNS"])
        return [table, *more, *drop_words.meanings(rows), *after]

    def _with_stacks(self, table: Table[Any]) -> Table[Any]:
        if not self.facts.calls.shown:
            return table
        counted, facts = stack_words.counted, self.facts
        return replace(table, below=lambda row: stack_words.below_row(counted(row.stacks, facts)))

    def _unsent(self, block: Block, found: list[Row], hidden: int) -> list[str]:
        """Too many at once are counted, and only some of them sent."""
        if not (block.total and self._of_record and self._filtered):
            return []
        listeners, packets = self._counted
        alone = SYN not in self._shown_kinds
        counted = [
            *drop_rows.of_listeners(listeners, self.facts, 0),
            *drop_rows.of_packets(packets, self.facts, 0, alone),
        ]
        missing = sum(row.count for row in counted) - sum(row.count for row in found) - hidden
        told = f"{missing} more were counted, not sent: whose is not known"
        return [told] if missing > 0 else []

    def documents(self, block: Block) -> list[Document]:
        """A record for each place."""
        rows, _ = self._rows(block)
        if self._by is None:
            return [drop_words.document(row, self.facts) for row in self.chosen(rows)[0]]
        groups, _ = self.chosen(grouped(rows, label(self._by, self.facts, self._numbers)))
        return [self._group_document(group, self._by) for group in groups]

    def _group_document(self, group: Group, by: By) -> Document:
        found: Document = dict.fromkeys(drop_words.MEMBERS)
        found |= {"count": group.count, "rate": round(group.rate, 3), "expected": group.expected}
        found |= dict(zip(by.words, group.key, strict=True))
        found["stacks"] = drop_words.stacks(group, self.facts)
        if "listener" in by.words:
            found["listener_cookie"] = found.pop("listener")
        if found["reason"]:
            found["meaning"] = drop_words.meaning(found["reason"])
        return found

    def proof(self, block: Block) -> tuple[list[str], list[Document]]:
        """What devices and the kernel counted in the block, beside what is explained."""
        before, now = self._before(block), self._now()
        moment = self.facts.clock.iso(block.now_ns)
        lines: list[str] = []
        documents: list[Document] = []
        if PACKETS in self._shown_kinds and self._devices is not None:
            lost = now.devices.since(before.devices)
            lines += drop_words.beside(lost, now.devices)
            documents += [drop_words.lost_document(one, moment) for one in lost]
        if SYN in self._shown_kinds:
            told = minus(now.told, before.told)
            kernel, edge = now.kernel.since(before.kernel)
            proof = list(reconcile(kernel, told, edge=edge))
            gone = gone_lines(now.kernel.counters, told, self.head.netns) if self._kernel else []
            lines += [*proof_lines(proof), *gone]
            documents += [proof_document(one, moment) for one in proof]
        return lines, documents

    def columns(self) -> Sequence[str]:
        """The members of a record."""
        words = self._by.words if self._by else ()
        return tuple(dict.fromkeys((*drop_words.MEMBERS, *(w for w in words if w != "listener"))))

    def cells(self, document: Document) -> Document:
        """A record's cells by name: its stacks are one."""
        return document | {"stacks": stack_words.cell(document["stacks"])}

    def _cookies(self, block: Block) -> list[str]:
        found = self._now().listeners.since(self._before(block).listeners)
        answers = self.facts.answers
        sent = sum(n for p, n in found.packets.items() if answers[p.answer] == "cookie")
        return [f"cookies: {sent} SYNs answered with one, not dropped"] if sent else []
