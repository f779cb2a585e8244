"""Single attempts to connect, as event lines: those that failed, or took long."""

from __future__ import annotations

from dataclasses import replace

from tracer.flows.grouping import Grouping
from tracer.flows.handshakes import HandshakeTable
from tracer.flows.tally import Outcome
from tracer.views.columns import Facts
from tracer.views.events import EventView
from tracer.views.look import Look
from tracer.views.output import Notices, Output
from tracer.views.text import duration
from tracer.wire.head import Head
from tracer.wire.layout import Records


class AttemptsView(EventView):
    """Shows the attempts that the filters leave, and how many wait."""

    kinds = frozenset({"handshake"})

    def __init__(self, output: Output, notices: Notices, look: Look, color: bool = False) -> None:
        super().__init__(output, notices, look, color=color)
        self._sockets: Records | None = None

    def begin(self, facts: Facts, head: Head) -> None:
        """Say what is shown: of all kinds that are traced, this one."""
        self._layout = facts.layout
        super().begin(facts, replace(head, kinds=tuple(self.kinds)))

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
        super().end(outcome)
