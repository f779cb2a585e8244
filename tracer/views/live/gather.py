"""The live session's view: it adds up what comes, and makes a picture at each mark."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracer.flows.devices import Devices
from tracer.flows.drops import Counters
from tracer.flows.exact import Moves, Totals, totals
from tracer.flows.history import History
from tracer.flows.listeners import Listener, ListenerTable
from tracer.flows.measured import Measured
from tracer.flows.packet_filters import PacketFilters
from tracer.flows.pulse import NAMES
from tracer.flows.sockets import Sockets, by_state
from tracer.flows.tally import Lost, Outcome, Tally
from tracer.views import lines
from tracer.views.base import View
from tracer.views.closing import closing
from tracer.views.columns import Facts, rows
from tracer.views.live import draw
from tracer.views.live.advising import ADVICE, Advising
from tracer.views.live.gathered import Gathered
from tracer.views.live.losses import Losses
from tracer.views.live.narrow import Narrowing
from tracer.views.live.picture import ListenerRow, Picture, ProcessRow
from tracer.views.live.readings import Readings
from tracer.views.live.rows import listener_row, process_rows
from tracer.views.live.signs import Trends
from tracer.views.live.verdict import Scene, verdict
from tracer.views.text import duration, escape
from tracer.wire.batch import Batch
from tracer.wire.cost import KernelCost
from tracer.wire.head import Attachment, Head
from tracer.wire.layout import Records
from tracer.wire.refuse import as_sockets

TAIL = 50
SECOND_NS = 1_000_000_000
# kinds, and programs that make them
KEPT_UP_FROM = frozenset({"state", "accept", "tt_state"})


class LiveView(View):
    """Gathers on the session's thread; `show` gets each picture. Another thread may `narrow`.

    Of a recording, `whole_ns` long, there is one picture: of the moment of `hold`, or of its end.
    `queues_ns` from its begin are queues looked at for the first time.
    """

    gathers = False

    def __init__(
        self,
        show: Callable[[Picture], None],
        recorded: bool = False,
        whole_ns: int = 0,
        queues_ns: int = 0,
    ) -> None:
        self.queues_ns = queues_ns
        self._show, self._recorded, self._whole_ns = show, recorded, whole_ns
        self.needs = ("records",) if recorded else ()
        self._lock = threading.Lock()
        self._facts: Facts
        self._head: Head
        self._narrowing = Narrowing()
        self._tail: deque[tuple[str, Records]] = deque(maxlen=TAIL)
        self._notices: list[tuple[int, str]] = []
        self._readings = Readings()
        self._listeners: list[Listener] = []
        self._listened_s = 0.0  # what those cover; 0: one look alone
        self._peaks: dict[int, int] = {}
        self._looked_ns = 0
        self._used = (time.monotonic(), time.process_time())
        self._cpu: float | None = None
        self._taken: KernelCost | None = None
        self._sockets_ns = 0  # when all sockets were looked at last, and
        self._unsure_ns = 0  # when, after that, records of their states were lost
        self._ticks = self._tick_ns = 0
        self._asks_advice = recorded
        self._advising: Advising | None = None

    def begin(self, facts: Facts, head: Head) -> None:
        """Start to gather."""
        self._facts, self._head = facts, head
        self._sockets = Sockets(facts.layout, head.started_ns)
        self._history = History()
        self._counts_moves = "moves" in head.keeps
        self._trends = Trends(facts.layout, head.started_ns, self._counts_moves)
        self._trends.pulse.begin_totals(head.started_ns)
        self._losses = Losses(head.started_ns)
        self._shown: Trends | None = None  # of what the screen is narrowed to
        if self._narrowing:
            self._shown = Trends(facts.layout, head.started_ns)
        self._measured = Measured(facts.layout)
        self._table = ListenerTable(facts.layout)
        self._gathered = Gathered(facts, head.started_ns, self._recorded)
        self._mark_ns = self._now_ns = self._tick_ns = head.started_ns
        if self._recorded:
            for name, part in (
                ("syn_drop", self._gathered.dropped),
                ("drop", self._gathered.packets),
            ):
                if head.attached.get(name, "off") != "off":
                    part.begin(head.started_ns)
            self._notices += [(head.started_ns, text) for text in _missing(head)]
        if self._narrowing:
            self._gathered.restart(head.started_ns, narrowed=True)
        self._tally, self._ended = Tally(), ""
        self._advise()

    def want(self, subjects: frozenset[str]) -> None:
        """What the pane in view needs; from the screen's thread. Advice goes on from then on."""
        self._asks_advice = self._asks_advice or ADVICE in subjects

    def _advise(self) -> None:
        """Begin to gather evidence, once it is asked for."""
        if self._asks_advice and self._advising is None:
            self._advising = Advising(self._facts, self._head, self._tick_ns, whole=self._recorded)

    # --- what comes -----------------------------------------------------------

    def batch(self, batch: Batch) -> None:
        """Add up a batch; of all that are sent, the last few become lines."""
        with self._lock:
            for task in batch.kinds.get("task", ()):
                self._facts.processes.add_event(task)
            for name, fold in (("state", self._sockets.move), ("accept", self._sockets.pass_on)):
                if name in batch.kinds:
                    fold(batch.kinds[name])
            self._history.add(batch.kinds, self._sockets.standing)
            every = kinds = {kind: found for kind, found in batch.kinds.items() if kind != "task"}
            self._trends.add(kinds)
            self._losses.came(kinds)
            if self._shown is not None:
                kinds = {kind: self._narrow(records) for kind, records in kinds.items()}
                self._shown.add(kinds)
            self._gathered.add(kinds, every)
            if self._advising is not None:
                self._advising.batch(Batch(every))
            self._keep_last(Batch(kinds))

    def _narrow(self, records: Records) -> Records:
        return records[self._narrowing.passes(records, self._facts)]

    def _keep_last(self, batch: Batch) -> None:
        # the last of all are among the last of each kind
        last = Batch({kind: found[-TAIL:] for kind, found in batch.kinds.items() if len(found)})
        if last.kinds:
            for kind, i in last.order()[-TAIL:]:
                self._tail.append((kind, last.kinds[kind][i : i + 1].copy()))

    def sockets(self, found: Records) -> None:
        """A pass over the sockets sets right what was kept up from transitions."""
        with self._lock:
            self._sockets.set_right(found, self._tick_ns)
            self._gathered.sockets(found)
            self._sockets_ns, self._unsure_ns = self._told_ns(), 0

    def all_sockets(self, rows: Records, chosen: NDArray[np.bool_]) -> None:
        """The same pass with what filters leave out."""
        if self._advising is not None:
            self._advising.all_sockets(rows, chosen)

    def sysctls(self, found: dict[int, dict[str, str]]) -> None:
        """Settings, while advice is asked for."""
        if self._advising is not None:
            self._advising.sysctls(found)

    def counted(self, stats: Records) -> None:
        """The kernel's counts: what happens a second, records lost or not."""
        if self._counts_moves:  # or some numbers would be of it and others of records
            found = Totals(self._told_ns(), totals(stats, self._facts.layout))
            with self._lock:
                self._trends.pulse.totals(found)

    def moves(self, keys: Records, values: Records) -> None:
        """The same by owner."""
        found = Moves(keys, values, self._facts.layout)
        with self._lock:
            self._trends.moves(found, self._told_ns())

    def _told_ns(self) -> int:
        """When what is told now was so: in a live session it was looked at just now."""
        return self._tick_ns if self._recorded else time.monotonic_ns()

    def connections(self, rows: Records, now_ns: int) -> None:
        """A closer look at them, while somebody looks at that."""
        self._measured.look(rows, now_ns)
        if self._advising is not None:
            self._advising.connections(rows)

    def listeners(self, found: Records) -> None:
        """Listening sockets as they stand. Looks may be further apart than pictures."""
        self._table.look(found)
        if self._advising is not None:
            self._advising.listeners(found)
        self._listeners = self._table.since_last(self._tick_ns)
        for one in self._listeners:
            cookie = int(one.row["cookie"])
            self._peaks[cookie] = max(self._peaks.get(cookie, 0), one.accept_queue_peak)
        before = self._looked_ns
        if self._recorded and not before:  # what it has counted is of all its time
            before = self._head.started_ns
            self.queues_ns = self._tick_ns - before
        self._looked_ns = self._tick_ns
        self._listened_s = (self._looked_ns - before) / 1e9 if before else 0.0

    def drops(self, pairs: Records, filtered: bool) -> None:
        """What listeners threw away since that is attached."""
        with self._lock:
            if filtered:  # else records alone say what passes
                self._gathered.dropped.counts(pairs)

    def packets(self, pairs: Records, rest: NDArray[np.uint64], filtered: bool) -> None:
        """What was thrown away elsewhere since that is attached."""
        with self._lock:
            if filtered:
                self._gathered.packets.counts(pairs, rest)
                if self._advising is not None:
                    self._advising.packets(pairs, rest)

    def devices(self, found: Devices) -> None:
        """What was lost before there was a packet."""
        now_ns = self._tick_ns if self._recorded else time.monotonic_ns()
        with self._lock:
            self._gathered.packets.devices(found, now_ns)
            if self._advising is not None:
                self._advising.devices(found)

    def packet_filters(self, found: PacketFilters) -> None:
        """Rules of packet filters, while advice is asked for."""
        if self._advising is not None:
            self._advising.packet_filters(found)

    def attached(self, change: Attachment) -> None:
        """A pane has what it needs, or was left: said at once."""
        with self._lock:
            self._gathered.attached(change)
            if self._advising is not None:
                self._advising.attached(change)
        if self._ticks:
            with self._lock:
                picture = self._picture()
            self._show(picture)

    def cost(self, taken: KernelCost | None) -> None:
        """What the programs take, while somebody wants to know."""
        self._taken = taken

    def kernel(self, counters: Counters) -> None:
        """The kernel's own counters."""
        self._readings.read(counters, self._told_ns())
        if self._advising is not None:
            self._advising.kernel(counters)

    def lost(self, lost: list[Lost]) -> None:
        """Records that did not come: what lived then is not known to be whole."""
        with self._lock:
            self._losses.lost(lost)
            if any(one.of in KEPT_UP_FROM for one in lost):
                self._unsure_ns = self._tick_ns

    def notice(self, text: str) -> None:
        """Something about the session: shown in the last lines."""
        self._notices.append((self._tick_ns, escape(text)))

    def tick(self, now_ns: int) -> None:
        """Time goes on; in a recording nothing else tells when a second is over."""
        self._tick_ns = now_ns
        self._advise()
        if self._advising is not None:
            self._advising.tick(now_ns)
        with self._lock:
            self._trends.pulse.stand(now_ns)
            if self._recorded and now_ns - self._mark_ns >= SECOND_NS:
                self._turn(now_ns)

    def _turn(self, now_ns: int) -> None:
        """An interval is over."""
        seconds = max((now_ns - self._mark_ns) / 1e9, 1e-3)
        for trends in filter(None, (self._trends, self._shown)):
            trends.tick(now_ns, seconds if self._ticks or self._recorded else None)
        self._losses.turn(now_ns)
        self._gathered.tick(now_ns)
        self._mark_ns = now_ns
        self._ticks += 1

    def mark(self, now_ns: int, tally: Tally) -> None:
        """An interval is over: a picture of it."""
        if self._recorded:
            return
        with self._lock:
            self._cpu = self._share()
            self._turn(now_ns)
            self._now_ns, self._tally = now_ns, tally
            picture = self._picture()
        self._show(picture)

    def hold(self, tally: Tally) -> None:
        """Go no further in the recording: a picture of where it is."""
        with self._lock:
            self._now_ns, self._tally = self._tick_ns, tally
            picture = self._picture()
        self._show(picture)

    def end(self, outcome: Outcome) -> None:
        """The session is over: one last picture."""
        with self._lock:
            self._now_ns = self._head.started_ns + outcome.span_ns
            self._tally, self._ended = outcome.tally, outcome.ended_by or "end"
            picture = self._picture()
        self._show(picture)

    # --- what is asked for ----------------------------------------------------

    @property
    def span_ns(self) -> int:
        """How far it has come."""
        return self._now_ns - self._head.started_ns

    def narrow_to(self, narrowing: Narrowing) -> None:
        """Show these alone from the begin on."""
        self._narrowing = narrowing

    def narrow(self, narrowing: Narrowing) -> Picture:
        """Show these sockets and events alone from now on: a picture of them."""
        with self._lock:
            if narrowing != self._narrowing:
                self._narrowing = narrowing
                begin = Trends(self._facts.layout, self._now_ns)
                self._shown = begin if narrowing else None
                self._tail.clear()
                limited = self._tally.limited_by_kind.get("drop", 0)
                self._gathered.restart(self._now_ns, bool(narrowing), limited)
                self._losses.restart()
            return self._picture()

    def zero_peaks(self) -> None:
        """Depths that queues have had count from now on."""
        self._peaks.clear()

    # --- the picture ----------------------------------------------------------

    def _picture(self) -> Picture:
        head, facts, narrowing = self._head, self._facts, self._narrowing
        every = found = self._sockets.rows(self._now_ns)
        listening = listeners = self._listener_rows(self._listeners)
        processes = process_rows(found, self._now_ns, listening, self._trends, facts)
        judged = verdict(self._scene(processes, listening))
        trends = self._shown or self._trends
        if narrowing:
            found = self._narrow(every)
            listeners = self._listener_rows(self._narrow_listeners())
            # of one process, all of it, the kernel's own counts are told
            pulse = (trends if narrowing.filters.describe() else self._trends).pulse
            processes = process_rows(found, self._now_ns, listeners, trends, facts, pulse)
        in_all = self._by_state(every, self._sockets.left_out)
        return Picture(
            now_ns=self._now_ns,
            clock=facts.clock.date(self._now_ns),
            span_ns=self._now_ns - head.started_ns,
            host=escape(head.host),
            kernel=escape(head.kernel),
            scope=f"{len(head.netns)} netns" if head.netns else "all netns",
            filters=escape(" ".join(head.filters.values())),
            narrowing=narrowing,
            narrowed=narrowing.words(facts),
            sockets=self._by_state(found, 0) if narrowing else in_all,
            connections=found,
            facts=facts,
            history=self._history,
            looked=self._measured.snapshot(),
            lost_at=self._losses.at,
            unsure=self._unsure(),
            uncounted=self._losses.uncounted_of_minute(),
            of_records=bool(narrowing) or not self._counts_moves,
            rates={name: trends.pulse.rate(name) for name in NAMES},
            curves={name: trends.pulse.curve(name) for name in NAMES},
            counters=self._readings.moved(),
            counters_rated=self._readings.are_rated,
            processes=processes,
            listeners=listeners,
            tail=[lines.line(kind, rows(one, kind)[0], facts) for kind, one in self._tail],
            lost=self._tally.lost,
            verdict=judged,
            all_sockets=in_all,
            proof=closing(self._tally, self._now_ns - head.started_ns),
            notices=list(self._notices),
            attached=dict(head.attached),
            cpu=self._cpu,
            memory_mb=_resident_mb(),
            taken=self._taken,
            ended=self._ended,
            parts=replace(
                self._gathered.parts(
                    self._now_ns,
                    self._listeners,
                    listeners,
                    narrowing,
                    self._tally.limited_by_kind.get("drop", 0),
                ),
                shares=self._losses.of_minute(),
                shares_of_all=self._losses.of_all(),
                advice=self._advising.picture(self._now_ns) if self._advising else None,
            ),
            recorded=self._recorded,
            costs=head.costs,
            whole_ns=self._whole_ns or self._now_ns - head.started_ns,
        )

    def _by_state(self, found: Records, left_out: int) -> dict[str, int]:
        now = {self._facts.states[s]: n for s, n in by_state(found).items()}
        if left_out:
            now["TIME_WAIT"] = now.get("TIME_WAIT", 0) + left_out
        return now

    def _scene(self, processes: list[ProcessRow], listeners: list[ListenerRow]) -> Scene:
        tally = self._tally
        return Scene(
            processes=processes,
            listeners=listeners,
            drops=self._gathered.dropped.picture(self._now_ns, {}, False),
            lost=tally.lost,
            minute_ns=self._now_ns - self._trends.since_ns,
            unknown=self._unknown(),
            counts_whole=self._counts_moves and not (tally.lost_map or tally.missed),
            tries=str(self._losses.of_minute().get("handshake", "")),
        )

    def _unsure(self) -> str:
        """What is to be said of the sockets' counts, where records of them were lost."""
        if not self._unsure_ns:
            return ""
        if not self._sockets_ns:
            return "records were lost, and no look sets this right"
        return f"as of {duration(self._now_ns - self._sockets_ns)} ago: records were lost"

    def _unknown(self) -> str:
        """Of a recording: what keeps the screen from saying that nothing is wrong."""
        if not self._recorded or self._looked_ns:
            return ""
        if "listeners" not in self._head.keeps or not self.queues_ns:
            return "queues unknown: this recording has no look at them"
        return f"queues unknown before {draw.clock(self.queues_ns)}"

    def _narrow_listeners(self) -> list[Listener]:
        found = self._listeners
        if not found:
            return []
        table = np.array([one.row for one in found], found[0].row.dtype)
        passed = self._narrowing.passes(as_sockets(table, self._facts.layout), self._facts)
        return [one for one, shown in zip(found, passed, strict=True) if shown]

    def _listener_rows(self, chosen: list[Listener]) -> list[ListenerRow]:
        found = []
        for one in chosen:
            peak = self._peaks.get(int(one.row["cookie"]), int(one.row["accept_queue"]))
            drops = self._gathered.dropped.rate_of(int(one.row["cookie"]))
            found.append(listener_row(one, self._listened_s, peak, drops, self._facts))
        return found

    def _share(self) -> float | None:
        """Of one CPU, since the last picture."""
        before, used = self._used
        self._used = (time.monotonic(), time.process_time())
        passed = self._used[0] - before
        return (self._used[1] - used) / passed if passed > 0 and self._ticks else None


def _missing(head: Head) -> list[str]:
    """What the screen cannot know from this recording."""
    found = []
    if "state" not in head.kinds:
        found.append("this recording has no state records: sockets are as its looks found them")
    elif "sockets" not in head.keeps:
        found.append("this recording has no look at the sockets: NOW has those that changed")
    if "listeners" not in head.keeps:
        found.append("this recording has no look at listeners")
    return found


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 1e6
