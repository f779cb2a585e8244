"""Events as they happen: lines, JSON or CSV, in time order over all CPUs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from tracer.attribution.names import Names
from tracer.flows.tally import Lost, Outcome
from tracer.views import lines, markdown, stack_words
from tracer.views.base import View
from tracer.views.closing import closing, explain_lost, explain_nothing
from tracer.views.columns import EVENTS, Facts, csv_header, document, rows
from tracer.views.look import TABLES, Look
from tracer.views.output import Notices, Output
from tracer.views.tables import Column
from tracer.views.text import escape
from tracer.wire.batch import Batch
from tracer.wire.head import Head

PATIENCE_S = 0.05  # for names, a batch


class EventView(View):
    """Shows every record; after `count` of them it calls `enough`."""

    needs = ("records",)
    gathers = False
    name = "events"  # as it is typed
    line_columns: Sequence[Column[lines.Event]] = lines.COLUMNS

    def __init__(
        self,
        output: Output,
        notices: Notices,
        look: Look | None = None,
        count: int | None = None,
        color: bool = False,
        enough: Callable[[], None] = lambda: None,
    ) -> None:
        self._output, self._notices, self._look = output, notices, look or Look()
        self._look.check(self.line_columns, csv_header(list(EVENTS)))
        self._columns = self._look.choose(self.line_columns) if self._look.form in TABLES else []
        if self._look.delta:
            self._columns = [self._with_delta(column) for column in self._columns]
        self._color = color
        self._form, self._count = self._look.form, count
        self._shown, self._enough = 0, enough
        self._stacks_lost = 0
        self._before_ns: int | None = None  # when the line before was
        self._facts: Facts
        self._options: dict[str, str] = {}

    def begin(self, facts: Facts, head: Head) -> None:
        """Say once what every line leaves out: date, zone, host, filters."""
        self._facts = facts
        facts.names = Names() if self._look.names else None
        facts.calls.show(self._look.stacks, head, self.notice)
        self._options = head.filters
        self._kinds = [kind for kind in EVENTS if kind in head.kinds]
        self._members = self._look.columns or csv_header(self._kinds)
        titles = [column.title for column in self._columns]
        first = _scope(self.name, facts, head)
        if self._form == "md":
            headings = [(title, True) for title in titles]
            self._output.write([markdown.preformatted(first), "", *markdown.table(headings, [])])
        elif self._look.header:
            if self._form == "csv":
                self._output.write([",".join(self._members)])
            elif self._form == "table":
                self._output.write([first, lines.join(titles, self._columns)])
        elif self._form == "table":
            self._output.write([first])

    def batch(self, batch: Batch) -> None:
        """Show one batch. A task record names a process from its own moment on."""
        if self._count is not None and self._shown >= self._count:
            return
        if self._facts.names:
            self._facts.names.allow(PATIENCE_S)
        self._stacks_lost += self._facts.calls.lost(batch, self._facts.layout)
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
        if self._form in TABLES:
            event = lines.Event(kind, row, self._facts)
            return self._with_stack(event, [column.cell(event) for column in self._columns])
        values = document(kind, row, self._facts)
        if self._form == "json":
            return _json(values)
        return self._csv(values)

    def _with_stack(self, event: lines.Event, cells: list[str]) -> str:
        """The line, and the stack if it is asked for: below it, in Markdown at the row's end."""
        if event.kind != "drop" or not self._look.stacks:
            return self._line(cells)
        if self._form == "md":
            cells[-1] += f"  stack: {stack_words.within(event.row, self._facts)}"
            return self._line(cells)
        return "\n".join([self._line(cells), *stack_words.below(event.row, self._facts)])

    def _with_delta(self, column: Column[lines.Event]) -> Column[lines.Event]:
        if column.key != "time":
            return column
        return replace(
            column, title="DELTA", name="TIME", value=lambda event: self._time(event.row.mono_ns)
        )

    def _time(self, mono_ns: int) -> str:
        """The time of day; with --delta, since the line before, as tcpdump -ttt has it."""
        if not self._look.delta:
            return self._facts.clock.time(mono_ns)
        since, self._before_ns = mono_ns - (self._before_ns or mono_ns), mono_ns
        seconds, rest = divmod(abs(since), 10**9)
        hours, minutes = seconds // 3600, seconds // 60 % 60
        sign = "-" if since < 0 else ""
        return f"{sign}{hours:02}:{minutes:02}:{seconds % 60:02}.{rest // 1000:06}"

    def _line(self, cells: Sequence[str]) -> str:
        if self._form == "md":
            return markdown.row([markdown.cell(cell) for cell in cells])
        return lines.join(cells, self._columns)

    def _csv(self, values: dict[str, object]) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="")
        writer.writerow([_cell(values.get(name)) for name in self._members])
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
            if self._form in TABLES:
                time = self._time(one.mono_ns)
                shown.append(self._lost_line(time, f"{one.count} {one.of} records ({one.why})"))
            else:
                shown.append(_json(values) if self._form == "json" else self._csv(values))
        self._output.write(shown)

    def _lost_line(self, time: str, text: str) -> str:
        """Whatever the columns: that something is missing is always told in full."""
        if self._form == "md":
            cells = [time, "lost", text][: len(self._columns)]
            cells[-1] = text
            return self._line([*cells, *["-"] * (len(self._columns) - len(cells))])
        line = f"{time} lost       {text}"
        return f"\x1b[1;31m{line}\x1b[0m" if self._color else line

    def notice(self, text: str) -> None:
        """Something about the session, beside the results."""
        self._notices.say(text)

    def end(self, outcome: Outcome) -> None:
        """The closing line, and why if something was lost or nothing matched."""
        options = self._options | outcome.filters.describe()
        for text in explain_nothing(outcome.tally, options) + explain_lost(outcome.tally):
            self._notices.say(text)
        if self._stacks_lost:
            self._notices.say(
                f"{self._stacks_lost} stacks were not kept: there was no room for more of them"
            )
        self._notices.say(closing(outcome.tally, outcome.span_ns))


def _json(values: dict[str, object]) -> str:
    return json.dumps(values, separators=(",", ":"), ensure_ascii=True)


def _cell(value: object) -> object:
    """A value as CSV shows it: a row stays one line, whatever a process calls itself."""
    if value is None:
        return ""
    if isinstance(value, list):
        return ";".join(map(escape, value))
    if isinstance(value, dict):
        return ";".join(f"{name}={part}" for name, part in value.items())
    return escape(value) if isinstance(value, str) else value


def _scope(name: str, facts: Facts, head: Head) -> str:
    filters = " ".join(head.filters.values()) or "none"
    moment = facts.clock.date(head.started_ns)
    where = escape(f"{head.host}  {head.kernel}")
    return f"{name}  {where}  {moment}  filter: {escape(filters)}"
