"""The composition root: a source of frames, a recording perhaps, a player and its view.

    from tracer.session import Limits, Session, Settings
    Session(Settings(), view, limits=Limits(seconds=10)).run()

Also the public API for scripts: see examples/.
"""

from __future__ import annotations

import io
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tracer.attribution import cgroups, descriptors
from tracer.errors import TracerError
from tracer.kernel import packet_filters, sysctls
from tracer.kernel.followers import Followers
from tracer.kernel.live import LiveSource, Settings
from tracer.kernel.netstat import Counters
from tracer.kernel.spent import spent_s
from tracer.limits import Limits
from tracer.player import Player
from tracer.stacks import MadeFrames, StackFrames
from tracer.told import Code, Descriptors, Groups
from tracer.views.base import View
from tracer.views.output import PipeClosed
from tracer.wire.cost import OVER
from tracer.wire.distinct import distinct
from tracer.wire.filters import Filters
from tracer.wire.head import Head
from tracer.wire.layout import Records
from tracer.wire.pipe import Pipe
from tracer.wire.recording import Frame, Writer, end_of, read
from tracer.wire.window import Window

__all__ = ["Limits", "Replay", "Session", "Settings"]

FAST_S, SLOW_S = 0.05, 0.2
IDLE_S = 5.0  # what is waited for wakes it before
QUIET_S = 0.5
CLOSER_LOOK = "connections"  # as tracer/probes/snapshot.py calls it
ADVICE = "advice"  # what a sparing session reads settings for
RULES = "packet filters"
PROGRESS_S = 1.0
RESEED_S = 5.0  # look again who holds what this often,
RESEED_SOON_S = 0.5  # and this soon when a process that had sockets has ended,
COLLECT_S = 5.0  # what has closed makes room this often, however long a look takes
LOOK_SHARE = 600  # of sparing sessions: 1/600 of a CPU for each kind of look,
OPEN_SHARE = 50  # and 1/50 for these, while what is dropped there is looked at as well,
OPEN_TOO = {"listeners": "syn_drop", "devices": "drop"}
LOST_SHARE = 15  # and 1/15 for sockets, while records of them are lost,
LOOK_S = 30.0  # but at least this often
RESEED_SHARE = 500  # less often where a look is long: 1/500 of a CPU at most


