"""`accepts`: how long finished connections waited for accept(), and accepts that failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from errno import EMFILE
from itertools import pairwise

from tracer.errors import TracerError
from tracer.flows.accepting import AcceptTable, Owner, Queue, Queues
from tracer.flows.histogram import DECADES, Histogram
from tracer.flows.tally import Outcome
from tracer.views.accept_rows import By, Row, Totals, gather, process_name
from tracer.views.accept_table import NUMBERS, key_columns, with_sums
from tracer.views.look import Look
from tracer.views.output import Notices, Output
from tracer.views.scope import probes
from tracer.views.spreads import at_least, percentiles
from tracer.views.summary import Block, Document, SummaryView
from tracer.views.tables import Column, Part
from tracer.views.text import duration
from tracer.wire.batch import Batch
from tracer.wire.filters import Filters
from tracer.wire.layout import Records
from tracer.wire.refuse import lasting

BAR = 40  # characters of the longest bar
WAITS = ("count", "sum", "min", "p50", "p90", "p99", "p999", "max")
ERRORS = ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "ECONNABORTED", "EPERM")


class AcceptsView(SummaryView):
    """Waits by listener and process, with a histogram of all, and what waits now."""

    command = "accepts"
    kind = "accept_summary"
    needs = ("records",)
    kinds = frozenset({"accept"})

    def __init__(
        self,
        output: Output,
        notices: Notices,
        look: Look | None = None,
        by: By | None = None,
        filters: Filters | None = None,
    ) -> None:
        self._by, self._filters = by or By(), filters or Filters()
        super().__init__(output, notices, look)

    def start(self) -> None:
        """Begin to gather. Errors: TracerError for a recording without accepts."""
        if "accept" not in self.head.kinds:
            raise TracerError(
                "this recording keeps no accept records",
                "make one that does: tcptrace record --kind accept FILE",
            )
        self._knows_failures = self.head.attached["accept"] != "off"
        # what an interval brought is added to the whole at its end: its extremes are its own
        self._part, self._whole = (AcceptTable(self._by.peer_bits) for _ in range(2))
        self._by_first_io = 0
        self._descriptors: dict[Owner, tuple[int, int]] = {}
        self._queues = Queues()
        self._counters_before: dict[int, tuple[int, int]] = {}

    def gather(self, batch: Batch) -> None:
        """Count a batch."""
        if "accept" in batch.kinds:
            records = batch.kinds["accept"]
            self._part.add(records)
            first_io = self.facts.layout.enums["precision"]["FIRST_IO"]
            late = (records["precision"] == first_io) & (records["established_ns"] > 0)
            self._by_first_io += int(late.sum())

    def sockets(self, rows: Records) -> None:
        """Take who waits in the accept queues."""
        self._queues.set_waiting(lasting(rows, self._filters), self.facts.layout)

    def listeners(self, rows: Records) -> None:
        """Take what the listeners counted, from the session's begin."""
        asks_ends = self._filters.failed or self._filters.slower_ns
        self._queues.set_counters(rows[:0] if asks_ends else rows)

    def descriptors(self, found: dict[tuple[int, int], tuple[int, int]]) -> None:
        """Take how many descriptors those have open who could accept no more."""
        self._descriptors |= found

    def turn(self) -> None:
        """What the interval brought belongs to the whole."""
        self._counters_before = self._queues.counters()
        self._absorb()

    def _absorb(self) -> None:
        self._whole.absorb(self._part)
        self._part = AcceptTable(self._by.peer_bits)

    def afterwards(self, outcome: Outcome) -> list[str]:
        """Say also what this session or recording cannot tell."""
        told = []
        if self._by_first_io:
            told.append(
                f"{self._by_first_io} accepted unseen are told by their first I/O: they waited at"
                " most so long"
            )
        told += super().afterwards(outcome)
        if not self._queues.knows_counters:
            told.append(
                "this recording keeps no listeners' counters: reset while waiting and never"
                " accepted are not known"
            )
        return told

    # --- forms ----------------------------------------------------------------

    def how(self) -> str:
        """What sees the accepts."""
        return probes(self.head, "accept")

    def shown(self) -> Sequence[Column[Row]]:
        """What --by asks for, then the numbers."""
        return (*key_columns(self._by), *NUMBERS)

    def _found(self, block: Block) -> tuple[AcceptTable, Totals, list[Row], list[str]]:
        if block.total:
            self._absorb()
        counted = self._whole if block.total else self._part
        before = {} if block.total else self._counters_before
        found = gather(counted, self._queues, before, self._by, self.facts, self._knows_failures)
        return counted, found, *self.chosen(found.rows)

    def parts(self, block: Block) -> list[Part]:
        """The table, the histogram, and the queues."""
        counted, found, rows, more = self._found(block)
        table = self.table(rows if self.look.sort else with_sums(found, rows))
        plain = set() if found.several_netns or "netns" in self._by.others else {"NETNS"}
        if found.whole.timed == found.whole.count:
            plain.add("TIMED")
        if not self.look.columns:
            table = replace(table, columns=[c for c in table.columns if c.title not in plain])
        told = [*_bars(found.whole), *_untimed(found.whole)]
        told += [*self._descriptor_lines(counted), *self._queue_lines(found)]
        return [table, *more, *told]

    def documents(self, block: Block) -> list[Document]:
        """A record for each row."""
        return [self._document(row) for row in self._found(block)[2]]

    def _descriptor_lines(self, counted: AcceptTable) -> list[str]:
        """One line for each process that failed for want of a descriptor."""
        lines = []
        failed = (group.acceptor for group in counted.groups() if group.error == EMFILE)
        for owner in dict.fromkeys(failed):
            if owner in self._descriptors:
                used, limit = self._descriptors[owner]
                name = process_name(self.facts.process(*owner))
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

    def _document(self, row: Row) -> Document:
        queues, queue = self._queues, row.queue
        oldest = queue.oldest_ns // 1000 if queue.waiting else None
        return {
            **row.keys(self._by, self.facts),
            "accepts": row.waits.count,
            "failed": row.failed if self._knows_failures else None,
            "wait_us": percentiles(row.waits),
            **at_least("wait", row.waits),
            "reset_in_queue": queue.reset if queues.knows_counters else None,
            "never_accepted": queue.never if queues.knows_counters else None,
            "waiting": queue.waiting if queues.knows_waiting else None,
            "oldest_waiting_us": oldest if queue.oldest_exact else None,
            "oldest_waiting_at_least_us": None if queue.oldest_exact else oldest,
        }

    def columns(self) -> Sequence[str]:
        """A cell for each error and for each percentile."""
        return (
            *("listener_addr", "listener_port", "listener_pid", "listener_comm"),
            *("listener_cookie", "netns", "pid", "comm"),
            *(["peer"] if self._by.peer_bits is not None else []),
            *(word for word in self._by.others if word != "netns"),
            "accepts",
            *(f"failed_{name}" for name in ERRORS),
            *(f"wait_us_{name}" for name in WAITS),
            *("wait_at_least_count", "wait_at_least_us"),
            *("reset_in_queue", "never_accepted", "waiting"),
            *("oldest_waiting_us", "oldest_waiting_at_least_us"),
        )

    def cells(self, document: Document) -> Document:
        """Errors that did not occur are 0, where errors are seen."""
        waits = document["wait_us"] or dict.fromkeys(WAITS)
        failed = document["failed"]
        none = 0 if failed is not None else None
        return {
            **document,
            **{f"wait_us_{name}": value for name, value in waits.items()},
            **{f"failed_{name}": (failed or {}).get(name, none) for name in ERRORS},
        }


def _untimed(waits: Histogram) -> list[str]:
    """What was accepted, and is in none of the times."""
    told, rest = [], waits.count - waits.timed - waits.at_least
    if waits.at_least:
        longest = duration(waits.most_at_least)
        told.append(f"{waits.at_least} waited since before tracing: up to >={longest}, not timed")
    if rest:
        told.append(f"{rest} waited nobody knows how long: not timed")
    return told


def _bars(waits: Histogram) -> list[str]:
    """Counts by decade, from the first that has any to the last."""
    counts = waits.decades.tolist()
    filled = [place for place, count in enumerate(counts) if count]
    if not filled:
        return []
    ends = [duration(ns) for ns in DECADES]
    names = [f"<= {ends[0]}", *(f"{a} - {b}" for a, b in pairwise(ends))]
    names.append(f"> {ends[-1]}")
    most, whole = max(counts), waits.timed
    lines = []
    for place in range(filled[0], filled[-1] + 1):
        count = counts[place]
        bar = "#" * -(-BAR * count // most)
        lines.append(f"{names[place]:>13} |{bar:{BAR}} {count:>8} {100 * count / whole:5.1f}%")
    return lines
