"""The running kernel as a source of frames: load, attach, seed, drain, count.

Order matters at the start: the probes first, so that nothing is missed; then the processes of
--pid, walked until nothing changes; then the owners of what was there; only then is the gate
opened, and from there on records are counted and sent.
"""

from __future__ import annotations

import errno
import mmap
import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracer.kernel import (
    before_packets,
    cookies,
    kernel_btf,
    made,
    maps,
    mib,
    netstat,
    objects,
    packets,
    preflight,
    resets,
    stacks,
    symbols,
    syn_drops,
    tracefs,
    unrecorded,
)
from tracer.kernel.account import Account
from tracer.kernel.beside import Beside
from tracer.kernel.buffers import Buffers, Chunk, online_cpus
from tracer.kernel.core import CoreObject
from tracer.kernel.counts import OwnerCounts, await_programs, make_room
from tracer.kernel.drains import Drained, Drains
from tracer.kernel.drops_beside import Host
from tracer.kernel.groups import FindGroups, mark_groups
from tracer.kernel.later import Later
from tracer.kernel.listening import Listening
from tracer.kernel.loader import BpfObject
from tracer.kernel.passes import INSIDE, find_pid_namespace, read_sockets
from tracer.kernel.perf import PerfBuffers
from tracer.kernel.pricing import Pricing
from tracer.kernel.ring import RingBuffers
from tracer.kernel.settings import Settings
from tracer.kernel.setup import write_config, write_filter_maps
from tracer.kernel.targets import Processes
from tracer.probes import CONNECTIONS, COOKIES, LISTENERS, OWNERS, SOCKETS
from tracer.wire.batch import Encoding, view
from tracer.wire.btf import Btf
from tracer.wire.cost import KernelCost
from tracer.wire.distinct import distinct
from tracer.wire.layout import Layout, Records, derive

__all__ = ["LiveSource", "Settings"]

IDLE_PAGES = 64
MOST_PAGES = 1024
BUFFER_BYTES = 256 << 20  # for all CPUs and both buffers