@dataclass
class Session:
    """A live session: programs in the kernel, frames from them, a view that shows them."""

    settings: Settings
    show: View
    record: Writer | None = None
    utc: bool = False
    loading: Callable[[], None] = lambda: None  # the kernel is about to check the programs
    ready: Callable[[], None] = lambda: None
    notice: Callable[[str], None] = lambda text: None
    progress: Callable[[str], None] = lambda text: None
    shows_progress: bool = False  # whether anybody sees that
    wake_fd: int | None = None
    program_ended: Callable[[], bool] | None = None  # of one that was started to be traced
    limits: Limits = field(default_factory=Limits)

    def run(self) -> Player:
        """Trace until a limit is reached; everything is detached when this returns."""
        player = Player(self.show, None, self.utc)
        mount = cgroups.find_mount()
        source = LiveSource(self.settings, partial(self._find_groups, mount), self.loading)
        self._began = self._told = time.monotonic()
        self._next_look: dict[str, float] = {}
        self._lost, self._unsure = 0, False
        self._woken = False
        self._told_of = 0
        try:
            # what was open as it began, before anybody is told that it has
            sparing = self.settings.sparing
            self._first = source.connections() if self._wants_connections and not sparing else None
            asks = self.settings.reconcile or self.settings.sysctls
            compares = asks and self.settings.stream and self.settings.snapshots and not sparing
            self._first_sockets = source.sockets() if compares else None
            self._first_rules = None if sparing else self._packet_filters()
            self.ready()
            self._tell(source)
            for frame in self._frames(source):
                if self.record:
                    self._keep(self.record, frame, source.waiting)
                if frame.tag in ("MARK", "LAST"):
                    self.progress("")
                player.feed(frame)
                if frame.tag == "TICK" and self.show.gathers:
                    self._tell_progress(player)
            self._tell(source)
            for text in source.costs():
                self.notice(text)
        finally:
            source.close()
        return player

    def _tell(self, source: LiveSource) -> None:
        """Say what is new of what the source has to say."""
        new, self._told_of = source.notices[self._told_of :], len(source.notices)
        for text in new:
            self.notice(text)

    def _find_groups(self, mount: Path | None) -> dict[int, cgroups.Group]:
        return cgroups.find_asked(self.settings.filters, mount)

    def _tell_progress(self, player: Player) -> None:
        now = time.monotonic()
        if now < self._told + PROGRESS_S:
            return
        self._told = now
        tally = player.tally
        self.progress(
            f"{now - self._began:.0f} s: {tally.seen} seen, {tally.matched} matched,"
            f" {tally.lost} lost; Ctrl-C ends it and shows them"
        )

    def _keep(self, record: Writer, frame: Frame, waiting: int) -> None:
        try:
            record.write(frame)
            if frame.tag == "TICK":
                record.flush()
        except BrokenPipeError:
            raise PipeClosed from None
        except OSError as error:
            raise TracerError(
                f"cannot write to {record.name}: {error.strerror}",
                "what was written before can be shown: give more room or another place",
            ) from error
        limits = self.limits
        if limits.most_bytes and record.size > limits.most_bytes and not limits.stop:
            limits.stop = "size"
            self.notice(f"{record.name} has reached --max-size: recording ends")
        if frame.tag == "TICK" and not limits.stop and record.is_short_of_room(waiting):
            limits.stop = "disk"
            self.notice(f"the disk of {record.name} is nearly full: recording ends")

    # --- frames ---------------------------------------------------------------

    def _frames(self, source: LiveSource) -> Iterator[Frame]:
        limits = self.limits
        yield Frame("HEAD", _describe(source, self.settings).to_bytes())
        yield Frame("TASK", source.task_rows)
        yield Frame("HOLD", source.holder_rows)
        yield from self._sysctls()
        if self.settings.reconcile:
            yield from _kernel(*source.at_gate)
            if source.sees_packets or self.settings.reads_devices:
                yield _told(source.devices_before)
        if self._first_rules is not None:
            yield self._first_rules
        if self._first_sockets is not None:
            yield Frame("SOCK", self._first_sockets)  # what was counted before it began
        if source.sees_packets:
            yield _reasons(source)
        groups, self._code = Groups(source), Code(source)
        self._stacks = StackFrames(source)
        self._made = MadeFrames(source)
        self._descriptors = Descriptors()
        yield from groups.frames(source.task_rows["cgroup_id"].tolist())
        if self._first is not None:
            yield Frame("OPEN", self._first)
        begin = time.monotonic()
        if self.settings.sparing:
            self._next_look["holders"] = begin + RESEED_S  # as they were found just now
            yield from self._look(source)
        self._marks = 0
        end = begin + limits.seconds if limits.seconds else None
        mark = begin + limits.interval if limits.interval else None
        came_last, quiet, rests = begin, False, False
        look, soon, collect = begin + RESEED_S, begin, begin + COLLECT_S
        followers = Followers(source, self.program_ended) if self.program_ended else None
        while not limits.stop:
            source.wait(self._pause(quiet, rests, end, mark), self.wake_fd)
            came = False
            marks = limits.interim or (mark is not None and time.monotonic() >= mark)
            asks = marks or not self.settings.sparing
            for frame in self._drain(source, groups, asks=asks):
                came = came or frame.tag in ("SMAL", "LARG")
                yield frame
            yield from self._change(source)
            yield from self._price(source)
            if came or source.later.is_busy:
                came_last = time.monotonic()
            quiet = time.monotonic() - came_last >= QUIET_S
            rests = self._rests(source, quiet)
            if followers is not None and followers.have_gone():
                limits.stop = limits.stop or "gone"
            now = time.monotonic()
            if now >= look or (source.someone_ended and now >= soon):
                spent = source.reseed()
                self._tell(source)
                yield Frame("TASK", source.task_rows)  # an heir may have made no record yet
                look = now + max(RESEED_S, spent * RESEED_SHARE)
                soon = now + max(RESEED_SOON_S, spent * RESEED_SHARE)
                if self._pids_ended(source) and not limits.stop:
                    limits.stop = "gone"
                    self.notice("the processes of --pid have ended")
            if now >= collect:
                source.collect_closed()
                collect = now + COLLECT_S
            if end is not None and now >= end:
                limits.stop = limits.stop or "duration"
            elif limits.interim or (mark is not None and now >= mark):
                while mark is not None and limits.interval and now >= mark:
                    mark += limits.interval
                limits.interim = False
                self._marks += 1
                yield from self._look(source)
        yield from self._finish(source, groups)

    def _pids_ended(self, source: LiveSource) -> bool:
        # where there is a program, Followers say more exactly when it is over
        return bool(self.settings.filters.pids) and source.all_ended and not self.program_ended

    def _look(self, source: LiveSource) -> Iterator[Frame]:
        yield from self._snapshot(source)
        if source.is_priced:
            yield Frame("COST", source.cost().to_bytes())
        yield Frame("MARK", np.array([time.monotonic_ns()], np.int64))

    def _change(self, source: LiveSource) -> Iterator[Frame]:
        """What was attached or detached meanwhile: its counts begin, or end, with that."""
        source.later.want(self.limits.wanted & self.settings.later)
        for change in source.later.step():
            is_packets = change.subject == "drop"
            if source.sees_packets and is_packets:
                yield _reasons(source)
                yield from self._count_packets(source)
            elif source.sees_drops and not is_packets:
                yield Frame("DROP", source.drops())
            if change.how == "off":
                source.later.let_go(change.subject)
            else:
                self._next_look.pop("listeners", None)
            yield Frame("ATCH", change.to_bytes())
            if source.sees_packets and is_packets and change.how != "off":
                yield _told(source.devices_before)

    def _price(self, source: LiveSource) -> Iterator[Frame]:
        """Begin to measure what the programs take, or end it, as was asked for meanwhile."""
        wanted = self.limits.priced
        if wanted == source.is_priced:
            return
        try:
            source.price(wanted)
        except OSError as error:
            self.limits.priced = False
            self.notice(f"the kernel does not measure its programs: {error.strerror}")
        if not source.is_priced:
            yield Frame("COST", OVER)

    def _rests(self, source: LiveSource, quiet: bool) -> bool:
        """Whether it may sleep for long: what is waited for will wake it."""
        if self.program_ended is not None:
            return False
        if self.settings.sparing:  # whatever is asked for does, and a buffer that fills
            return quiet
        before, self._woken = self._woken, source.be_woken(quiet)
        return before and self._woken  # what came before that was so has woken nobody

    def _pause(self, quiet: bool, rests: bool, end: float | None, mark: float | None) -> float:
        # what only adds up shows nothing sooner: larger batches cost less a record
        pause = SLOW_S if quiet or self.show.gathers else FAST_S
        if rests:
            pause = PROGRESS_S if self.shows_progress and self.show.gathers else IDLE_S
        now = time.monotonic()
        for moment in (end, mark):
            if moment is not None:
                pause = min(pause, max(0.0, moment - now))
        return pause

    def _drain(
        self, source: LiveSource, groups: Groups, final: bool = False, asks: bool = True
    ) -> Iterator[Frame]:
        """What came, and, if it `asks` or something did, the counters."""
        began_ns: int | None = None
        for drained in source.drain():
            if began_ns is not None:
                yield _tick(began_ns)
            began_ns = drained.began_ns
            for tag, chunks in drained.parts:
                for chunk in chunks:
                    asks = True
                    if tag == "LARG":
                        yield from groups.frames(source.task_cgroups(chunk))
                        yield from self._descriptors.frames(source, chunk)
                        if source.may_see_packets:
                            yield from self._code.frames(source.drop_places(chunk))
                        yield from self._stacks.of_records(chunk)
                    yield Frame(tag, chunk)
        stats = source.stats() if asks else None
        if stats is not None:
            yield Frame("STAT", stats)
            lost = int(stats["lost_buffer"].sum() + stats["lost_map"].sum())
            # sockets are kept up from records
            self._unsure, self._lost = self._unsure or lost > self._lost, lost
        # it asks for each program by itself: a third of what an idle session takes
        missed = source.missed() if stats is not None or final else {}
        if missed:
            yield Frame("MISS", json.dumps(missed).encode())
        if began_ns is not None:
            yield _tick(began_ns)

    def _snapshot(self, source: LiveSource, final: bool = False) -> Iterator[Frame]:
        yield from self._sysctls(final)
        if self.settings.count_by_owner:
            yield Frame("CNTS", source.counts())
        if self.settings.counts_moves:
            yield Frame("MOVE", source.moves())
        looks: dict[str, tuple[bool, str, Callable[[], Records]]] = {
            "sockets": (self.settings.snapshots, "SOCK", source.sockets),
            "connections": (self._wants_connections, "OPEN", source.connections),
            "listeners": (self.settings.listen_stats, "LSTN", partial(source.listeners, final)),
        }
        looked = False
        for name, (wanted, tag, look) in looks.items():
            if wanted and self._is_due(name, final):
                if not looked and self._is_due("holders", final):
                    with self._priced("holders"):
                        yield from self._holders(source)
                looked = True
                with self._priced(name):
                    yield Frame(tag, rows := look())
                if tag == "OPEN" and final:
                    yield from self._made.of_open(rows)
        drops: list[Frame] = []

        def count_drops() -> None:
            if source.sees_drops:
                drops.append(Frame("DROP", source.drops()))
            if source.sees_packets:
                drops.extend(self._count_packets(source))
            if source.counts_resets:
                drops.append(Frame("RSTS", source.reset_counts()))

        yield from self._devices(source, final)
        yield from self._rules(final)
        if final or not self.settings.reconcile or not self._is_due("kernel", final):
            count_drops()
            yield from drops
            if final and self.settings.reconcile:
                yield from _kernel(*source.at_gate)
            return
        with self._priced("kernel"):
            read = source.netstat(count_drops)
        yield from drops
        yield from _kernel(*read)
        yield from self._unrecorded(source)

    def _unrecorded(self, source: LiveSource) -> Iterator[Frame]:
        """What the kernel counted of handshakes, and no record tells of."""
        if "handshake" in self.settings.wanted:
            yield Frame("AWAY", json.dumps(source.unrecorded()).encode())

    def _sysctls(self, final: bool = False) -> Iterator[Frame]:
        if not self.settings.sysctls or not self._is_due("sysctls", final):
            return
        if self.settings.sparing and ADVICE not in self.limits.wanted:
            return
        with self._priced("sysctls"):
            found = sysctls.read(set(self.settings.filters.netns) or None)
        yield Frame("SYSC", json.dumps(found).encode())

    def _devices(self, source: LiveSource, final: bool) -> Iterator[Frame]:
        """What they count, where that is not told with the packets that are dropped."""
        if not self.settings.devices or source.sees_packets or not self._is_due("devices", final):
            return
        if self.settings.sparing and ADVICE not in self.limits.wanted:
            return
        with self._priced("devices"):
            yield _told(source.devices())

    def _rules(self, final: bool) -> Iterator[Frame]:
        """Those of packet filters at the end, or now and then while advice is asked for."""
        wanted = ADVICE in self.limits.wanted if self.settings.sparing else final
        if not wanted or not self._is_due(RULES, final):
            return
        began = spent_s()
        found = self._packet_filters()
        # a process for each namespace with tables: never soon again, however short it was
        pause = max(LOOK_S, (spent_s() - began) * LOOK_SHARE)
        self._next_look[RULES] = time.monotonic() + pause
        if found is not None:
            yield found

    def _packet_filters(self) -> Frame | None:
        if not self.settings.packet_filters:
            return None
        found = packet_filters.read(set(self.settings.filters.netns) or None)
        return Frame("RULE", json.dumps(found).encode())

    def _count_packets(self, source: LiveSource) -> Iterator[Frame]:
        pairs, rest = source.packets()
        yield from self._code.frames(distinct(pairs["key"]["location"]).tolist())
        yield from self._stacks.of_counts(pairs)
        if self.settings.reconcile and self._is_due("devices", False):
            with self._priced("devices"):
                yield _told(source.devices())
        yield Frame("REST", rest)
        yield Frame("PKTS", pairs)

    def _holders(self, source: LiveSource) -> Iterator[Frame]:
        """Look who holds what now; an heir may have made no record yet."""
        source.look_at_holders()
        yield Frame("TASK", source.task_rows)
        yield Frame("HOLD", source.holder_rows)

    @property
    def _wants_connections(self) -> bool:
        """A sparing session looks at each closely only while somebody looks at that."""
        asked = not self.settings.sparing or CLOSER_LOOK in self.limits.wanted
        return self.settings.connections and asked

    def _is_due(self, look: str, final: bool) -> bool:
        if not self.settings.sparing:
            return True
        soon = "sockets, soon" if look == "sockets" and self._unsure else look
        return final or time.monotonic() >= self._next_look.get(soon, 0.0)

    @contextmanager
    def _priced(self, look: str) -> Iterator[None]:
        """A look that took long is not repeated soon: it may take LOOK_SHARE of a CPU."""
        began = spent_s()
        yield
        open_too = OPEN_TOO.get(look) in self.limits.wanted
        share = OPEN_SHARE if open_too else LOOK_SHARE
        pause = min((spent_s() - began) * share, LOOK_S)
        if look == "listeners" and look not in self._next_look:
            pause = 0.0  # what they accept a second is known from the second look on
        self._next_look[look] = time.monotonic() + pause
        if look == "sockets":
            self._unsure = False
            spent = spent_s() - began
            self._next_look["sockets, soon"] = time.monotonic() + min(spent * LOST_SHARE, LOOK_S)

    def _finish(self, source: LiveSource, groups: Groups) -> Iterator[Frame]:
        """Stop sending first: then what was counted and what was sent agree."""
        ended = source.stop()
        yield Frame("GATE", np.array([ended], np.int64))
        yield from self._drain(source, groups, final=True)
        if self.settings.descriptors and source.initial_pids:
            found = descriptors.of_all(source.who_may_run_out())
            yield Frame("FDSC", json.dumps(found).encode())
        yield from self._snapshot(source, final=True)
        if self.settings.reconcile and self.settings.stream:
            source.end_late()
            yield from self._drain(source, groups, final=True)
            yield from self._unrecorded(source)  # of the last attempts, too
        source.begin_detach()
        if self._marks and self.limits.interval:
            yield Frame("MARK", np.array([ended], np.int64))  # the last interval, cut short
        last = {"mono_ns": ended, "ended_by": self.limits.stop}
        yield Frame("LAST", json.dumps(last).encode())


