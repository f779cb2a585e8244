"""`advise`: what is wrong, by which numbers, what helps and what that costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tracer.advice.finding import Finding, is_at_least
from tracer.advice.rules import Advice, judge
from tracer.flows.devices import Devices
from tracer.flows.packet_filters import PacketFilters
from tracer.flows.tally import Outcome
from tracer.views import finding_lines
from tracer.views.advise_evidence import Gathered, Held
from tracer.views.closing import explain_lost
from tracer.views.summary import Block, Document, SummaryView
from tracer.views.tables import Part
from tracer.wire.batch import Batch
from tracer.wire.layout import Records
from tracer.wire.made import Made

MEMBERS = (
    *("id", "severity", "where", "title", "evidence", "meaning", "fix", "risk", "see"),
    *("pid", "comm", "netns"),
)


class AdviseView(SummaryView):
    """Findings at the end, the worst first, and what was looked at."""

    command = "advise"
    kind = "finding"
    needs: tuple[str, ...] = ("connections", "records")  # of a recording without looks: less
    kinds = frozenset({"accept", "handshake"})
    also = frozenset({"syn_drop", "drop", "reset", "error"})
    wants_sysctls = True
    wants_descriptors = True
    traces = True
    _advice = Advice((), (), ())  # until the end

    def start(self) -> None:
        """Begin to gather."""
        self._gathered = Gathered(self.facts, self.head, self.traces)
        if self.look.stacks and "made" not in self.head.keeps:
            self.notice(
                "this recording does not say where sockets were made; make one that does:"
                " tcptrace advise --stack -w FILE"
            )

    def fails(self, least: str) -> bool:
        """Whether there is a finding as bad as that, or worse."""
        return any(is_at_least(one.severity, least) for one in self._advice.findings)

    # --- what a session tells -------------------------------------------------

    def gather(self, batch: Batch) -> None:
        """Take a batch."""
        self._gathered.gather(batch)

    def sysctls(self, found: dict[int, dict[str, str]]) -> None:
        """Take the settings."""
        self._gathered.ports.sysctls(found)
        self._gathered.spaces.sysctls(found)

    def kernel(self, counters: dict[int, dict[str, int]]) -> None:
        """Take the kernel's own counters."""
        self._gathered.spaces.kernel(counters)

    def devices(self, found: Devices) -> None:
        """Take counters of devices and CPUs."""
        self._gathered.devices.add(found)

    def packet_filters(self, found: PacketFilters) -> None:
        """Take rules of packet filters, and their counters."""
        self._gathered.filters.add(found)

    def packets(self, pairs: Records, rest: NDArray[np.uint64], filtered: bool) -> None:
        """Take the counts of what was dropped, where they say what the filters say."""
        if filtered:
            self._gathered.filters.packets(pairs, rest)

    def all_sockets(self, rows: Records, chosen: NDArray[np.bool_]) -> None:
        """Take a pass over all sockets."""
        self._gathered.all_sockets(rows, chosen)

    def not_looked(self) -> None:
        """There was no last pass."""
        self._gathered.ports.not_looked()

    def tick(self, now_ns: int) -> None:
        """Passes from now on are of this moment."""
        self._gathered.ports.tick(now_ns)

    def connections(self, rows: Records, now_ns: int) -> None:
        """Take a pass over what is open."""
        self._gathered.connections(rows, now_ns)

    def listeners(self, rows: Records) -> None:
        """Take a look at listeners."""
        self._gathered.listeners(rows)

    def all_descriptors(self, found: Held) -> None:
        """Take how many descriptors processes have."""
        self._gathered.held(found)

    def made(self, found: Made) -> None:
        """Take where sockets were made, if that was asked for."""
        if self.look.stacks:
            self._gathered.made(found)

    def mark(self, now_ns: int, tally: object) -> None:
        """An interim summary: what there is to say so far would be of half a span."""

    def end(self, outcome: Outcome) -> None:
        """Judge, and show it."""
        self._advice = judge(self._gathered.evidence(outcome.span_ns))
        super().end(outcome)

    def afterwards(self, outcome: Outcome) -> list[str]:
        """What is no finding is none that a filter removed."""
        texts = [] if self._form == "table" else [self._looked_at()]
        return texts + explain_lost(outcome.tally)

    # --- forms ----------------------------------------------------------------

    def how(self) -> str:
        """How much was looked at."""
        advice = self._advice
        ran = len(advice.quiet) + len({one.id for one in advice.findings})
        return f"{ran} rules, {self._gathered.sockets} sockets"

    def parts(self, block: Block) -> list[Part]:
        """Findings, and what was looked at."""
        lines: list[Part] = []
        for one in self._advice.findings:
            lines += ["", *finding_lines.lines(one)]
        return [*lines, *([""] if lines else []), *finding_lines.wrapped("", self._looked_at(), 0)]

    def documents(self, block: Block) -> list[Document]:
        """A record for each."""
        return [_document(one) for one in self._advice.findings]

    def columns(self) -> Sequence[str]:
        """The members of a record."""
        return MEMBERS

    def cells(self, document: Document) -> Document:
        """Lists as one text."""
        told = document["evidence"]["text"]
        fix, see = ("; ".join(document[name]) for name in ("fix", "see"))
        return document | {"evidence": told, "fix": fix, "see": see}

    def _looked_at(self) -> str:
        advice = self._advice
        count = len(advice.findings)
        parts = [f"{count} finding{'' if count == 1 else 's'}"]
        if advice.quiet:
            parts.append(f"nothing wrong by: {', '.join(advice.quiet)}")
        if advice.blind:
            parts.append(f"not looked at: {', '.join(advice.blind)}")
        parts += [f"not looked at: {text}" for text in advice.unseen]
        if not self.traces:
            parts.append("one look knows nothing of what comes and goes: tcptrace advise -d 10")
        return "; ".join(parts)


def _document(one: Finding) -> Document:
    return {
        "id": one.id,
        "severity": one.severity,
        "where": one.where,
        "title": one.title,
        "evidence": one.numbers | {"text": one.shown},
        "meaning": one.meaning,
        "fix": list(one.fix),
        "risk": one.risk,
        "see": list(one.see),
        "pid": one.pid,
        "comm": one.comm,
        "netns": one.netns,
    }
