"""What `record` shows while it keeps a session: how far it is, and the closing line."""

from __future__ import annotations

from tracer.flows.tally import Outcome, Tally
from tracer.views.base import View
from tracer.views.closing import closing, explain_lost, explain_nothing
from tracer.views.columns import Facts
from tracer.views.output import Notices
from tracer.wire.head import Head


class RecordView(View):
    """Looks at nothing but the counts."""

    wants_records = False
    gathers = False

    def __init__(self, notices: Notices, path: str | None) -> None:
        self._notices, self._path = notices, path
        self._options: dict[str, str] = {}

    def begin(self, facts: Facts, head: Head) -> None:
        """Say where the session goes."""
        self._options = head.filters
        where = self._path or "standard output"
        self._notices.progress(f"recording to {where}; Ctrl-C ends it")

    def mark(self, now_ns: int, tally: Tally) -> None:
        """Ctrl-\\: how far it is."""
        self._notices.say(f"{tally.seen} seen, {tally.matched} kept, {tally.lost} lost so far")

    def notice(self, text: str) -> None:
        """Something about the session."""
        self._notices.say(text)

    def end(self, outcome: Outcome) -> None:
        """The closing line, and how to see what was kept."""
        for text in explain_nothing(outcome.tally, self._options) + explain_lost(outcome.tally):
            self._notices.say(text)
        self._notices.say(closing(outcome.tally, outcome.span_ns))
        if self._path:
            self._notices.say(f"kept in {self._path}; see it: tcptrace events -r {self._path}")
