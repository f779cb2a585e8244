"""`accepts`: how long finished connections waited for accept(), and accepts that failed."""

from __future__ import annotations

import csv
import io
import json
from errno import EMFILE
from itertools import pairwise

from tracer.errors import TracerError
from tracer.flows.accepting import AcceptTable, Owner, Queue, Queues
from tracer.flows.histogram import DECADES, Histogram
from tracer.flows.tally import Outcome, Tally
from tracer.views.accept_rows import By, Row, Totals, failures, gather, process_name
from tracer.views.base import View
from tracer.views.closing import Proofs, closing, explain_lost, explain_nothing
from tracer.views.columns import Facts
from tracer.views.output import Notices, Output
from tracer.views.scope import probes, scope
from tracer.views.spreads import SHARES, percentiles, quantile
from tracer.views.tables import Heading, table
from tracer.views.text import duration, escape
from tracer.wire.batch import Batch
from tracer.wire.head import Head
from tracer.wire.layout import Records

BAR = 40  # characters of the longest bar
WAITS = ("count", "sum", "min", "p50", "p90", "p99", "p999", "max")
NUMBERS = ("ACCEPTS", "FAILED", "MEAN", "p50", "p90", "p99", "p99.9", "max")
ERRORS = ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "ECONNABORTED", "EPERM")


