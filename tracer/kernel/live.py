"""The running kernel as a source of frames: load, attach, seed, drain, count.

Order matters at the start: the probes first, so that nothing is missed; then the processes of
--pid, walked until nothing changes; then the owners of what was there; only then is the gate
opened, and from there on records are counted and sent.
"""

from __future__ import annotations

import mmap
import os
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tracer.errors import TracerError, UsageError
from tracer.kernel import iterators, maps, netstat, preflight, syn_drops, tracefs, uring
from tracer.kernel.core import CoreObject
from tracer.kernel.counts import OwnerCounts, await_programs, make_room
from tracer.kernel.features import choose, tells_peers
from tracer.kernel.libbpf import BPF_STATS_RUN_TIME, check, lib, program_info
from tracer.kernel.perf import SAMPLE_OFFSET, Chunk, PerfBuffers, online_cpus, sample_size
from tracer.probes import (
    ACCEPT,
    HANDSHAKE,
    LISTENERS,
    OWNERS,
    SOCKETS,
    STATE,
    SYN_DROP,
    SYNACK,
    TASK,
    URING,
    Rung,
    Subject,
)
from tracer.wire.batch import Encoding, view
from tracer.wire.btf import Btf
from tracer.wire.filters import Filters, as_sockets, mapped, port_bits, refuse
from tracer.wire.layout import Layout, Records, derive

IDLE_PAGES = 64
CHILDREN_END_NS = 1_000_000_000  # by then what waited in a closed listener's queue has ended
MOST_FILTERS = 1024  # bpf/maps.h: tt_addrs, tt_netns_set
MOST_PAGES = 1024
# Programs whose skipped runs are lost events. tt_state_nested is not one: it is skipped only in an
# interrupt of itself, and there tt_state runs.
MAKERS = {
    "tt_state",
    "tt_accept_fexit",
    "tt_accept4_exit",
    "tt_accept_exit",
    "tt_uring_complete",
    "tt_uring_overflow",
    "tt_uring_waits",
    "tt_connect_exit",
    "tt_consumed",
    "tt_freed",
}
BUFFER_BYTES = 256 << 20  # for all CPUs and both buffers
OBJECT = Path(__file__).resolve().parent.parent / "_bpf" / "tcptrace.bpf.o"


@dataclass(frozen=True)
class Settings:
    """What to attach and how: fixed for the life of a session."""

    filters: Filters = field(default_factory=Filters)
    stream: bool = True
    count_by_owner: bool = False
    accept_hook: bool = True
    buffer_pages: int = 0  # 0: as many as BUFFER_BYTES allow, at most MOST_PAGES
    sockets: int = 131072
    kernel_cost: bool = False
    tell_forks: bool = False  # of every process, with sockets or without: for a recording
    snapshots: bool = False  # sockets are looked over: keep who left TIME_WAIT ones behind
    kinds: frozenset[str] = frozenset({"state", "accept", "handshake"})  # unless --kind asks
    reconcile: bool = False  # read the kernel's own counters of each namespace beside ours
    listen_stats: bool = False  # count what happens in the queues of each listener
    hold_children: int | None = None  # 0, 1, 2 as bpf/maps.h has it; None: by this kernel

    @property
    def wanted(self) -> frozenset[str]:
        """Kinds of records to make."""
        return self.filters.kinds or self.kinds


