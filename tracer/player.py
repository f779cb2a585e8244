"""Frames in, what they mean out: the one road that live sessions and recordings share."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracer.attribution.owned import Names, Owned
from tracer.attribution.processes import ProcessTable
from tracer.errors import TracerError
from tracer.flows.devices import Devices
from tracer.flows.owners import give_listeners, give_owners
from tracer.flows.packet_filters import PacketFilters
from tracer.flows.tally import Lost, Outcome, Tally
from tracer.views.base import View
from tracer.views.columns import Facts
from tracer.views.text import Clock
from tracer.wire.batch import Batch, Sorter, chosen, split, view
from tracer.wire.cost import KernelCost
from tracer.wire.filters import Filters
from tracer.wire.head import Attachment, Head
from tracer.wire.layout import Records
from tracer.wire.made import Made
from tracer.wire.recording import Frame
from tracer.wire.refuse import as_sockets, refuse
from tracer.wire.stacks import Told
from tracer.wire.window import Window

CLOCK_STEP_NS = 100_000_000
EXACT = ("moves", "resets")  # counts that know nothing of filters that are applied here
# commands that show what a recording keeps, and those that make one which keeps it
SHOWN_BY = {"records": "events", "counts": "states", "listeners": "listeners", "drops": "drops"}
SHOWN_BY |= {"connections": "top"}
MADE_BY = {
    "records": "tcptrace record FILE",
    "counts": "tcptrace record FILE",
    "listeners": "tcptrace record --kind all FILE",
    "drops": "tcptrace record --kind all FILE",
    "connections": "tcptrace top -w FILE",
}


class Player:
    """Turns frames into calls of a view. `filters` are applied here only to recordings."""

    def __init__(
        self,
        show: View,
        filters: Filters | None = None,
        utc: bool = False,
        window: Window | None = None,
    ) -> None:
        self.facts: Facts
        self.tally = Tally(kinds=show.kinds | show.also)
        self.head: Head
        self.ended = False
        self._view = show
        self._filters = filters
        self._asks_names = bool(filters and (filters.comms or filters.excluded.comms))
        self._narrowed = filters  # to the kinds that the view looks at, where more were kept
        self._utc = utc
        self._window = window
        self._small, self._large = Sorter(), Sorter()
        self._ticks = [0, 0]
        self._pending: list[tuple[str, str, int]] = []
        self._refused: dict[str, int] = {}
        self._passed = 0
        self._started_ns = 0
        self._rest: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._handlers = {
            "HEAD": self._head,
            "TASK": self._tasks,
            "HOLD": self._holds,
            "CGRP": self._cgroups,
            "SMAL": self._samples,
            "LARG": self._samples,
            "STAT": self._stats,
            "CNTS": self._counts,
            "SYSC": self._sysctls,
            "MOVE": self._moves,
            "SOCK": self._sockets,
            "OPEN": self._connections,
            "LSTN": self._listeners,
            "DROP": self._drops,
            "RSNS": self._reasons,
            "CODE": self._code,
            "STAK": self._stacks,
            "MADE": self._made,
            "REST": self._rest_of_packets,
            "PKTS": self._packets,
            "RSTS": self._resets,
            "DEVS": self._devices,
            "RULE": self._packet_filters,
            "ATCH": self._attached,
            "KERN": self._kernel,
            "EDGE": self._edge,
            "AWAY": self._unrecorded,
            "DESC": self._descriptors,
            "FDSC": self._all_descriptors,
            "COST": self._cost,
            "MISS": self._missed,
            "TICK": self._tick,
            "GATE": self._gate,
            "MARK": self._mark,
            "LAST": self._last,
        }

    def feed(self, frame: Frame) -> None:
        """Take one frame; frames of a later version that are not known here are passed over."""
        handler = self._handlers.get(frame.tag)
        if handler:
            handler(frame)

    # --- facts ----------------------------------------------------------------

    def _head(self, frame: Frame) -> None:
        try:
            self.head = head = Head.from_bytes(bytes(frame.data))
        except (KeyError, TypeError, ValueError) as error:
            raise TracerError(
                "the recording's head cannot be read", "it is damaged, or of another version"
            ) from error
        layout = head.layout
        events = layout.enums["task_event"]
        processes = ProcessTable(events["RENAMED"], events["EXITED"])
        clock = Clock(head.offset_ns, self._utc)
        self._started_ns = head.started_ns
        self._offset_ns = clock.offset_ns
        self.facts = Facts(layout, processes, clock, initial_pids=head.initial_pids)
        self.facts.reset_reasons = head.reset_reasons
        self._held = np.zeros(0, layout.dtypes["holder_row"])
        self._owned = Owned(processes, self.facts.cgroups, layout, self._held)
        if self._filters is not None:
            self._check_kept(self._filters)
            if self._view.kinds and set(head.kinds) - self._view.kinds:
                self._narrowed = replace(self._filters, kinds=self._view.kinds | self._view.also)
            asked = self._filters.describe()
            keeps = tuple(name for name in head.keeps if name not in EXACT or not asked)
            self.head = replace(head, filters=head.filters | asked, keeps=keeps)
        self._view.begin(self.facts, self.head)

    def _check_kept(self, filters: Filters) -> None:
        """Refuse what the recording cannot show. Errors: TracerError."""
        kept = set(self.head.kinds)
        wanted = self._view.kinds - (self._view.may_lack if self._view.may_lack & kept else set())
        never = (filters.kinds | wanted) - kept
        if never:
            raise TracerError(
                f"this recording keeps no {', '.join(sorted(never))} records",
                f"make one that does: tcptrace record --kind {','.join(sorted(never))} FILE",
            )
        uids = filters.uids | filters.excluded.uids
        if uids and "uid" not in (self.head.layout.dtypes["state"].names or ()):
            raise TracerError(
                "this recording is of a version that kept no uid", "make another one with --uid"
            )
        needs, keeps = self._view.needs, self.head.keeps
        if needs and not set(needs) & set(keeps):
            shows = next((SHOWN_BY[name] for name in SHOWN_BY if name in keeps), "events")
            raise TracerError(
                f"this recording keeps no {needs[0]}, only {' and '.join(keeps)}",
                f"show it with: tcptrace {shows} -r FILE; make one that does: {MADE_BY[needs[0]]}",
            )

    @property
    def _is_snapshot(self) -> bool:
        """Whether nothing was traced: owners are found from what processes hold."""
        return "holders" in self.head.keeps

    def _tasks(self, frame: Frame) -> None:
        rows = self._rows(frame, "task_row")
        if self._is_snapshot:
            # each pass has them as they are by then
            self.facts.processes.forget()
            self._owned.names = Names()
        self.facts.processes.add_rows(rows)
        if self._asks_names:
            self._owned.names.add_rows(rows)

    def _holds(self, frame: Frame) -> None:
        rows = self._held = self._rows(frame, "holder_row")
        if self._is_snapshot:  # of all sockets
            self._owned.held = rows
            rows = rows[rows["state"] == self.facts.layout.enums["tcp_state"]["LISTEN"]]
        self._owned.holders = self.facts.holders = rows

    def _cgroups(self, frame: Frame) -> None:
        found = json.loads(bytes(frame.data))
        self.facts.cgroups.update({int(key): path for key, path in found.items()})

    def _reasons(self, frame: Frame) -> None:
        found = json.loads(bytes(frame.data))
        self.facts.reasons.update({int(key): name for key, name in found["reasons"].items()})
        self.facts.subsystems.update({int(key): name for key, name in found["subsystems"].items()})

    def _code(self, frame: Frame) -> None:
        found = json.loads(bytes(frame.data))
        self.facts.code.update({int(key): name for key, name in found.items()})

    def _stacks(self, frame: Frame) -> None:
        self.facts.calls.add(Told.from_bytes(bytes(frame.data)))

    def _made(self, frame: Frame) -> None:
        self._view.made(Made.from_bytes(bytes(frame.data)))

    def _descriptors(self, frame: Frame) -> None:
        found = json.loads(bytes(frame.data))
        self._view.descriptors({(pid, start): (used, limit) for pid, start, used, limit in found})

    def _all_descriptors(self, frame: Frame) -> None:
        found = json.loads(bytes(frame.data))
        self._view.all_descriptors(
            {(pid, start): (used, limit) for pid, start, used, limit in found}
        )

    def _cost(self, frame: Frame) -> None:
        self._view.cost(KernelCost.from_bytes(bytes(frame.data)))

    def _rows(self, frame: Frame, name: str) -> Records:
        return np.frombuffer(frame.data, self.facts.layout.dtypes[name])

    # --- records --------------------------------------------------------------

    def _samples(self, frame: Frame) -> None:
        if not self._view.wants_records:
            return
        small = frame.tag == "SMAL"
        dtype = self.facts.layout.dtypes["state" if small else "large"]
        data = np.frombuffer(frame.data, np.uint8)
        sorter = self._small if small else self._large
        sorter.add(view(data, self.head.encoding[frame.tag], dtype))

    def _tick(self, frame: Frame) -> None:
        now, offset = np.frombuffer(frame.data, np.int64)[:2].tolist()
        self._pass_on(self._ticks[1])
        self._ticks = [self._ticks[1], now]
        self._view.tick(now)
        self._tell_lost(now)
        if abs(offset - self._offset_ns) > CLOCK_STEP_NS:
            moved = (offset - self._offset_ns) / 1e9
            self._view.notice(
                f"the wall clock was set {moved:+.1f} s; times here are by the old one"
            )
            self._offset_ns = offset

    def _pass_on(self, before_ns: int | None) -> None:
        small, large = self._small.take(before_ns), self._large.take(before_ns)
        if small is None and large is None:
            return
        batch = split(small, large, self.facts.layout)
        if self._view.kinds:
            wanted = self._view.kinds | self._view.also | {"task"}
            batch = Batch({kind: batch.kinds[kind] for kind in batch.kinds if kind in wanted})
        if self._filters is not None:
            for task in batch.kinds.get("task", ()):
                self.facts.processes.add_unseen(task)
            if self._asks_names and "task" in batch.kinds:
                self._owned.names.add_events(batch.kinds["task"])
            batch = Batch({kind: self._filter(kind, batch.kinds[kind]) for kind in batch.kinds})
        self._view.batch(batch)

    def _filter(self, kind: str, records: Records) -> Records:
        if kind == "task" or self._narrowed is None:
            return records
        passed, refused = refuse(self._narrowed, records, self.facts.layout, self._owned)
        for name, count in refused.items():
            self._refused[name] = self._refused.get(name, 0) + count
        self._passed += int(passed.sum())
        return records[passed]

    # --- counts ---------------------------------------------------------------

    def _stats(self, frame: Frame) -> None:
        stats = self._rows(frame, "stats")[0]
        self._pending += self.tally.read(stats, self.facts.layout)
        if not self._is_narrowed:
            self._view.counted(stats)

    def _missed(self, frame: Frame) -> None:
        self._pending += self.tally.read_missed(json.loads(bytes(frame.data)))

    def _tell_lost(self, now_ns: int) -> None:
        if self._pending:
            self._view.lost([Lost(now_ns, count, why, of) for why, of, count in self._pending])
            self._pending = []

    def _counts(self, frame: Frame) -> None:
        narrowed = self._filters.describe() if self._filters is not None else {}
        if narrowed:
            raise TracerError(
                f"this recording keeps counts only; {next(iter(narrowed.values()))} needs records",
                "make it with: tcptrace record FILE",
            )
        pairs = self._counted_pairs(frame)
        self._view.counts(pairs["key"], pairs["value"])

    def _moves(self, frame: Frame) -> None:
        if not self._is_narrowed:
            pairs = self._counted_pairs(frame)
            self._view.moves(pairs["key"], pairs["value"])

    def _counted_pairs(self, frame: Frame) -> Records:
        dtypes = self.facts.layout.dtypes
        pair = np.dtype([("key", dtypes["count_key"]), ("value", dtypes["count_value"])])
        return np.frombuffer(frame.data, pair)

    @property
    def _is_narrowed(self) -> bool:
        """Whether filters are applied here."""
        return self._filters is not None and bool(self._filters.describe())

    def _sockets(self, frame: Frame) -> None:
        rows = self._rows(frame, "sock_row")
        asked = (rows["matched"] > 0) & self._asked(rows)
        self._view.all_sockets(rows, asked)
        self._view.sockets(_chosen(rows, asked))

    def _sysctls(self, frame: Frame) -> None:
        found = json.loads(bytes(frame.data))
        self._view.sysctls({int(inode): settings for inode, settings in found.items()})

    def _connections(self, frame: Frame) -> None:
        rows = self._rows(frame, "open_row")
        rows = _chosen(rows, rows["matched"] > 0)
        if self._is_snapshot:
            give_owners(rows, self._held, self.facts.layout)
            rows = self._narrow(rows)
            self._view.sockets(rows)
        else:
            rows = rows[self._asked(rows)]
        self._view.connections(rows, self._ticks[1])

    def _narrow(self, rows: Records) -> Records:
        """What of the latest look is asked for."""
        if not self._view.wants_listeners:
            heard = rows["state"] == self.facts.layout.enums["tcp_state"]["LISTEN"]
            rows = _chosen(rows, ~heard)
        passed = self._asked_of_look(rows)
        self._view.all_sockets(rows, passed)
        return _chosen(rows, passed)

    def _asked_of_look(self, rows: Records) -> NDArray[np.bool_]:
        """Which rows are asked for, counted: nothing in the kernel has done either."""
        passed = np.ones(len(rows), np.bool_)
        if self._filters is not None:
            passed, refused = refuse(
                self._filters.of_sockets(), rows, self.facts.layout, self._owned
            )
            self._refused = dict(refused)
        self.tally.seen = len(rows)
        self._passed = self.tally.matched = int(passed.sum())
        return passed

    def _listeners(self, frame: Frame) -> None:
        rows = self._rows(frame, "listener_row")
        rows = rows[rows["matched"] > 0]
        asks = self._asked
        if self._is_snapshot:
            give_listeners(rows, self._held)
            asks = self._asked_of_look
        self._view.listeners(rows[asks(as_sockets(rows, self.facts.layout))])

    def _asked(self, rows: Records) -> NDArray[np.bool_]:
        """Which rows of sockets the filters of a replay leave."""
        if self._filters is None:
            return np.ones(len(rows), np.bool_)
        asked = self._filters.of_sockets()
        return refuse(asked, rows, self.facts.layout, self._owned)[0]

    def _drops(self, frame: Frame) -> None:
        dtypes = self.facts.layout.dtypes
        pair = np.dtype([("key", dtypes["drop_key"]), ("value", dtypes["drop_value"])])
        self._pass_on(None)
        self._view.drops(np.frombuffer(frame.data, pair), filtered=not self._is_narrowed)

    def _rest_of_packets(self, frame: Frame) -> None:
        self._rest = np.frombuffer(frame.data, np.uint64)

    def _packets(self, frame: Frame) -> None:
        dtypes = self.facts.layout.dtypes
        pair = np.dtype([("key", dtypes["packet_key"]), ("value", dtypes["packet_value"])])
        self._pass_on(None)
        pairs = np.frombuffer(frame.data, pair)
        self._view.packets(pairs, self._rest, filtered=not self._is_narrowed)

    def _resets(self, frame: Frame) -> None:
        if self._is_narrowed:
            return
        dtypes = self.facts.layout.dtypes
        pair = np.dtype([("key", dtypes["reset_key"]), ("value", dtypes["reset_value"])])
        self._pass_on(None)
        self._view.resets(np.frombuffer(frame.data, pair))

    def _devices(self, frame: Frame) -> None:
        found = json.loads(bytes(frame.data))
        asked = self._filters.netns if self._filters is not None else frozenset()
        devices = {
            (int(inode), name): counters
            for inode, by_name in found["devices"].items()
            for name, counters in by_name.items()
            if not asked or int(inode) in asked
        }
        cpus = {int(cpu): counters for cpu, counters in found["softnet"].items()}
        self._view.devices(Devices(devices, cpus))

    def _packet_filters(self, frame: Frame) -> None:
        asked = self._filters.netns if self._filters is not None else frozenset()
        self._view.packet_filters(PacketFilters.of(json.loads(bytes(frame.data)), asked))

    def _attached(self, frame: Frame) -> None:
        change = Attachment.from_bytes(bytes(frame.data))
        self.head.attached[change.subject] = change.how
        self._view.attached(change)

    def _kernel(self, frame: Frame) -> None:
        self._view.kernel(self._by_namespace(frame))

    def _edge(self, frame: Frame) -> None:
        self._view.edge(self._by_namespace(frame))

    def _unrecorded(self, frame: Frame) -> None:
        told = self._by_namespace(frame)
        # recordings of before 0.1.0 have children alone
        counts = {
            netns: {"PassiveOpens": found} if isinstance(found, int) else found
            for netns, found in told.items()
        }
        self._view.unrecorded(counts)

    def _by_namespace(self, frame: Frame) -> dict[int, Any]:
        found = {int(inode): told for inode, told in json.loads(bytes(frame.data)).items()}
        asked = self._filters.netns if self._filters is not None else frozenset()
        # 0: not known, and any may be meant
        return {inode: found[inode] for inode in found if not asked or inode in {0, *asked}}

    def _gate(self, frame: Frame) -> None:
        self._view.gate(int(np.frombuffer(frame.data, np.int64)[0]))

    def _mark(self, frame: Frame) -> None:
        now = int(np.frombuffer(frame.data, np.int64)[0])
        self._pass_on(None)
        self._view.mark(now, self._final())

    def _last(self, frame: Frame) -> None:
        last = json.loads(bytes(frame.data))
        self._end(last["mono_ns"], last["ended_by"])

    def _end(self, mono_ns: int, ended_by: str) -> None:
        self.ended = True
        self._pass_on(None)
        self._tell_lost(mono_ns)
        filters = self._filters or Filters()
        self._view.end(Outcome(self._final(), mono_ns - self._started_ns, ended_by, filters))

    def cut(self, name: str, stopped: bool = False) -> None:
        """There are no more frames, though no end was told: show what there is, and say so.

        `stopped`: it was asked for, and no end came in time.

        Errors: TracerError where not even the session's head is there.
        """
        if not hasattr(self, "head"):
            raise TracerError(f"{name} holds nothing yet", "it was cut, or is still being made")
        why = "it was left" if stopped else "who made it was killed, or it was cut"
        self._view.notice(
            f"{name} ends early: {why}; this is what it holds, up"
            f" to {self.facts.clock.iso(self._ticks[1])}"
        )
        # the looks there may be are of the begin: what there was at the end is not known
        none = np.zeros(0, self.facts.layout.dtypes["sock_row"])
        self._view.not_looked()
        self._view.sockets(none)
        self._end(max(self._ticks[1], self._started_ns), "cut")

    def _final(self) -> Tally:
        self.tally.late = self._small.late + self._large.late
        narrowed = self._narrowed
        if narrowed is not None and (narrowed.describe() or narrowed.kinds):
            self.tally.matched = self._passed
            self.tally.refused = dict(self._refused)
        if self._window is not None:
            self.tally.matched = self._passed
            self.tally.refused = self._refused | self._window.removed
        return self.tally


def _chosen(rows: Records, asked: NDArray[np.bool_]) -> Records:
    """These rows; of many a copy takes long, so where all are asked for there is none."""
    return rows if asked.all() else chosen(rows, asked)
