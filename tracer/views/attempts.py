"""Single attempts to connect, as event lines: those that failed, or took long."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tracer.flows.grouping import Grouping
from tracer.flows.handshakes import HandshakeTable
from tracer.flows.tally import Outcome
from tracer.views.columns import Facts
from tracer.views.events import EventView
from tracer.views.handshake_words import WELL
from tracer.views.look import Look
from tracer.views.output import Notices, Output
from tracer.views.text import duration
from tracer.wire.batch import Batch
from tracer.wire.head import Head
from tracer.wire.layout import Records


class AttemptsView(EventView):
    """Shows the attempts that failed, took `slower_ns` or longer, or both; how many wait."""

    kinds = frozenset({"handshake"})

    def __init__(
        self,
        output: Output,
        notices: Notices,
        look: Look,
        failed: bool,
        slower_ns: int | None,
        color: bool = False,
    ) -> None:
        super().__init__(output, notices, look, color=color)
        self._failed, self._slower_ns = failed, slower_ns
        self._left_out = {"FAILED": 0, "SLOWER": 0}
        self._sockets: Records | None = None

    def begin(self, facts: Facts, head: Head) -> None:
        """Say what is shown: of all kinds that are traced, this one."""
        self._layout = facts.layout
        super().begin(facts, replace(head, kinds=tuple(self.kinds)))

    def batch(self, batch: Batch) -> None:
        """Show what of one batch is asked for."""
        kinds = dict(batch.kinds)
        if "handshake" in kinds:
            kinds["handshake"] = self._asked(kinds["handshake"])
        kinds = {kind: records for kind, records in kinds.items() if len(records)}
        if kinds:
            super().batch(Batch(kinds))

    def _asked(self, records: Records) -> Records:
        asked = np.ones(len(records), np.bool_)
        if self._failed:
            asked &= records["outcome"] != self._layout.enums["outcome"][WELL]
            self._left_out["FAILED"] += int((~asked).sum())
        if self._slower_ns is not None:
            slow = (records["latency_from"] != 0) & (records["latency_ns"] >= self._slower_ns)
            self._left_out["SLOWER"] += int((asked & ~slow).sum())
            asked &= slow
        return records[asked]

    def sockets(self, rows: Records) -> None:
        """Take the latest pass over the sockets."""
        self._sockets = rows

    def end(self, outcome: Outcome) -> None:
        """The closing line, of what is shown; before it, what still waits."""
        pending = HandshakeTable(self._layout, Grouping()).pending(self._sockets)
        if len(pending.ages_ns):
            oldest = int(pending.ages_ns.argmax())
            bound = "" if pending.exact[oldest] else ">="
            age = bound + duration(int(pending.ages_ns[oldest])) if pending.ages_ns[oldest] else "-"
            self._notices.say(f"now waiting: {len(pending.ages_ns)}, oldest {age}")
        tally = outcome.tally
        left_out = {name: count for name, count in self._left_out.items() if count}
        self._options |= {"FAILED": "--failed"}
        if self._slower_ns is not None:
            self._options |= {"SLOWER": f"--slower {duration(self._slower_ns)}"}
        shown = replace(
            tally,
            matched=tally.matched - sum(left_out.values()),
            refused=tally.refused | left_out,
        )
        super().end(replace(outcome, tally=shown))
