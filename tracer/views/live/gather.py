"""The live session's view: it adds up what comes, and makes a picture at each mark."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tracer.attribution.cgroups import container_of
from tracer.flows.drops import Counters, minus
from tracer.flows.listeners import Listener, ListenerTable
from tracer.flows.present import Present
from tracer.flows.pulse import NAMES, Pulse
from tracer.flows.tally import Outcome, Tally
from tracer.views import lines
from tracer.views.base import View
from tracer.views.columns import Facts, rows
from tracer.views.listeners import ANY, max_set_by
from tracer.views.live.gathered import Gathered
from tracer.views.live.picture import Counter, ListenerRow, Picture, ProcessRow
from tracer.views.text import address, endpoint, escape
from tracer.wire.batch import Batch
from tracer.wire.head import Attachment, Head
from tracer.wire.layout import Records

TAIL = 50
# counters that grow only where something is wrong
TROUBLE = ("ListenOverflows", "ListenDrops", "TCPReqQFullDrop", "TCPSynRetrans", "AttemptFails")


class LiveView(View):
    """Gathers on the session's thread; `show` gets each picture."""

    gathers = False

    def __init__(self, show: Callable[[Picture], None]) -> None:
        self._show = show
        self._facts: Facts
        self._head: Head
        self._tail: deque[str] = deque(maxlen=TAIL)
        self._notices: list[str] = []
        self._first: Counters | None = None
        self._now: Counters = {}
        self._moved: dict[str, float] = {}  # a second, between the last two readings
        self._read_at = self._looked_at = 0.0
        self._listeners: list[Listener] = []
        self._listened_s = 0.0  # what those cover; 0: one look alone
        self._last: Picture | None = None
        self._used = (time.monotonic(), time.process_time())
        self._ticks = 0

    def begin(self, facts: Facts, head: Head) -> None:
        """Start to gather."""
        self._facts, self._head = facts, head
        self._present, self._pulse = Present(facts.layout), Pulse(facts.layout)
        self._table = ListenerTable(facts.layout)
        self._gathered = Gathered(facts)
        self._mark_ns = head.started_ns

    def batch(self, batch: Batch) -> None:
        """Add up a batch; of all that are sent, the last few become lines."""
        kinds = batch.kinds
        for task in kinds.get("task", ()):
            self._facts.processes.add_event(task)
        for kind, records in kinds.items():
            if kind == "state":
                self._present.move(records)
                self._pulse.add_states(records)
            elif kind == "accept":
                self._present.pass_on(records)
                self._pulse.add_accepts(records)
            elif kind != "task":
                self._pulse.add_others(len(records))
        self._gathered.add(kinds)
        self._keep_last(batch)

    def _keep_last(self, batch: Batch) -> None:
        # the last of all are among the last of each kind
        last = Batch({kind: records[-TAIL:] for kind, records in batch.kinds.items()})
        for kind, i in last.order()[-TAIL:]:
            if kind != "task":
                row = rows(last.kinds[kind][i : i + 1], kind)[0]
                self._tail.append(lines.line(kind, row, self._facts))

    def sockets(self, found: Records) -> None:
        """A pass over the sockets sets right what was kept up from transitions."""
        self._present.set_right(found)

    def listeners(self, found: Records) -> None:
        """Listening sockets as they stand. Looks may be further apart than pictures."""
        now = time.monotonic()
        self._table.look(found)
        self._listeners = self._table.since_last()
        self._listened_s = now - self._looked_at if self._looked_at else 0.0
        self._looked_at = now

    def drops(self, pairs: Records, filtered: bool) -> None:
        """What listeners threw away since that is attached."""
        self._gathered.dropped.counts(pairs)

    def attached(self, change: Attachment) -> None:
        """A pane has what it needs, or was left: said at once."""
        self._gathered.attached(change)
        if self._last is not None:
            parts = self._gathered.parts(self._last.now_ns, {})
            attached = dict(self._head.attached)
            self._last = replace(self._last, attached=attached, parts=parts)
            self._show(self._last)

    def kernel(self, counters: Counters) -> None:
        """The kernel's own counters."""
        now = time.monotonic()
        if self._first is None:
            self._first = counters
        else:
            moved = _summed(minus(counters, self._now))
            passed = max(now - self._read_at, 1e-3)
            self._moved = {name: count / passed for name, count in moved.items()}
        self._now, self._read_at = counters, now

    def notice(self, text: str) -> None:
        """Something about the session: shown in the last lines."""
        self._notices.append(text)

    def mark(self, now_ns: int, tally: Tally) -> None:
        """An interval is over: a picture of it."""
        seconds = max((now_ns - self._mark_ns) / 1e9, 1e-3)
        if self._ticks:
            self._pulse.tick(seconds)
        self._gathered.tick(now_ns)
        self._last = self._picture(now_ns, tally)
        self._show(self._last)
        self._mark_ns = now_ns
        self._ticks += 1

    def end(self, outcome: Outcome) -> None:
        """The session is over: one last picture."""
        now_ns = self._head.started_ns + outcome.span_ns
        self._show(self._picture(now_ns, outcome.tally, ended=outcome.ended_by or "end"))

    # --- the picture ----------------------------------------------------------

    def _picture(self, now_ns: int, tally: Tally, ended: str = "") -> Picture:
        head, facts = self._head, self._facts
        states = facts.states
        listeners = [self._listener(one, self._listened_s) for one in self._listeners]
        parts = self._gathered.parts(now_ns, {row.cookie: row.name for row in listeners})
        return Picture(
            now_ns=now_ns,
            clock=facts.clock.date(now_ns),
            span_ns=now_ns - head.started_ns,
            host=escape(head.host),
            kernel=escape(head.kernel),
            scope=f"{len(head.netns)} netns" if head.netns else "all netns",
            filters=escape(" ".join(head.filters.values())),
            sockets={states[s]: n for s, n in sorted(self._present.by_state().items())},
            rates={name: self._pulse.rate(name) for name in NAMES},
            curves={name: self._pulse.curve(name) for name in NAMES},
            counters=self._counters(),
            processes=self._processes(listeners),
            listeners=listeners,
            tail=list(self._tail),
            seen=tally.seen,
            lost=tally.lost,
            notices=list(self._notices),
            attached=dict(head.attached),
            parts=parts,
            cpu=self._share(),
            memory_mb=_resident_mb(),
            ended=ended,
        )

    def _counters(self) -> list[Counter]:
        if self._first is None:
            return []
        span = _summed(minus(self._now, self._first))
        return [
            Counter(name, self._moved.get(name, 0.0), count, name in TROUBLE)
            for name, count in sorted(span.items(), key=lambda item: -self._moved.get(item[0], 0))
            if count
        ]

    def _listener(self, one: Listener, seconds: float) -> ListenerRow:
        row = one.row
        host = bytes(row["addr"])
        name = endpoint("*" if host in ANY else address(host), int(row["port"]))
        return ListenerRow(
            cookie=int(row["cookie"]),
            name=name,
            owner=self._name(int(row["pid"]), int(row["start"])),
            owner_key=(int(row["pid"]), int(row["start"])),
            queue=int(row["accept_queue"]),
            peak=one.accept_queue_peak,
            limit=int(row["accept_queue_max"]),
            set_by=max_set_by(row) or "-",
            full=min(1.0, one.counted["full_ns"] / (seconds * 1e9)) if seconds else 0.0,
            syn_queue=int(row["syn_queue"]),
            accepts=one.counted["accepts"] / seconds if seconds else None,
            drops=self._gathered.dropped.rate_of(int(row["cookie"])),
        )

    def _name(self, pid: int, start: int) -> str:
        process = self._facts.process(pid, start)
        if process is None:
            return "-"
        return f"{escape(process.comm)}[{process.pid or '-'}]"

    def _processes(self, listeners: list[ListenerRow]) -> list[ProcessRow]:
        facts = self._facts
        deepest: dict[str, ListenerRow] = {}
        for row in listeners:
            if row.owner not in deepest or row.queue > deepest[row.owner].queue:
                deepest[row.owner] = row
        found = []
        for (pid, start), counts in self._present.by_owner().items():
            process = facts.process(pid, start)
            gone = "(exited) " if process and process.exited_ns else ""
            name = gone + escape(process.comm) if process else "(unknown)"
            queue = deepest.get(self._name(pid, start))
            path = facts.cgroups.get(process.cgroup_id) if process else None
            now = {facts.states[state]: count for state, count in counts.items()}
            fails = self._pulse.fails.get((pid, start), 0.0) if self._ticks else None
            found.append(
                ProcessRow(
                    key=(pid, start),
                    pid=str(process.pid or "-") if process else "-",
                    name=name,
                    container=escape(container_of(path) or "-"),
                    now=now,
                    opens=self._pulse.opens.get((pid, start), 0.0) if self._ticks else None,
                    fails=fails,
                    queue=f"{queue.queue}/{queue.limit}" if queue else "-",
                    trouble=_trouble(now, fails, queue, bool(gone)),
                )
            )
        return sorted(found, key=_rank)

    def _share(self) -> float | None:
        """Of one CPU, since the last picture."""
        before, used = self._used
        self._used = (time.monotonic(), time.process_time())
        passed = self._used[0] - before
        return (self._used[1] - used) / passed if passed > 0 and self._ticks else None


def _trouble(
    now: dict[str, int], fails: float | None, queue: ListenerRow | None, gone: bool
) -> str:
    if queue and queue.is_full:
        return "accept queue full"
    if fails:
        return "connects fail"
    if now.get("CLOSE_WAIT", 0) > max(10, now.get("ESTABLISHED", 0)):
        return "CLOSE_WAIT"
    if gone and set(now) - {"TIME_WAIT"}:
        return "orphan"
    return ""


def _rank(row: ProcessRow) -> tuple[bool, float, int, str]:
    return (not row.trouble, -(row.opens or 0), -row.sockets, row.name)


def _summed(counters: Counters) -> dict[str, int]:
    found: dict[str, int] = {}
    for names in counters.values():
        for name, count in names.items():
            found[name] = found.get(name, 0) + count
    return found


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6