def _tick(began_ns: int) -> Frame:
    offset = time.time_ns() - time.monotonic_ns()
    return Frame("TICK", np.array([began_ns, offset], np.int64))


def _kernel(counters: Counters, moved: Counters) -> Iterator[Frame]:
    yield Frame("KERN", json.dumps(counters).encode())
    if moved:
        yield Frame("EDGE", json.dumps(moved).encode())


def _told(devices: dict[str, Any]) -> Frame:
    return Frame("DEVS", json.dumps(devices).encode())


def _reasons(source: LiveSource) -> Frame:
    return Frame("RSNS", json.dumps(source.drop_words).encode())


def _describe(source: LiveSource, settings: Settings) -> Head:
    keeps = {
        "records": settings.stream,
        "counts": settings.count_by_owner,
        "moves": settings.counts_moves,
        "sockets": settings.snapshots,
        "connections": settings.connections,
        "listeners": settings.listen_stats,
        "drops": source.sees_drops,
        "packets": source.sees_packets,
        "resets": source.counts_resets,
        "stacks": settings.stacks,
        "made": settings.made,
        "kernel": settings.reconcile,
    }
    return Head(
        layout=source.layout,
        encoding=source.encoding,
        started_ns=source.started_ns,
        offset_ns=time.time_ns() - time.monotonic_ns(),
        initial_pids=source.initial_pids,
        host=platform.node(),
        kernel=os.uname().release,
        kinds=tuple(sorted(settings.wanted)),
        filters=settings.filters.describe(),
        keeps=tuple(name for name, kept in keeps.items() if kept),
        attached=source.rungs,
        netns=tuple(sorted(settings.filters.netns)),
        reset_reasons=source.reset_reasons,
        costs=source.later_costs,
    )


