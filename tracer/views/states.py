"""`states`: sockets by state and process, transitions, and the time spent in each state."""

from __future__ import annotations

import csv
import io
import json

from tracer.attribution.cgroups import container_of
from tracer.flows.ownership import Holding, holdings
from tracer.flows.tally import Outcome, Tally
from tracer.flows.transitions import Spread, TransitionTable
from tracer.views.base import View
from tracer.views.closing import Proofs, closing, explain_lost, explain_nothing
from tracer.views.columns import Facts
from tracer.views.output import Notices, Output
from tracer.views.scope import probes, scope
from tracer.views.spreads import percentiles, quantile
from tracer.views.tables import Heading, table
from tracer.views.text import duration, escape
from tracer.wire.batch import Batch
from tracer.wire.head import Head
from tracer.wire.layout import Records

SHOWN = ("ESTABLISHED", "SYN_SENT", "CLOSE_WAIT", "LISTEN", "TIME_WAIT")
# whose oldest socket tells most: the first of these that a process has
TELLING = ("CLOSE_WAIT", "SYN_SENT", "LAST_ACK", "FIN_WAIT1", "CLOSING", "FIN_WAIT2", "ESTABLISHED")
HEADINGS = (
    Heading("PID"),
    Heading("PROCESS", words=True),
    Heading("ESTAB"),
    Heading("SYN_SENT"),
    Heading("CLOSE_WAIT"),
    Heading("LISTEN"),
    Heading("OTHER"),
    Heading("TIME_WAIT"),
    Heading("OPENED"),
    Heading("CLOSED"),
    Heading("FAILED"),
    Heading("OLDEST", words=True),
)
TRANSITIONS = (
    Heading("TRANSITION", words=True),
    Heading("COUNT"),
    Heading("IN FIRST STATE: p50"),
    Heading("p99"),
    Heading("max"),
)