class LiveSource:
    """Programs in the kernel, and what they have to tell."""

    def __init__(
        self,
        settings: Settings,
        find_groups: FindGroups | None = None,
        loading: Callable[[], None] = lambda: None,
    ) -> None:
        preflight.check(settings.accept_hook, settings.by_bcc)
        self._path = objects.find(settings.by_bcc)
        self._types = types = Btf.load(self._path)
        self.settings = settings
        self._find_groups = find_groups
        self.layout: Layout = derive(types)
        self._buffers: dict[str, Buffers] = {}
        self._rings: Beside[dict[str, RingBuffers]] | None = None
        self._connecting: list[Beside[None]] = []
        self._drains: Drains | None = None
        self._poll = select.epoll()
        self._polled: set[int] = set()
        self._made_groups: Records | None = None
        self._pricing = Pricing(self._accounts)
        self.notices: list[str] = []
        self.someone_ended = False  # a process that had sockets: its listeners need an heir
        self._object: BpfObject
        if settings.by_bcc:  # the other start has no time for what it does not use
            from tracer.kernel.bcc import BccObject

            self._object = BccObject(self.layout, settings.filters, self._tell_once)
        else:
            self._object = CoreObject(self._path, types, self.layout)
        try:
            self._load(loading)
            self._start()
        except BaseException:
            self.close()
            raise

    # --- start ----------------------------------------------------------------

    def _load(self, loading: Callable[[], None]) -> None:
        settings, bpf = self.settings, self._object
        if settings.by_bcc:
            from tracer.kernel.bcc_ladder import climb_bcc as climb
        else:
            from tracer.kernel.ladder import climb
        self._ladder = ladder = climb(settings)
        if ladder.sees_resets:
            self._reset_code = Beside(resets.find_code)
        host = Host(bpf, self._path, self._types, self.layout, settings, ladder, self._tell_once)
        self.later = Later(ladder.later, host, syn_drops.find_code)
        self.notices += ladder.notices
        # through BCC there is no iterator: what is older is looked up in /proc (proc_passes.py)
        looks = (OWNERS, SOCKETS, LISTENERS, *([CONNECTIONS] if settings.connections else []))
        chosen = [*ladder.programs, *(name for look in looks for name in look.rungs[0].programs)]
        if ladder.sees_drops:
            chosen.append("tt_iter_hearing")
            syn_drops.write_setup(bpf, self.layout, ladder.rungs["syn_drop"] == "raw_tp")
        else:
            bpf.resize("tt_drops", 1)
            if ladder.may_see_drops:
                syn_drops.write_setup(bpf, self.layout, by_address=False)
        self._reasons: dict[int, str] = {}
        self._subsystems: dict[int, str] = {}
        if ladder.sees_packets:
            self._set_up_packets(bpf, chosen)
        else:
            bpf.resize("tt_packets", 1)
            bpf.resize("tt_packets_rest", 1)
        stacks.prepare(bpf, settings.stacks, settings.made)
        made.prepare(bpf, settings.made, settings.sockets)
        if ladder.sees_cookies:
            chosen += COOKIES.rungs[0].programs
            cookies.write_setup(bpf, self.layout)
        bpf.choose(chosen)
        if ladder.transport == "ring":
            for name in ("tt_small_rings", "tt_large_rings"):
                bpf.resize(name, maps.possible_cpus())
        bpf.resize("tt_socks", settings.sockets)
        places = min(bpf.entries("tt_places"), 1 << (settings.sockets.bit_length() - 1))
        if settings.by_bcc or self._path == objects.OLD:
            bpf.resize("tt_numbers", settings.sockets)  # bpf/numbers.h
            places = 1  # bpf/socks.h: not used
        bpf.resize("tt_places", places)
        keeps_lives = bool({"connection", "reset"} & settings.wanted)
        bpf.resize("tt_lives", places if keeps_lives else 1)
        bpf.resize("tt_other_lives", settings.sockets if keeps_lives else 1)
        if not settings.keeps_remains:
            bpf.resize("tt_timewaits", 1)
        if not ladder.sees_resets:
            bpf.resize("tt_breaks", 1)
        if "reset" not in settings.wanted:
            bpf.resize("tt_ports_held", 1)
        if not self.counts_resets:
            bpf.resize("tt_resets", 1)
            bpf.resize("tt_resets_rest", 1)
        if not ladder.sees_cookies:
            bpf.resize("tt_unrecorded", 1)
        if not settings.listen_stats:
            bpf.resize("tt_queues", 1)
        if settings.count_by_owner or settings.counts_moves:
            make_room(bpf, self.layout)
        else:
            bpf.resize("tt_counts", 1)
        write_config(bpf, self.layout, settings, ladder, places)
        self.reset_reasons = resets.reason_names() if "reset" in settings.wanted else {}
        kernel_btf.forget()
        mib.forget()
        if ladder.transport == "ring":
            self._rings = Beside(self._make_rings)
        loading()
        bpf.load()

    def _set_up_packets(self, bpf: BpfObject, chosen: list[str]) -> None:
        """What is dropped beside SYNs; who listens where is known from the same pass."""
        if not self._ladder.sees_drops:
            chosen.append("tt_iter_hearing")
            if not self._ladder.may_see_drops:
                syn_drops.write_setup(bpf, self.layout, by_address=False)
        if symbols.are_hidden():
            hidden = preflight.hidden_addresses()
            self._tell_once(f"where packets were dropped is not known: {hidden.message}")
        if not packets.tells_sockets():
            self._tell_once(packets.UNTOLD)
        self._reasons = packets.write_setup(bpf, self.layout)
        self._subsystems = packets.subsystem_names()

    def _start(self) -> None:
        settings, bpf = self.settings, self._object
        write_filter_maps(bpf, self.layout, settings.filters)
        self._open_buffers()
        self._control = bpf.variable("tt_control", self.layout.dtypes["control"])
        if settings.count_by_owner or settings.counts_moves:
            self._counts = OwnerCounts(bpf, self.layout, self._control)
        if self._ladder.sees_drops:
            self._drops = syn_drops.DropCounts(bpf, self.layout)
        if self._ladder.sees_packets:
            self._packets = packets.PacketCounts(bpf, self.layout)
        self.stacks = None
        if settings.stacks:
            self.stacks = stacks.Stacks(bpf, self.layout, self._tell_once)
            self._tell_once(stacks.COST)
        self.made = None
        if settings.made:
            self.made = made.MadeSockets(bpf, self.layout, self._control)
            self._tell_once(made.COST)
        if settings.kernel_cost:
            self._pricing.begin()
        find_pid_namespace(bpf)
        self._tell_once_if("" if self.initial_pids else INSIDE)
        if "tracepoint" in self._ladder.rungs.values():
            tracefs.reach(self._attach)
        else:
            self._attach()
        self._control["attached_ns"] = time.monotonic_ns()
        if settings.filters.asks_cgroups and self._find_groups:
            mark_groups(bpf, self.layout, self._find_groups)
        self._processes = Processes(
            bpf, self.layout, settings.filters, initial_pids=self.initial_pids
        )
        self._control["seeding"] = 1
        self._listening = Listening(
            bpf, self.layout, settings.filters, self._control, self._tell_once
        )
        # what waits in the queues of the listeners found: seeded by the pass itself
        listening = set(self.holder_rows["netns"].tolist())
        self._pass_over(listening)
        self._processes.sweep()  # by the names they have now
        self._tell_of_names()
        if self._ladder.sees_cookies:
            had_some = cookies.in_use(listening, self._ladder.sees_unrecorded)
            if had_some:
                self._pass_over(had_some, "tt_iter_cookies")
        self._control["seeding"] = 0
        if self._ladder.sees_resets:
            self._tell_once_if(resets.write_setup(bpf, self.layout, self._reset_code))
        self._account = Account(bpf, self.layout, self._ladder.programs)
        while self._connecting:
            self._connecting.pop().result()
        self._drains = Drains(self._buffers)
        # before anybody hears that it is ready, as what is lost from then on is of the session
        self._devices_before = (
            self.devices() if self._ladder.sees_packets or settings.reads_devices else {}
        )
        self.started_ns = self._turn(live=True)

    def _turn(self, live: bool) -> int:
        """Open or close the gate; returns the moment.

        The kernel's counters are read next to that on both sides: what moved between belongs to
        the span or not, nobody can say.
        """
        moment = 0

        def turn() -> None:
            nonlocal moment
            if not live and self.settings.reconcile:
                self._control["closed_ns"] = time.monotonic_ns()
            self._control["live"] = live
            moment = time.monotonic_ns()

        if self.settings.reconcile:
            self.at_gate = self.netstat(turn)
        else:
            turn()
        return moment

    def _attach(self) -> None:
        hot = self._ladder.takers
        self._object.attach_all(name for name in self._ladder.programs if name not in hot)
        for name, target in self._ladder.also:
            self._object.attach_also(name, target)
        if hot:
            self._object.attach_all(hot)
            # they take differences, which begin here on all CPUs: what moved before one of them was
            # attached, and on a CPU where nothing came since, would be told as of the span
            self._pass_over(None, "tt_iter_hearing")

    def _wanted_buffers(self) -> dict[str, tuple[str, int, int]]:
        """Map, pages and record's size by frame tag.

        The large records tell of processes as well, so their buffer is always there.
        """
        wanted = {"SMAL": ("tt_small", "state"), "LARG": ("tt_large", "large")}
        pages = self.settings.buffer_pages or _default_pages()
        if not self.settings.stream:
            del wanted["SMAL"]
            pages = min(pages, IDLE_PAGES)
        dtypes = self.layout.dtypes
        return {tag: (name, pages, dtypes[kind].itemsize) for tag, (name, kind) in wanted.items()}

    def _make_rings(self) -> dict[str, RingBuffers]:
        """Rings that no program knows of yet: making them takes 10 us a page."""
        made: dict[str, RingBuffers] = {}
        try:
            for tag, (_, pages, size) in self._wanted_buffers().items():
                made[tag] = RingBuffers(pages, size)
        except BaseException:
            for rings in made.values():
                rings.close()
            raise
        return made

    def _open_buffers(self) -> None:
        if self._rings is not None:
            self._buffers.update(self._rings.result())
        for tag, (name, pages, size) in self._wanted_buffers().items():
            opened = self._buffers.get(tag)
            if isinstance(opened, RingBuffers):
                connect = partial(opened.connect, self._object.map_fd(f"{name}_rings"))
                self._connecting.append(Beside(connect))
                continue
            opened = self._buffers[tag] = PerfBuffers(self._object.map_fd(name), pages, size)
            if opened.pages < pages:
                self._tell_once(
                    f"buffers of {opened.pages} pages, not {pages}: the mlock limit without"
                    " CAP_IPC_LOCK"
                )

    # --- what was found -------------------------------------------------------

    @property
    def rungs(self) -> dict[str, str]:
        """How each subject is attached; `off`: not at all."""
        return self._ladder.rungs

    @property
    def sees_drops(self) -> bool:
        """Whether what listeners throw away is looked at."""
        return self._ladder.sees_drops or self.later.syn_drops is not None

    @property
    def counts_resets(self) -> bool:
        """Whether RSTs are counted, whatever of them is sent."""
        wanted = self.settings.count_resets and "reset" in self.settings.wanted
        return wanted and self._ladder.sees_resets

    @property
    def sees_packets(self) -> bool:
        """Whether every packet of TCP that is thrown away is looked at."""
        return self._ladder.sees_packets or self.later.packets is not None

    @property
    def may_see_packets(self) -> bool:
        """Whether it is, or has been or may be in this session."""
        return self._ladder.may_see_packets

    @property
    def later_costs(self) -> dict[str, str]:
        """What those take that may be attached later, in words."""
        return {name: rung.costs for name, rung in self._ladder.later.items() if rung.costs}

    @property
    def drop_words(self) -> dict[str, dict[int, str]]:
        """The kernel's names of reasons, and of the subsystems that give some."""
        beside = self.later.packets
        if beside is not None:
            return {"reasons": beside.reasons, "subsystems": beside.subsystems}
        return {"reasons": self._reasons, "subsystems": self._subsystems}

    @property
    def devices_before(self) -> dict[str, Any]:
        """`devices` as packets were first looked at."""
        beside = self.later.packets
        return beside.devices_before if beside is not None else self._devices_before

    @property
    def initial_pids(self) -> bool:
        """Whether PIDs are those of the initial PID namespace."""
        return int(self._control["pidns_level"][0]) == 0

    @property
    def task_rows(self) -> Records:
        """All processes, as of the last look."""
        return self._processes.rows

    @property
    def holder_rows(self) -> Records:
        """All descriptors of listening sockets, as of the last look."""
        return self._listening.holders

    @property
    def all_ended(self) -> bool:
        """Whether the processes of --pid had ended, as of the last look."""
        return self._processes.all_ended

    # --- while it runs --------------------------------------------------------

    def wait(self, timeout: float, wake_fd: int | None = None) -> None:
        """Sleep until a buffer was half full or `wake_fd` readable, at most `timeout` seconds."""
        for fd in (self._drained.fd, wake_fd):
            if fd is not None and fd not in self._polled:
                self._poll.register(fd, select.EPOLLIN)
                self._polled.add(fd)
        for fd, _ in self._poll.poll(timeout):
            if fd == wake_fd:
                os.read(fd, 4096)  # each signal's number: only its coming matters

    def be_woken(self, at_once: bool) -> bool:
        """Have the first record wake `wait`, or no longer; whether that is so from now on.

        One that came before has woken nobody: the next wait must be a short one still.
        """
        if self._ladder.transport != "ring":
            return False
        if at_once != bool(self._control["reader_sleeps"]):
            self._control["reader_sleeps"] = at_once
        return at_once

    @property
    def _drained(self) -> Drains:
        assert self._drains is not None  # it has started
        return self._drains

    @property
    def waiting(self) -> int:
        """Bytes that have been taken out of the buffers and wait to be drained."""
        return self._drained.waiting

    def drain(self) -> Iterator[Drained]:
        """What came since the last call, each time that the buffers were emptied; in order."""
        return self._drained.take()

    @property
    def encoding(self) -> dict[str, Encoding]:
        """Where a record lies in its sample, by frame tag."""
        return {name: buffers.encoding for name, buffers in self._buffers.items()}

    def task_cgroups(self, chunk: Chunk) -> list[int]:
        """Control groups that a run of large samples tells of."""
        head = self.layout.dtypes["head"]
        records = view(chunk, self.encoding["LARG"], head)
        tasks = records["kind"] == self.layout.enums["kind"]["TASK"]
        if tasks.any():
            self._watch_ends(chunk)
        found: list[int] = records["cgroup_id"][tasks].tolist()
        return found

    def made_groups(self) -> dict[int, tuple[int, str]]:
        """The latest control groups made since tracing began: what each lies in, and its name."""
        if self._made_groups is None:
            dtype = self.layout.dtypes["made_cgroup"]
            self._made_groups = self._object.array("tt_made_cgroups", dtype)
        made = self._made_groups[self._made_groups["id"] > 0]
        return {
            number: (above, os.fsdecode(name))
            for number, above, name in made[["id", "above", "name"]].tolist()
        }

    def _watch_ends(self, chunk: Chunk) -> None:
        records = view(chunk, self.encoding["LARG"], self.layout.dtypes["task"])
        tasks = records["kind"] == self.layout.enums["kind"]["TASK"]
        ended = records["event"] == self.layout.enums["task_event"]["EXITED"]
        self.someone_ended |= bool((tasks & ended).any())

    def out_of_descriptors(self, chunk: Chunk) -> set[tuple[int, int]]:
        """Processes, by tgid and start, whose accept() a run of large samples tells to have failed
        for want of a descriptor.
        """
        records = view(chunk, self.encoding["LARG"], self.layout.dtypes["accept"])
        failed = records[
            (records["kind"] == self.layout.enums["kind"]["ACCEPT"])
            & (records["error"] == errno.EMFILE)
        ]
        return set(zip(failed["pid"].tolist(), failed["start"].tolist(), strict=True))

    def who_may_run_out(self) -> set[tuple[int, int]]:
        """Processes, by tgid and start, that listen, or have not closed what their peers have."""
        rows = self.sockets()
        closed = rows[rows["state"] == self.layout.enums["tcp_state"]["CLOSE_WAIT"]]
        return {
            (pid, start)
            for found in (self.holder_rows, closed)
            for pid, start in zip(found["pid"].tolist(), found["start"].tolist(), strict=True)
            if pid
        }

    def stats(self) -> Records | None:
        """Counters, summed over the CPUs: shape (1,); None if they stand as they stood."""
        return self._account.stats()

    def missed(self) -> dict[str, int]:
        """Records that were not made because the kernel skipped a run, by program."""
        return self._account.missed() | self.later.missed()

    def costs(self) -> list[str]:
        """With kernel_cost: what each program's runs took, by the kernel's own clock."""
        return self._account.costs() if self.settings.kernel_cost else []

    @property
    def is_priced(self) -> bool:
        """Whether the kernel measures what the programs take."""
        return self._pricing.is_on

    def price(self, wanted: bool) -> None:
        """Have the kernel measure it from now on, or no more. Errors: OSError."""
        if wanted:
            self._pricing.begin()
        else:
            self._pricing.end()

    def cost(self) -> KernelCost:
        """What the programs took since the last look, if that is measured."""
        return self._pricing.cost()

    def _accounts(self) -> list[Account]:
        if not hasattr(self, "_account"):
            return []  # what is attached first has run before
        return [self._account, *(beside.account for beside in self.later.there)]

    def counts(self) -> Records:
        """Transitions by owner and dwell since the session's begin: pairs of key and value."""
        return self._counts.take()

    def moves(self) -> Records:
        """The same since the last call alone, and whatever the dwell."""
        return self._counts.take_new()

    def drops(self) -> Records:
        """What listeners threw away since that was attached: pairs of key and value."""
        beside = self.later.syn_drops
        return (beside.counts if beside is not None else self._drops).take()

    def unrecorded(self) -> dict[int, dict[str, int]]:
        """What the kernel counted since the begin and no record tells of, by namespace."""
        sees_packets = self._ladder.sees_unrecorded
        return unrecorded.read(self._object, self.layout, self._control, sees_packets)

    def packets(self) -> tuple[Records, NDArray[np.uint64]]:
        """What else was thrown away since then: pairs of key and value, and the rest by reason."""
        beside = self.later.packets
        return (beside.counts if beside is not None else self._packets).take()

    def reset_counts(self) -> Records:
        """RSTs since the session's begin: pairs of key and value."""
        return resets.counts(self._object, self.layout, self._control)

    def devices(self) -> dict[str, Any]:
        """What devices and CPUs count as lost: see before_packets.read()."""
        return before_packets.read(set(self.settings.filters.netns) or None)

    def drop_places(self, chunk: Chunk) -> list[int]:
        """Addresses at which packets were let go of, of a run of large samples."""
        found: list[int] = distinct(self.drop_records(chunk)["location"]).tolist()
        return found

    def drop_records(self, chunk: Chunk) -> Records:
        """Packets thrown away, of a run of large samples."""
        records = view(chunk, self.encoding["LARG"], self.layout.dtypes["drop"])
        dropped: Records = records[records["kind"] == self.layout.enums["kind"]["DROP"]]
        return dropped

    def code(self, addresses: set[int]) -> dict[int, str]:
        """Function and offset of each address that lies in one."""
        try:
            return symbols.names(addresses)
        except OSError:
            return {}

    def netstat(self, turn: Callable[[], None]) -> tuple[netstat.Counters, netstat.Counters]:
        """The kernel's own counters of the namespaces asked for, by inode and name.

        As they stand before `turn` is called, and how far they moved while it was.
        """
        return netstat.around(set(self.settings.filters.netns) or None, turn)

    def sockets(self) -> Records:
        """Every TCP socket of every namespace that is asked for, with its owner."""
        return self._pass_over(set(self.settings.filters.netns) or None)

    def connections(self) -> Records:
        """The same with all that the kernel keeps of each, `open_row`; TIME_WAIT ones left out.

        There if the settings ask for `connections`.
        """
        wanted = set(self.settings.filters.netns) or None
        dtype = self.layout.dtypes["open_row"]
        return read_sockets(self._object, "tt_iter_open", dtype, wanted, self._tell_once)

    def listeners(self, final: bool = False) -> Records:
        """Every listening socket of the namespaces asked for, and those closed since last time.

        One that has just closed, whose children may still be ending, waits for the next look, if
        this is not the `final` one.
        """
        return self._listening.rows(final)

    def _pass_over(self, wanted: set[int] | None, program: str = "tt_iter_tcp") -> Records:
        """Rows of the sockets of these network namespaces; None: of all."""
        dtype = self.layout.dtypes["sock_row"]
        return read_sockets(self._object, program, dtype, wanted, self._tell_once)

    def _tell_once(self, text: str) -> None:
        if text not in self.notices:
            self.notices.append(text)

    def _tell_once_if(self, text: str) -> None:
        if text:
            self._tell_once(text)

    def reseed(self) -> float:
        """Look again who holds what: descriptors are passed on and closed where no probe sees it.

        Sockets that were not known are added; a listener whose owner let go of it passes to the
        one that called listen() if that still holds it, else to its youngest holder. Returns the
        seconds it took.
        """
        began = time.monotonic()
        self.someone_ended = False
        self.look_at_holders()
        self.collect_closed()
        if self.settings.count_by_owner or self.settings.counts_moves:
            self._counts.take()  # or the kernel's tables fill up with what has passed
        if self.sees_drops:
            self.drops()
        self._drained.add_cpus()
        return time.monotonic() - began

    def collect_closed(self) -> None:
        """Take what the kernel still keeps of listeners that have closed, to tell of it later."""
        if self.settings.listen_stats:
            self._listening.collect_closed()

    def walk_processes(self) -> None:
        """Look which processes there are: `all_ended` is as of now."""
        self._processes.sweep()

    def has_sockets_of_targets(self) -> bool:
        """Whether a process of --pid, living or not, has left a socket that is not at its end.

        A mini-socket has no end that would be told of.
        """
        rows = self.sockets()
        states = self.layout.enums["tcp_state"]
        over = [states[name] for name in ("CLOSE", "TIME_WAIT", "FIN_WAIT2")]
        return bool((rows["matched"].astype(bool) & ~np.isin(rows["state"], over)).any())

    def look_at_holders(self) -> None:
        """Look who holds what; sockets that their owner let go of find an heir.

        Then at all processes: a holder met just now is told of from now on, and is in `task_rows`.
        """
        self._listening.look()
        self._processes.sweep()
        self._tell_of_names()

    def _tell_of_names(self) -> None:
        if self._control["names_full"][0]:
            self._tell_once(
                "lost: more processes are called as --comm asks than there is room to mark: what"
                " some of them do is missing"
            )

    # --- end ------------------------------------------------------------------

    def stop(self) -> int:
        """Send and count nothing more; returns the moment. What keeps owners stays attached."""
        ended = self._turn(live=False)
        # what is accepted from here on is no more of this session's; to leave these takes longest
        self._object.begin_detach(self._ladder.on_tracepoints)
        await_programs()  # those that had passed the gate
        return ended

    def end_late(self) -> None:
        """After the last look: what is still to end is in it, as one that goes on."""
        self._control["closed_ns"] = 0
        await_programs()

    def begin_detach(self) -> None:
        """After the last look: leave the hooks, while what was gathered is still being shown."""
        self._object.begin_detach()
        self.later.begin_detach()

    def close(self) -> None:
        """Leave nothing behind."""
        if self._drains is not None:
            self._drains.close()
            self._drains = None
        if hasattr(self, "later"):
            self.later.close()
        self._object.detach()
        self._pricing.end()
        if self._rings is not None and not self._buffers:
            with suppress(Exception):  # told already, if it is what ends this
                self._buffers.update(self._rings.result())
        self._rings = None
        while self._buffers:
            self._buffers.popitem()[1].close()
        self._poll.close()
        self._object.close()


def _default_pages() -> int:
    pages = MOST_PAGES
    while pages * mmap.PAGESIZE * len(online_cpus()) * 2 > BUFFER_BYTES:
        pages //= 2
    return pages