@dataclass(frozen=True)
class Replay:
    """A recording, how much of it to show, and with which filters. `-` is standard input."""

    path: str
    filters: Filters
    utc: bool = False
    window: Window | None = None
    wake_fd: int = -1

    @property
    def name(self) -> str:
        """As it is told of."""
        return "standard input" if self.path == "-" else self.path

    def show(self, show: View, limits: Limits) -> Player:
        """Show it as the session that made it was shown. Errors: OSError, TracerError."""
        player = Player(show, self.filters, self.utc, self.window)
        if self.window is not None and self.path != "-":
            self.window.ended_ns = end_of(self.path)
        with self._open(limits) as file:
            frames = read(file, self.name)
            if self.window is not None:
                frames = self.window.cut(frames, show.kinds)
            for frame in frames:
                # stopped early, what is left is passed over: the end still has the counts. What a
                # pipe still brings after a signal is the end that its writer makes of it
                streams = self.path == "-" and limits.stop.startswith("SIG")
                if not limits.stop or streams or frame.tag in ("STAT", "MISS", "LAST"):
                    player.feed(frame)
        if not player.ended:
            player.cut(self.name, stopped=self.path == "-" and bool(limits.stop))
        return player

    def _open(self, limits: Limits) -> BinaryIO:
        if self.path != "-":
            return open(self.path, "rb")
        pipe = Pipe(0, lambda: limits.stop.startswith("SIG"), self.wake_fd)
        return io.BufferedReader(pipe, 1 << 20)