class StatesView(View):
    """A block at each mark, and one for the whole at the end."""

    def __init__(self, output: Output, notices: Notices, form: str = "table") -> None:
        self._output, self._notices, self._form = output, notices, form
        self._sockets: Records | None = None
        self._marks = 0
        self._facts: Facts
        self._head: Head

    def begin(self, facts: Facts, head: Head) -> None:
        """Start to gather."""
        self._facts, self._head = facts, head
        self.table = TransitionTable(facts.layout)
        self._before = TransitionTable(facts.layout)
        self._proofs = Proofs()
        self._began_ns = self._mark_ns = head.started_ns
        if self._form == "csv":
            self._output.write([",".join(self._csv_header())])

    def batch(self, batch: Batch) -> None:
        """Count a batch: nothing here is done once an event."""
        for task in batch.kinds.get("task", ()):
            self._facts.processes.add_event(task)
        if "state" in batch.kinds:
            self.table.add(batch.kinds["state"])

    def counts(self, keys: Records, values: Records) -> None:
        """Take the kernel's own counts, which cover the session so far."""
        self.table.set_counts(keys, values)

    def sockets(self, rows: Records) -> None:
        """Take the latest pass over the sockets."""
        self._sockets = rows

    def notice(self, text: str) -> None:
        """Something about the session."""
        self._notices.say(text)

    def mark(self, now_ns: int, tally: Tally) -> None:
        """Show what this interval brought."""
        since = self.table.minus(self._before)
        self._show(
            since, now_ns, self._mark_ns, "", self._proofs.line(tally, now_ns - self._mark_ns)
        )
        self._before, self._mark_ns = self.table.copy(), now_ns
        self._marks += 1

    def end(self, outcome: Outcome) -> None:
        """Show the whole span."""
        now = self._began_ns + outcome.span_ns
        headed = "total  " if self._marks else ""
        tally = outcome.tally
        self._show(self.table, now, self._began_ns, headed, closing(tally, outcome.span_ns))
        options = self._head.filters | outcome.filters.describe()
        for text in explain_nothing(tally, options) + explain_lost(tally):
            self._notices.say(text)
        if self._form != "table":
            self._notices.say(closing(tally, outcome.span_ns))

    # --- forms ----------------------------------------------------------------

    def _show(
        self, counted: TransitionTable, now_ns: int, since_ns: int, headed: str, proof: str
    ) -> None:
        facts = self._facts
        found = holdings(self._sockets, counted, facts.layout)
        span = now_ns - since_ns
        if self._form == "json":
            self._output.write([json.dumps(self._document(h, now_ns, span)) for h in found])
        elif self._form == "csv":
            self._output.write([self._csv(h, now_ns, span) for h in found])
        else:
            how = probes(self._head, "state")
            lines = [headed + scope("states", self._head, facts, now_ns, span, how)]
            lines += table(HEADINGS, [self._row(h) for h in sorted(found, key=self._trouble)])
            rows = [self._transition(k, s) for k, s in _by_count(counted.transitions())]
            if rows:
                lines += table(TRANSITIONS, rows)
            self._output.write([*lines, proof, *([""] if self._head_is_live_block(headed) else [])])

    def _head_is_live_block(self, headed: str) -> bool:
        return not headed and self._marks > 0

    def _name(self, holding: Holding) -> tuple[int | None, str]:
        process = self._facts.process(holding.pid, holding.start)
        if process is None:
            owner = self._facts.owners.get(holding.owner_is, "unknown")
            return None, "(kernel)" if owner == "kernel" else "(unknown)"
        gone = "(exited) " if process.exited_ns else ""
        return process.pid, gone + escape(process.comm)

    def _trouble(self, holding: Holding) -> tuple[int, int]:
        names = self._facts.layout.enums["tcp_state"]
        waiting = holding.now.get(names["CLOSE_WAIT"], 0) + holding.now.get(names["SYN_SENT"], 0)
        return -waiting, -sum(holding.now.values())

    def _row(self, holding: Holding) -> list[str]:
        pid, name = self._name(holding)
        states = self._facts.layout.enums["tcp_state"]
        cells = [holding.now.get(states[state], 0) for state in SHOWN]
        other = sum(holding.now.values()) - sum(cells)
        shown = [str(cell) if cell else "-" for cell in (*cells[:4], other, cells[4])]
        counts = [str(count) for count in (holding.opened, holding.closed, holding.failed)]
        return [str(pid or "-"), name, *shown, *counts, self._oldest(holding)]

    def _oldest(self, holding: Holding) -> str:
        states = self._facts.layout.enums["tcp_state"]
        for name in TELLING:
            age = holding.oldest.get(states[name])
            if age:
                bound = "" if age[1] else ">="
                return f"{'ESTAB' if name == 'ESTABLISHED' else name} {bound}{duration(age[0])}"
        return "-"

    def _transition(self, key: tuple[int, int, int], spread: Spread) -> list[str]:
        old, new, timewait = key
        name = f"{self._facts.states[old]} -> {self._facts.states[timewait or new]}"
        if timewait == old:
            name += " (mini-socket)"
        most = "-"
        if spread.most_at_least > spread.most:
            most = f">={duration(spread.most_at_least)}"
        elif len(spread.weights):
            most = duration(spread.most)
        return [name, str(spread.count), quantile(spread, 0.5), quantile(spread, 0.99), most]

    def _document(self, holding: Holding, now_ns: int, span_ns: int) -> dict[str, object]:
        pid, _ = self._name(holding)
        process = self._facts.process(holding.pid, holding.start)
        path = self._facts.cgroups.get(process.cgroup_id) if process else None
        names = self._facts.states
        return {
            "ts": self._facts.clock.iso(now_ns),
            "span_us": span_ns // 1000,
            "kind": "state_summary",
            "pid": pid,
            "comm": process.comm if process else None,
            "container": container_of(path),
            "now": {names[state]: count for state, count in sorted(holding.now.items())},
            "oldest_us": {
                names[state]: age // 1000 for state, (age, _) in sorted(holding.oldest.items())
            },
            "transitions": [
                {
                    "old": names[old],
                    "new": names[new],
                    "timewait": names[timewait] if timewait else None,
                    "count": spread.count,
                    "dwell_us": percentiles(spread),
                }
                for (old, new, timewait), spread in holding.transitions.items()
            ],
            "opened": holding.opened,
            "closed": holding.closed,
            "failed": holding.failed,
        }

    def _csv_header(self) -> list[str]:
        states = [name for name in self._facts.layout.enums["tcp_state"] if name != "NONE"]
        return [
            "ts",
            "span_us",
            "kind",
            "pid",
            "comm",
            "container",
            *states,
            "opened",
            "closed",
            "failed",
        ]

    def _csv(self, holding: Holding, now_ns: int, span_ns: int) -> str:
        document = self._document(holding, now_ns, span_ns)
        now = document.pop("now")
        values = {**document, **now}  # type: ignore[dict-item]
        text = io.StringIO()
        cells = [values.get(name, 0) for name in self._csv_header()]
        csv.writer(text, lineterminator="").writerow(
            ["" if c is None else escape(c) if isinstance(c, str) else c for c in cells]
        )
        return text.getvalue()


def _by_count(
    found: dict[tuple[int, int, int], Spread],
) -> list[tuple[tuple[int, int, int], Spread]]:
    return sorted(found.items(), key=lambda item: -item[1].count)