class AcceptsView(View):
    """A block at each mark, and one for the whole at the end."""

    needs = ("records",)
    kinds = frozenset({"accept"})

    def __init__(
        self,
        output: Output,
        notices: Notices,
        form: str = "table",
        by: By | None = None,
        limit: int = 0,
    ) -> None:
        self._output, self._notices, self._form = output, notices, form
        self._by, self._limit = by or By(), limit
        self._marks = 0
        self._facts: Facts
        self._head: Head

    def begin(self, facts: Facts, head: Head) -> None:
        """Start to gather. Errors: TracerError for a recording without accepts."""
        if "accept" not in head.kinds:
            raise TracerError("this recording keeps no accept records", "they were not traced")
        self._facts, self._head = facts, head
        self._knows_failures = head.attached["accept"] != "off"
        # what an interval brought is added to the whole at its end: its extremes are its own
        self._part, self._whole = (AcceptTable(self._by.peer_bits) for _ in range(2))
        self._total = False
        self._by_first_io = 0
        self._descriptors: dict[Owner, tuple[int, int]] = {}
        self._queues = Queues()
        self._counters_before: dict[int, tuple[int, int]] = {}
        self._proofs = Proofs()
        self._began_ns = self._mark_ns = head.started_ns
        if self._form == "csv":
            self._output.write([",".join(self._csv_header())])

    def batch(self, batch: Batch) -> None:
        """Count a batch: nothing here is done once an accept."""
        for task in batch.kinds.get("task", ()):
            self._facts.processes.add_event(task)
        if "accept" in batch.kinds:
            records = batch.kinds["accept"]
            self._part.add(records)
            first_io = self._facts.layout.enums["precision"]["FIRST_IO"]
            late = (records["precision"] == first_io) & (records["established_ns"] > 0)
            self._by_first_io += int(late.sum())

    def sockets(self, rows: Records) -> None:
        """Take who waits in the accept queues."""
        self._queues.set_waiting(rows, self._facts.layout)

    def listeners(self, rows: Records) -> None:
        """Take what the listeners counted, from the session's begin."""
        self._queues.set_counters(rows)

    def descriptors(self, found: dict[tuple[int, int], tuple[int, int]]) -> None:
        """Take how many descriptors those have open who could accept no more."""
        self._descriptors |= found

    def notice(self, text: str) -> None:
        """Something about the session."""
        self._notices.say(text)

    def mark(self, now_ns: int, tally: Tally) -> None:
        """Show what this interval brought."""
        span = now_ns - self._mark_ns
        self._show(self._part, self._counters_before, now_ns, span, self._proofs.line(tally, span))
        self._counters_before, self._mark_ns = self._queues.counters(), now_ns
        self._absorb()
        self._marks += 1

    def _absorb(self) -> None:
        self._whole.absorb(self._part)
        self._part = AcceptTable(self._by.peer_bits)

    def end(self, outcome: Outcome) -> None:
        """Show the whole span."""
        self._absorb()
        now, tally = self._began_ns + outcome.span_ns, outcome.tally
        proof = closing(tally, outcome.span_ns)
        headed = "total  " if self._marks else ""
        self._total = True
        self._show(self._whole, {}, now, outcome.span_ns, proof, headed)
        options = self._head.filters | outcome.filters.describe()
        if self._by_first_io:
            self._notices.say(
                f"{self._by_first_io} accepted unseen are told by their first I/O: they waited at"
                " most so long"
            )
        for text in explain_nothing(tally, options) + explain_lost(tally):
            self._notices.say(text)
        if not self._queues.knows_counters:
            self._notices.say(
                "this recording keeps no listeners' counters: reset while waiting and never"
                " accepted are not known"
            )
        if self._form != "table":
            self._notices.say(proof)

    # --- forms ----------------------------------------------------------------

    def _show(
        self,
        counted: AcceptTable,
        before: dict[int, tuple[int, int]],
        now_ns: int,
        span_ns: int,
        proof: str,
        headed: str = "",
    ) -> None:
        found = gather(counted, self._queues, before, self._by, self._facts)
        rows = found.rows[: self._limit or None]
        if self._form == "json":
            self._output.write([json.dumps(self._document(r, now_ns, span_ns)) for r in rows])
        elif self._form == "csv":
            self._output.write([self._csv(row, now_ns, span_ns) for row in rows])
        else:
            how = probes(self._head, "accept")
            lines = [
                headed + scope("accepts", self._head, self._facts, now_ns, span_ns, how),
                *self._table(found, {id(row) for row in rows}),
                *_bars(found.whole),
                *self._descriptor_lines(counted),
                *self._queue_lines(found),
                proof,
            ]
            # between blocks, not after the last
            self._output.write([*lines, ""] if counted is self._part else lines)

    def _table(self, found: Totals, shown: set[int]) -> list[str]:
        by, netns = self._by, found.several_netns
        words = [
            heading
            for heading, wanted in (
                (Heading("NETNS"), netns),
                (Heading("LISTENER", words=True), by.listener),
                (Heading("ACCEPTED BY", words=True), by.pid or by.comm),
                (Heading("PEER", words=True), by.peer_bits),
            )
            if wanted
        ]
        lines = []
        for block in found.blocks:
            rows = [row for row in block.rows if id(row) in shown]
            lines += [[*row.names(by, netns), *self._numbers(row)] for row in rows]
            if rows and block.sum:
                names = block.sum.names(by, netns)
                # in the first column after the listener's
                at = min(netns + by.listener, len(names) - 1)
                names[at:] = [f"(all {len(block.rows)})", *[""] * (len(names) - at - 1)]
                lines.append([*names, *self._numbers(block.sum)])
        text = table([*words, *(Heading(number) for number in NUMBERS)], lines)
        left = len(found.rows) - len(shown)
        return [*text, f"... {left} more (--limit 0)"] if left else text

    def _numbers(self, row: Row) -> list[str]:
        waits, mean = row.waits, row.waits.mean
        return [
            str(waits.count),
            failures(row.failed) if self._knows_failures else "-",
            "-" if mean is None else duration(mean),
            *(quantile(waits, share) for _, share in SHARES),
            duration(waits.most) if waits.exact else "-",
        ]

    def _descriptor_lines(self, counted: AcceptTable) -> list[str]:
        """One line for each process that failed for want of a descriptor."""
        lines = []
        failed = (group.acceptor for group in counted.groups() if group.error == EMFILE)
        for owner in dict.fromkeys(failed):
            if owner in self._descriptors:
                used, limit = self._descriptors[owner]
                name = process_name(self._facts.process(*owner))
                lines.append(f"{name}: {used} of {limit} descriptors in use")
        return lines

    def _queue_lines(self, found: Totals) -> list[str]:
        """One line a queue; with several, only of those that have something to tell."""
        several = len(found.queues) > 1
        telling = [
            (f"{name}  " if several else "", queue)
            for name, queue in found.queues
            if queue.waiting or queue.reset or queue.never
        ]
        return [name + self._queue(queue) for name, queue in telling or [("", Queue())]]

    def _queue(self, queue: Queue) -> str:
        waiting = queue.waiting if self._queues.knows_waiting else "-"
        bound = "" if queue.oldest_exact else ">="
        oldest = f", oldest {bound}{duration(queue.oldest_ns)}" if queue.waiting else ""
        reset, never = (queue.reset, queue.never) if self._queues.knows_counters else ("-", "-")
        return (
            f"in the queue now {waiting}{oldest};"
            f" reset while waiting {reset}; never accepted {never}"
        )

    def _document(self, row: Row, now_ns: int, span_ns: int) -> dict[str, object]:
        queues = self._queues
        return {
            "ts": self._facts.clock.iso(now_ns),
            "span_us": span_ns // 1000,
            "kind": "accept_summary",
            "total": self._total,
            **row.keys(self._by, self._facts),
            "accepts": row.waits.count,
            "failed": row.failed if self._knows_failures else None,
            "wait_us": percentiles(row.waits),
            "reset_in_queue": row.queue.reset if queues.knows_counters else None,
            "never_accepted": row.queue.never if queues.knows_counters else None,
            "waiting": row.queue.waiting if queues.knows_waiting else None,
            "oldest_waiting_us": row.queue.oldest_ns // 1000 if row.queue.waiting else None,
        }

    def _csv_header(self) -> list[str]:
        keys = ("listener_addr", "listener_port", "listener_pid", "listener_comm")
        peer = ["peer"] if self._by.peer_bits is not None else []
        return [
            *(
                "ts",
                "span_us",
                "kind",
                "total",
                *keys,
                "listener_cookie",
                "netns",
                "pid",
                "comm",
                *peer,
            ),
            "accepts",
            *(f"failed_{name}" for name in ERRORS),
            *(f"wait_us_{name}" for name in WAITS),
            *("reset_in_queue", "never_accepted", "waiting", "oldest_waiting_us"),
        ]

    def _csv(self, row: Row, now_ns: int, span_ns: int) -> str:
        values = self._document(row, now_ns, span_ns)
        waits = values["wait_us"] or dict.fromkeys(WAITS)
        values |= {f"wait_us_{name}": value for name, value in waits.items()}  # type: ignore[attr-defined]
        none = 0 if self._knows_failures else None
        values |= {f"failed_{name}": row.failed.get(name, none) for name in ERRORS}
        cells = [values[name] for name in self._csv_header()]
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(
            ["" if c is None else escape(c) if isinstance(c, str) else c for c in cells]
        )
        return text.getvalue()


def _bars(waits: Histogram) -> list[str]:
    """Counts by decade, from the first that has any to the last."""
    counts = waits.decades.tolist()
    filled = [place for place, count in enumerate(counts) if count]
    if not filled:
        return []
    ends = [duration(ns) for ns in DECADES]
    names = [f"<= {ends[0]}", *(f"{a} - {b}" for a, b in pairwise(ends))]
    names.append(f"> {ends[-1]}")
    most, whole = max(counts), waits.exact
    lines = []
    for place in range(filled[0], filled[-1] + 1):
        count = counts[place]
        bar = "#" * -(-BAR * count // most)
        lines.append(f"{names[place]:>13} |{bar:{BAR}} {count:>8} {100 * count / whole:5.1f}%")
    return lines
