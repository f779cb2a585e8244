"""Events as they happen: lines, JSON or CSV, in time order over all CPUs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

from tracer.flows.tally import Lost, Outcome
from tracer.views import lines
from tracer.views.base import View
from tracer.views.closing import closing, explain_lost, explain_nothing
from tracer.views.columns import EVENTS, Facts, csv_header, document, rows
from tracer.views.output import Notices, Output
from tracer.views.text import escape
from tracer.wire.batch import Batch
from tracer.wire.head import Head


class EventView(View):
    """Shows every record. `form` is table, json or csv; after `count` it calls `enough`."""

    needs = ("records",)
    gathers = False

    def __init__(
        self,
        output: Output,
        notices: Notices,
        form: str = "table",
        count: int | None = None,
        color: bool = False,
        enough: Callable[[], None] = lambda: None,
    ) -> None:
        self._output, self._notices = output, notices
        self._color = color
        self._form, self._count = form, count
        self._shown, self._enough = 0, enough
        self._facts: Facts
        self._options: dict[str, str] = {}

    def begin(self, facts: Facts, head: Head) -> None:
        """Say once what every line leaves out: date, zone, host, filters."""
        self._facts = facts
        self._options = head.filters
        self._kinds = [kind for kind in EVENTS if kind in head.kinds]
        if self._form == "csv":
            self._output.write([",".join(csv_header(self._kinds))])
        elif self._form == "table":
            self._output.write([_scope(facts, head), lines.HEADER])

    def batch(self, batch: Batch) -> None:
        """Show one batch. A task record names a process from its own moment on."""
        if self._count is not None and self._shown >= self._count:
            return
        found = {kind: rows(records, kind) for kind, records in batch.kinds.items()}
        shown = []
        for kind, i in batch.order():
            if kind == "task":
                self._facts.processes.add_event(batch.kinds[kind][i])
                continue
            if kind == "syn_drop":
                self._facts.drops.add(found[kind][i])
            shown.append(self._show(kind, found[kind][i]))
            self._shown += 1
            if self._shown == self._count:
                self._enough()
                break
        self._output.write(shown)

    def _show(self, kind: str, row: object) -> str:
        if self._form == "table":
            return lines.line(kind, row, self._facts)
        values = document(kind, row, self._facts)
        if self._form == "json":
            return _json(values)
        return self._csv(values)

    def _csv(self, values: dict[str, object]) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="")
        writer.writerow([_cell(values.get(name)) for name in csv_header(self._kinds)])
        return text.getvalue()

    def lost(self, lost: list[Lost]) -> None:
        """Lost records are told among the others, whatever the filters."""
        shown = []
        for one in lost:
            values: dict[str, object] = {
                "ts": self._facts.clock.iso(one.mono_ns),
                "mono_ns": one.mono_ns,
                "kind": "lost",
                "count": one.count,
                "why": one.why,
                "of": one.of,
            }
            if self._form == "table":
                time = self._facts.clock.time(one.mono_ns)
                text = f"{time} lost      {one.count} {one.of} records ({one.why})"
                shown.append(f"\x1b[1;31m{text}\x1b[0m" if self._color else text)
            else:
                shown.append(_json(values) if self._form == "json" else self._csv(values))
        self._output.write(shown)

    def notice(self, text: str) -> None:
        """Something about the session, beside the results."""
        self._notices.say(text)

    def end(self, outcome: Outcome) -> None:
        """The closing line, and why if something was lost or nothing matched."""
        options = self._options | outcome.filters.describe()
        for text in explain_nothing(outcome.tally, options) + explain_lost(outcome.tally):
            self._notices.say(text)
        self._notices.say(closing(outcome.tally, outcome.span_ns))


def _json(values: dict[str, object]) -> str:
    return json.dumps(values, separators=(",", ":"), ensure_ascii=True)


def _cell(value: object) -> object:
    """A value as CSV shows it: a row stays one line, whatever a process calls itself."""
    if value is None:
        return ""
    return escape(value) if isinstance(value, str) else value


def _scope(facts: Facts, head: Head) -> str:
    filters = " ".join(head.filters.values()) or "none"
    moment = facts.clock.date(head.started_ns)
    where = escape(f"{head.host}  {head.kernel}")
    return f"events  {where}  {moment}  filter: {escape(filters)}"