class LiveSource:
    """Programs in the kernel, and what they have to tell."""

    def __init__(self, settings: Settings) -> None:
        if not OBJECT.exists():
            raise TracerError(f"{OBJECT} is missing", "build it: make setup")
        preflight.check(settings.accept_hook)
        types = Btf.load(OBJECT)
        self.settings = settings
        self.layout: Layout = derive(types)
        self._buffers: dict[str, PerfBuffers] = {}
        self._last_stats: NDArray[np.uint64] | None = None
        self._stats_fd: int | None = None
        self._programs: list[str] = []
        self.notices: list[str] = []
        self._skipped_before: dict[str, int] = {}
        self._closed: list[Records] = []  # listeners that closed since they were last told of
        self.all_ended = False  # the processes of --pid, as of the last look
        self.someone_ended = False  # a process that had sockets: its listeners need an heir
        self.rungs: dict[str, str] = {}
        self._object = CoreObject(OBJECT, types, self.layout)
        try:
            self._set_up()
        except BaseException:
            self.close()
            raise

    # --- start ----------------------------------------------------------------

    def _set_up(self) -> None:
        settings, bpf = self.settings, self._object
        programs = self._choose()
        looks = (OWNERS, SOCKETS, LISTENERS)
        chosen = [*programs, *(name for look in looks for name in look.rungs[0].programs)]
        bpf.choose(chosen)
        bpf.resize("tt_socks", settings.sockets)
        self._places = min(bpf.entries("tt_places"), 1 << (settings.sockets.bit_length() - 1))
        bpf.resize("tt_places", self._places)
        if not settings.snapshots:
            bpf.resize("tt_timewaits", 1)
        if settings.count_by_owner:
            make_room(bpf, self.layout)
        else:
            bpf.resize("tt_counts", 1)
        self._write_config()
        if self.sees_drops:
            bpf.choose([*chosen, "tt_iter_hearing"])
            syn_drops.write_setup(bpf, self.layout)
        else:
            bpf.resize("tt_drops", 1)
        bpf.load()
        self._write_filter_maps()
        self._open_buffers()
        self._control = bpf.variable("tt_control", self.layout.dtypes["control"])
        if settings.count_by_owner:
            self._counts = OwnerCounts(bpf, self.layout, self._control)
        self._programs = programs
        if settings.kernel_cost:
            self._stats_fd = check(lib().bpf_enable_stats(BPF_STATS_RUN_TIME), "BPF statistics")
        if self.rungs["accept"] == "tracepoint":
            tracefs.reach(lambda: self._attach(programs))
        else:
            self._attach(programs)
        self._control["attached_ns"] = time.monotonic_ns()
        self.task_rows = self._find_targets()
        self._control["seeding"] = 1
        self.holder_rows = self._rows("tt_iter_files", "holder_row")
        # what waits in the queues of the listeners found: seeded by the pass itself
        self._pass_over(set(self.holder_rows["netns"].tolist()))
        self.started_ns = time.monotonic_ns()
        self._control["seeding"] = 0
        # what was skipped while the programs were attached one after the other
        self._skipped_before = self._skipped()
        if self.settings.reconcile:
            self.netstat_before = self.netstat()
        self._control["live"] = 1

    def _attach(self, programs: list[str]) -> None:
        hot = SYN_DROP.rungs[0].programs[1:] if self.sees_drops else ()
        self._object.attach_all(name for name in programs if name not in hot)
        if hot:
            # they take differences: the counters are looked at on all CPUs before
            self._pass_over(None, "tt_iter_hearing")
            self._object.attach_all(hot)

    @property
    def sees_drops(self) -> bool:
        """Whether what listeners throw away is looked at."""
        return self.rungs.get("syn_drop", "off") != "off"

    def _choose(self) -> list[str]:
        """Programs to attach. Where a subject has several rungs, this kernel is asked by trying."""
        programs: list[str] = []
        subjects = [STATE, TASK, ACCEPT]
        if "handshake" in self.settings.wanted:
            subjects += [HANDSHAKE, SYNACK]
        if "syn_drop" in self.settings.wanted:
            subjects.append(SYN_DROP)
        costs: dict[str, list[str]] = {}
        for subject in subjects:
            rung: Rung | None = subject.rungs[0]
            if subject in (ACCEPT, HANDSHAKE) and not self.settings.accept_hook:
                rung = None
                self.notices.append(f"off: {subject.name} hook, so {subject.without}")
            elif subject not in (STATE, TASK):
                rung = self._try(subject)
                if rung and rung.costs:
                    costs.setdefault(f"by {rung.how}, {rung.costs}", []).append(subject.name)
            self.rungs[subject.name] = rung.how if rung else "off"
            programs += rung.programs if rung else ()
        if self.rungs["accept"] == "tracepoint" and uring.form():
            # inet_csk_accept() is passed by io_uring too; system calls are not
            rung = self._try(URING)
            self.rungs[URING.name] = rung.how if rung else "off"
            programs += rung.programs if rung else ()
        # the same cost is paid once, however many stand on it
        self.notices += [f"{' and '.join(names)}: {cost}" for cost, names in costs.items()]
        return programs

    def _try(self, subject: Subject) -> Rung | None:
        choice = choose(subject)
        if choice.rung is None:
            self.notices.append(f"{subject.name} is impossible here: {choice.refused}")
        return choice.rung

    def _open_buffers(self) -> None:
        """The large records tell of processes as well, so their buffer is always there."""
        wanted = {"SMAL": ("tt_small", "state"), "LARG": ("tt_large", "large")}
        pages = self.settings.buffer_pages or _default_pages()
        if not self.settings.stream:
            del wanted["SMAL"]
            pages = min(pages, IDLE_PAGES)
        for tag, (name, record) in wanted.items():
            size = self.layout.dtypes[record].itemsize
            opened = PerfBuffers(self._object.map_fd(name), pages, size)
            self._buffers[tag] = opened
            if opened.pages < pages:
                self._tell_once(
                    f"buffers of {opened.pages} pages, not {pages}: the mlock limit without"
                    " CAP_IPC_LOCK"
                )

    def _write_config(self) -> None:
        filters, layout = self.settings.filters, self.layout
        kinds = layout.enums["kind"]
        config = self._object.setting("tt_config", layout.dtypes["config"])
        config["kinds"] = sum(1 << kinds[kind.upper()] for kind in self.settings.wanted)
        hold = self.settings.hold_children
        config["hold_children"] = hold if hold is not None else not tells_peers()
        config["listen_stats"] = self.settings.listen_stats
        config["accept_hook"] = self.rungs["accept"] != "off"
        config["uring"] = uring.form() if self.rungs.get(URING.name, "off") != "off" else 0
        config["connect_exit"] = self.rungs.get("handshake", "off") != "off"
        config["states"] = sum(1 << state for state in filters.states)
        config["stream"] = self.settings.stream
        config["count_by_owner"] = self.settings.count_by_owner
        config["tell_forks"] = self.settings.tell_forks
        config["last_place"] = self._places - 1
        config["keep_remains"] = self.settings.snapshots
        config["filter_pid"] = bool(filters.pids)
        config["follow"] = filters.follow
        config["filter_netns"] = bool(filters.netns)
        config["family"] = filters.family
        config["filter_addr"] = bool(filters.addrs)
        for name, ranges in (
            ("port", filters.ports),
            ("lport", filters.lports),
            ("rport", filters.rports),
        ):
            config[f"filter_{name}"] = bool(ranges)
            if ranges:
                ports = self._object.setting(f"tt_{name}s", layout.dtypes["portset"])
                ports["bits"][0] = port_bits(ranges)

    def _write_filter_maps(self) -> None:
        filters = self.settings.filters
        one = np.ones(1, np.uint8)
        for name, wanted in (("--netns", filters.netns), ("--addr", filters.addrs)):
            if len(wanted) > MOST_FILTERS:
                raise UsageError(
                    f"{name} takes at most {MOST_FILTERS}", "give blocks that hold more"
                )
        netns = self._object.map_fd("tt_netns_set")
        for inode in filters.netns:
            maps.put(netns, np.array([inode], np.uint32), one)
        addrs = self._object.map_fd("tt_addrs")
        for network in filters.addrs:
            key = np.zeros(1, self.layout.dtypes["addr_key"])
            prefix, length = mapped(network)
            key["addr"], key["prefixlen"] = np.frombuffer(prefix, np.uint8), length
            maps.put(addrs, key, one)

    def _find_targets(self) -> Records:
        """Mark the processes of --pid and their descendants; returns all processes.

        Walks until a walk finds no more: a child born in between is either found by the next
        walk or was added by the fork probe, as its parent was a target by then.
        """
        wanted = set(self.settings.filters.pids)
        fd = self._object.map_fd("tt_targets")
        known: set[int] = set()
        while True:
            rows = self._processes(wanted)
            targets = rows[np.isin(rows["local_pid"], list(wanted)) & (rows["local_pid"] > 0)]
            missing = wanted - set(targets["local_pid"].tolist())
            if missing and not known:
                raise TracerError(
                    f"no process has the PID {min(missing)}", "look it up: pgrep -a NAME"
                )
            pids = set(targets["pid"].tolist())
            if self.settings.filters.follow:
                pids = _descendants(rows, pids)
            if pids <= known:
                for gone in known - set(rows["pid"].tolist()):
                    maps.delete(fd, np.array([gone], np.uint32))  # ended before it was put there
                return rows
            for row in rows[np.isin(rows["pid"], list(pids - known))]:
                maps.put(fd, row["pid"].reshape(1).copy(), row["start"].reshape(1).copy())
            known |= pids

    def _processes(self, wanted: set[int]) -> Records:
        """Rows of all processes. A kernel may hide one from iterators, though /proc shows it."""
        rows = self._rows("tt_iter_task", "task_row")
        hidden = wanted - set(rows["local_pid"].tolist())
        more = [row for pid in hidden if (row := self._from_proc(pid)) is not None]
        return np.concatenate([rows, *more])

    def _from_proc(self, pid: int) -> Records | None:
        """The row of a process from /proc; None where its kernel-wide PID is not known."""
        if not self.initial_pids:
            return None
        try:
            # pid (comm) state ppid …: comm may hold spaces and brackets
            comm, _, rest = (
                Path(f"/proc/{pid}/stat").read_bytes().partition(b"(")[2].rpartition(b")")
            )
        except OSError:
            return None
        fields = rest.split()
        row = np.zeros(1, self.layout.dtypes["task_row"])
        row["pid"] = row["local_pid"] = pid
        row["ppid"] = row["local_ppid"] = int(fields[1])
        row["start"] = int(fields[19]) % 2**32
        row["comm"] = comm
        return row

    # --- while it runs --------------------------------------------------------

    def wait(self, timeout: float, wake_fd: int | None = None) -> None:
        """Sleep until a buffer is half full or `wake_fd` readable, at most `timeout` seconds."""
        poll = select.poll()
        if wake_fd is not None:
            poll.register(wake_fd, select.POLLIN)
        for buffers in self._buffers.values():
            for fd in buffers.fds:
                poll.register(fd, select.POLLIN)
        for fd, _ in poll.poll(timeout * 1000):
            if fd == wake_fd:
                os.read(fd, 4096)  # each signal's number: only its coming matters

    def drain(self) -> Iterator[tuple[str, list[Chunk]]]:
        """What came since the last call: (frame tag, runs of whole samples)."""
        for name, buffers in self._buffers.items():
            chunks = buffers.drain()
            if chunks:
                yield name, chunks

    @property
    def encoding(self) -> dict[str, tuple[int, int]]:
        """Where a record lies in its sample, by frame tag: (offset, stride)."""
        return {
            name: (SAMPLE_OFFSET, sample_size(buffers.record))
            for name, buffers in self._buffers.items()
        }

    def task_cgroups(self, chunk: Chunk) -> list[int]:
        """Control groups that a run of large samples tells of."""
        head = self.layout.dtypes["head"]
        records = view(chunk, Encoding(*self.encoding["LARG"]), head)
        tasks = records["kind"] == self.layout.enums["kind"]["TASK"]
        if tasks.any():
            self._watch_ends(chunk)
        found: list[int] = records["cgroup_id"][tasks].tolist()
        return found

    def _watch_ends(self, chunk: Chunk) -> None:
        records = view(chunk, Encoding(*self.encoding["LARG"]), self.layout.dtypes["task"])
        tasks = records["kind"] == self.layout.enums["kind"]["TASK"]
        ended = records["event"] == self.layout.enums["task_event"]["EXITED"]
        self.someone_ended |= bool((tasks & ended).any())

    def _read_stats(self) -> Records:
        slots = self.layout.enums["slot"]["MAX"]
        fd = self._object.map_fd("tt_stats")
        return maps.read_percpu_array(fd, self.layout.dtypes["stats"], slots)

    def stats(self) -> Records | None:
        """Counters, summed over the CPUs: shape (1,); None if they stand as they stood."""
        dtype = self.layout.dtypes["stats"]
        parts = self._read_stats()
        words: NDArray[np.uint64] = parts.view(np.uint64).reshape(len(parts), -1).sum(axis=0)
        if self._last_stats is not None and (words == self._last_stats).all():
            return None
        self._last_stats = words
        return words.view(dtype)

    def missed(self) -> dict[str, int]:
        """Records that were not made because the kernel skipped a run, by program.

        It runs no program inside itself and counts what it skips since Linux commit 9ed9e9ba2337
        ("bpf: Count the number of times recursion was prevented") (in v5.12). What is skipped of
        tt_state is taken up by tt_state_nested, which counts that: only the rest is lost.
        """
        lost = {
            name: count - self._skipped_before.get(name, 0)
            for name, count in self._skipped().items()
        }
        return {name: count for name, count in lost.items() if count > 0}

    def _skipped(self) -> dict[str, int]:
        skipped = {
            name: program_info(self._object.program_fd(name)).recursion_misses
            for name in self._programs
            if name in MAKERS
        }
        if any(skipped.values()):
            # read after the skips: one taken up in between makes this smaller, never larger
            skipped["tt_state"] -= int(self._read_stats()["nested"].sum())
        return skipped

    def costs(self) -> list[str]:
        """With kernel_cost: what each program's runs took, by the kernel's own clock."""
        if self._stats_fd is None:
            return []
        lines = []
        for name in self._programs:
            info = program_info(self._object.program_fd(name))
            if info.run_cnt:
                mean = info.run_time_ns / info.run_cnt
                lines.append(f"kernel cost: {name} {mean:.0f} ns a run, {info.run_cnt} runs")
        return lines

    def counts(self) -> Records:
        """Transitions by owner and dwell since the session's begin: pairs of key and value."""
        return self._counts.take()

    def drops(self) -> Records:
        """What listeners threw away since the session's begin: pairs of key and value."""
        return syn_drops.read_counts(self._object, self.layout)

    def netstat(self) -> dict[int, dict[str, int]]:
        """The kernel's own counters of the namespaces asked for, by inode and name."""
        return netstat.read(set(self.settings.filters.netns) or None)

    def sockets(self) -> Records:
        """Every TCP socket of every namespace that is asked for, with its owner."""
        return self._pass_over(set(self.settings.filters.netns) or None)

    def listeners(self, final: bool = False) -> Records:
        """Every listening socket of the namespaces asked for, and those closed since last time.

        One that has just closed, whose children may still be ending, waits for the next look, if
        this is not the `final` one.
        """
        dtype = self.layout.dtypes["listener_row"]
        # peaks from here on belong to the next look; those of this one are at rest
        look = int(self._control["look"][0])
        self._control["look"] = look + 1
        await_programs()
        wanted = set(self.settings.filters.netns) or None
        rows = self._pass_over(wanted, "tt_iter_listeners", dtype)
        closed = [*self._closed, self._take_closed(dtype, look, final)]
        self._closed.clear()
        return np.concatenate([rows, *closed])

    def _take_closed(self, dtype: np.dtype[np.void], look: int, final: bool) -> Records:
        """Listeners that closed: what they counted, and then nothing is kept of them."""
        fd = self._object.map_fd("tt_listeners")
        found = []
        settled_ns = time.monotonic_ns() - CHILDREN_END_NS
        for cookie in maps.keys(fd, np.dtype(np.uint64)):
            key = cookie.reshape(1).copy()
            kept = maps.get(fd, key, self.layout.dtypes["listener"])
            if kept is None or not kept["closed_ns"][0]:
                continue
            if not final and kept["closed_ns"][0] > settled_ns:
                continue
            maps.delete(fd, key)
            row = np.zeros(1, dtype)
            for name in set(dtype.names or ()) & set(kept.dtype.names or ()):
                row[name] = kept[name]
            row["cookie"] = cookie
            for peak in ("accept_queue_peak", "syn_queue_peak"):
                word = int(kept[peak + "s"][0][look % 2])
                row[peak] = word & 0xFFFFFFFF if word >> 32 == look else 0
            found.append(row)
        rows = np.concatenate([np.zeros(0, dtype), *found])
        sockets, held = as_sockets(rows, self.layout), rows["matched"] > 0
        asked = replace(self.settings.filters, kinds=frozenset())
        rows["matched"] = refuse(asked, sockets, self.layout, lambda _: held)[0]
        return rows

    def _pass_over(
        self,
        wanted: set[int] | None,
        program: str = "tt_iter_tcp",
        dtype: np.dtype[np.void] | None = None,
    ) -> Records:
        """Rows of these network namespaces; None: of all that a process is in."""
        if dtype is None:
            dtype = self.layout.dtypes["sock_row"]
        parts = [np.empty(0, dtype)]
        own = os.stat("/proc/self/ns/net").st_ino
        if wanted is not None and wanted <= {own}:
            places = {own: ""} if wanted else {}
        else:
            places = iterators.network_namespaces()
        for inode, path in places.items():
            if wanted is not None and inode not in wanted:
                continue
            try:
                if inode == own:
                    fd = self._object.open_iterator(program)
                else:
                    fd = iterators.in_namespace(path, lambda: self._object.open_iterator(program))
            except FileNotFoundError:
                continue  # its last process ended
            except PermissionError:
                self._tell_once("other network namespaces cannot be entered: CAP_SYS_ADMIN")
                continue
            parts.append(iterators.read_rows(fd, dtype))
        return np.concatenate(parts)

    def _tell_once(self, text: str) -> None:
        if text not in self.notices:
            self.notices.append(text)

    def _rows(self, program: str, row: str) -> Records:
        fd = self._object.open_iterator(program)
        return iterators.read_rows(fd, self.layout.dtypes[row])

    def reseed(self) -> float:
        """Look again who holds what: descriptors are passed on and closed where no probe sees it.

        Sockets that were not known are added; a listener whose owner let go of it passes to the
        one that called listen() if that still holds it, else to its youngest holder. Returns the
        seconds it took.
        """
        began = time.monotonic()
        self.someone_ended = False
        self._sweep_processes()
        self.look_at_holders()
        if self.settings.listen_stats:
            # those that closed are told of at the next look; until then they are kept here
            dtype = self.layout.dtypes["listener_row"]
            self._closed.append(self._take_closed(dtype, int(self._control["look"][0]), False))
        if self.settings.count_by_owner:
            self._counts.take()  # or the kernel's tables fill up with what has passed
        for buffers in self._buffers.values():
            buffers.add_cpus()
        return time.monotonic() - began

    def look_at_holders(self) -> Records:
        """Every descriptor of a listening socket; one that its owner let go of finds an heir."""
        self.holder_rows = self._rows("tt_iter_files", "holder_row")
        self._settle_listeners(self.holder_rows)
        return self.holder_rows

    def _settle_listeners(self, rows: Records) -> None:
        """Give listeners that were let go of to an heir, and forget targets that let go."""
        fd, dtype = self._object.map_fd("tt_listeners"), self.layout.dtypes["listener"]
        targets = self.targets()
        for cookie in np.unique(rows["cookie"]):
            key = cookie.reshape(1).copy()
            holders = rows[rows["cookie"] == cookie]
            found = maps.get(fd, key, dtype)
            if found is None:
                continue
            kept = found.copy()
            if self.settings.filters.pids:
                kept["matched"] = bool(np.isin(holders["pid"], targets).any())
            if not _holds(holders, kept["pid"], kept["start"]).any():
                opener = _holds(holders, kept["opener_pid"], kept["opener_start"])
                heir = holders[int((opener if opener.any() else holders["start"]).argmax())]
                for name in ("pid", "start", "cgroup_id"):
                    kept[name] = heir[name]
            # an accept meanwhile has made another owner: that one stands
            if kept != found and maps.get(fd, key, dtype) == found:
                maps.replace(fd, key, kept)

    @property
    def initial_pids(self) -> bool:
        """Whether PIDs are those of the initial PID namespace."""
        return int(self._control["pidns_level"][0]) == 0

    def targets(self) -> NDArray[np.uint32]:
        """tgids of the processes of --pid and below that still live."""
        return maps.keys(self._object.map_fd("tt_targets"), np.dtype(np.uint32))

    def _sweep_processes(self) -> None:
        """Forget processes that ended without tt_free being told."""
        # the keys first: a process that comes afterwards is in neither list
        known = {
            name: maps.keys(self._object.map_fd(name), np.dtype(np.uint32))
            for name in ("tt_tasks", "tt_targets")
        }
        rows = self.task_rows = self._processes(set(self.settings.filters.pids))
        for name, pids in known.items():
            for pid in np.setdiff1d(pids, rows["pid"]):
                maps.delete(self._object.map_fd(name), np.array([pid], np.uint32))
        living = rows["pid"][rows["ended"] == 0]
        self.all_ended = not np.isin(known["tt_targets"], living).any()

    # --- end ------------------------------------------------------------------

    def stop(self) -> int:
        """Send and count nothing more; returns the moment. The programs stay attached."""
        self._control["live"] = 0
        ended = time.monotonic_ns()
        await_programs()  # those that had passed the gate
        return ended

    def close(self) -> None:
        """Leave nothing behind."""
        self._object.detach()
        if self._stats_fd is not None:
            os.close(self._stats_fd)
            self._stats_fd = None
        while self._buffers:
            self._buffers.popitem()[1].close()
        self._object.close()


def _default_pages() -> int:
    pages = MOST_PAGES
    while pages * mmap.PAGESIZE * len(online_cpus()) * 2 > BUFFER_BYTES:
        pages //= 2
    return pages


def _holds(holders: Records, pid: Records, start: Records) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (holders["pid"] == pid) & (holders["start"] == start)
    return found


def _descendants(rows: Records, pids: set[int]) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid, ppid in zip(rows["pid"].tolist(), rows["ppid"].tolist(), strict=True):
        children.setdefault(ppid, []).append(pid)
    found, todo = set(pids), list(pids)
    while todo:
        for child in children.get(todo.pop(), ()):
            if child not in found:
                found.add(child)
                todo.append(child)
    return found
