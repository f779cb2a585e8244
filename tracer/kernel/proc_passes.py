"""What iterators tell, from /proc and sock_diag: on kernels without BTF there are no iterators.

Looked at are all processes, all descriptors, and the sockets of one network namespace. What is
older than the tracer is put where the programs find it: whose it is, and who listens.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tracer.kernel import iterators, maps, sock_diag
from tracer.kernel.numbers import use_numbers
from tracer.wire.filters import Filters
from tracer.wire.globs import Glob
from tracer.wire.layout import Layout, Records
from tracer.wire.refuse import Mask, refuse

INITIAL_PIDS = 0xEFFFFFFC  # inode of the initial PID namespace: PROC_PID_INIT_INO
_NOEXIST = 1  # BPF_NOEXIST
_SOCKET = "socket:["


class Maps(Protocol):
    """Where the maps are."""

    def map_fd(self, name: str) -> int:
        """File descriptor of a map."""

    def run_here(self, name: str) -> None:
        """Run a program on this thread."""


@dataclass(frozen=True)
class _Holder:
    pid: int
    start: int
    cgroup_id: int
    fd: int


class ProcPasses:
    """Passes by the iterator's name; `control` is struct tt_control as the programs see it."""

    def __init__(
        self,
        at: Maps,
        layout: Layout,
        filters: Filters,
        control: Records,
        tell: Callable[[str], None],
    ) -> None:
        self._maps, self._layout, self._filters, self._control = at, layout, filters, control
        self._tell = tell
        self._states = layout.enums["tcp_state"]
        self._groups = _Groups()
        self.by_name: dict[str, Callable[[], Records]] = {
            "tt_iter_task": self._tasks,
            "tt_iter_files": self._files,
            "tt_iter_tcp": self._sockets,
            "tt_iter_hearing": self._hearers,
        }

    # --- processes ------------------------------------------------------------

    def _tasks(self) -> Records:
        self._control["pidns"] = os.stat("/proc/self/ns/pid").st_ino
        rows = [row for pid in _pids() if (row := _read_stat(pid))]
        found = np.zeros(len(rows), self._layout.dtypes["task_row"])
        for at, row in zip(found, rows, strict=True):
            for name, value in row.items():
                at[name] = value
            at["cgroup_id"] = self._groups.of(row["pid"])  # type: ignore[arg-type]
            at["told"] = self._is_told(at["pid"], at["start"])
        self._name(found)
        return found

    def _is_told(self, pid: np.uint32, start: np.uint32) -> bool:
        told = maps.get(self._maps.map_fd("tt_tasks"), np.array([pid]), _START)
        return told is not None and bool(told["start"][0] == start)

    def _name(self, rows: Records) -> None:
        """Mark processes by name, as --comm asks; a name that one has got since stands."""
        marks = self._layout.enums["mark"]
        asked = (
            (self._filters.comms, marks["COMM"]),
            (self._filters.excluded.comms, marks["NOT_COMM"]),
        )
        globs = [(Glob.parse(text), mark) for texts, mark in asked for text in texts]
        if not globs:
            return
        entry = np.zeros(1, self._layout.dtypes["target"])
        for row in rows:
            found = 0
            for glob, mark in globs:
                found |= mark * glob.matches(bytes(row["comm"]))
            if found:
                entry["start"], entry["marks"] = row["start"], found
                self._add("tt_named", np.array([row["pid"]]), entry)

    def _marks_of(self, holder: _Holder) -> int:
        found = 0
        for name in ("tt_targets", "tt_named"):
            key = np.array([holder.pid], np.uint32)
            target = maps.get(self._maps.map_fd(name), key, self._layout.dtypes["target"])
            if target is not None and int(target["start"][0]) == holder.start:
                found |= int(target["marks"][0])
        return found

    # --- descriptors ----------------------------------------------------------

    def _files(self) -> Records:
        """Rows of listening sockets by holder. While `seeding`, all are made known."""
        holders = self._find_holders()
        seeding = self._control["seeding"][0] > 0
        empty = np.zeros(0, self._layout.dtypes["holder_row"])
        rows = [empty]
        for netns, found in self._everywhere():
            held = self._number(netns, found[np.isin(found["inode"], list(holders))])
            for sock in held:
                those = holders[int(sock["inode"])]
                if seeding:
                    self._seed(netns, sock, those)
                if sock["state"] == self._states["LISTEN"]:
                    rows += [self._row(netns, sock, holder) for holder in those]
        return np.concatenate(rows)

    def _number(self, netns: int, held: Records) -> Records:
        """The same sockets, listeners by what the programs know them by."""
        listens = held["state"] == self._states["LISTEN"]
        listening, listener = held[listens], self._layout.dtypes["listener"]
        known = maps.read_hash(self._maps.map_fd("tt_listeners"), _COOKIE, listener)
        use_numbers(listening, netns, *known)
        held[listens] = listening
        return held

    def _everywhere(self) -> Iterator[tuple[int, Records]]:
        """The sockets of every network namespace that can be entered."""
        own = os.stat("/proc/self/ns/net").st_ino
        for inode, path in iterators.network_namespaces().items():
            if inode == own:
                yield inode, self._dump()
            else:
                with suppress(FileNotFoundError, PermissionError):
                    yield inode, iterators.in_namespace(path, self._dump)

    def _dump(self) -> Records:
        return sock_diag.dump(self._tell)

    def _find_holders(self) -> dict[int, list[_Holder]]:
        """Who has a descriptor of a socket, by its inode."""
        found: dict[int, list[_Holder]] = {}
        for pid in _pids():
            inodes = list(_sockets_of(pid))
            row = _read_stat(pid) if inodes else None
            if row is None:
                continue
            for fd, inode in inodes:
                holder = _Holder(pid, int(row["start"]), self._groups.of(pid), fd)
                found.setdefault(inode, []).append(holder)
        return found

    def _seed(self, netns: int, sock: np.void, holders: list[_Holder]) -> None:
        """Held by several: the oldest made it, the others inherited it."""
        owner = min(holders, key=lambda holder: holder.start)
        marks = self._marks_of(owner)
        entry = np.zeros(1, self._layout.dtypes["sock"])
        entry["cookie"], entry["seeded"], entry["marks"] = sock["cookie"], 1, marks
        entry["owner_is"] = self._layout.enums["owner_is"]["PROCESS"]
        _own(entry, owner)
        self._add("tt_socks", _key(sock), entry)
        start = np.array([(owner.start,)], _START)
        self._add("tt_tasks", np.array([owner.pid], np.uint32), start)
        if sock["state"] == self._states["LISTEN"]:
            # asked for is it as all that hold it; what its owner is called may change
            of_names = self._layout.enums["mark"]["COMM"] | self._layout.enums["mark"]["NOT_COMM"]
            marks &= ~of_names
            for holder in holders:
                marks |= self._marks_of(holder) if holder.pid != owner.pid else 0
            self._seed_listener(netns, sock, owner, marks)

    def _seed_listener(self, netns: int, sock: np.void, owner: _Holder, marks: int) -> None:
        """`sk` stays 0: where it lies in the kernel its next child tells (bpf/children.h)."""
        entry = np.zeros(1, self._layout.dtypes["listener"])
        _own(entry, owner)
        entry["opener_pid"], entry["opener_start"] = owner.pid, owner.start
        entry["netns"], entry["port"], entry["addr"] = netns, sock["lport"], sock["laddr"]
        entry["family"], entry["marks"], entry["uid"] = sock["family"], marks, sock["uid"]
        self._add("tt_listeners", _key(sock), entry)

    def _row(self, netns: int, sock: np.void, holder: _Holder) -> Records:
        row = np.zeros(1, self._layout.dtypes["holder_row"])
        for name in ("cookie", "laddr", "lport", "family", "state"):
            row[name] = sock[name]
        row["netns"], row["fd"], row["marks"] = netns, holder.fd, self._marks_of(holder)
        _own(row, holder)
        return row

    def _hearers(self) -> Records:
        """What listens in this thread's network namespace, so that SYNs for it are looked at."""
        self._maps.run_here("tt_prime_here")
        found = self._dump()
        listening = found[found["state"] == self._states["LISTEN"]]
        dtypes = self._layout.dtypes
        for place in np.unique(listening[["laddr", "lport"]]):
            twins = listening[listening[["laddr", "lport"]] == place]["cookie"][:_TWINS]
            key = np.zeros(1, dtypes["hearers_key"])
            key["addr"], key["port"] = place["laddr"], place["lport"]
            key["netns"] = os.stat("/proc/thread-self/ns/net").st_ino
            entry = np.zeros(1, dtypes["hearers"])
            entry["cookies"][0, : len(twins)], entry["hearing"] = twins, len(twins)
            self._add("tt_hearers", key, entry)
        self._control["hearers_changes"] += 1
        return np.zeros(0, dtypes["sock_row"])

    # --- sockets --------------------------------------------------------------

    def _sockets(self) -> Records:
        """Rows of this thread's network namespace, with the owners that are known."""
        found = self._dump()
        if self._control["seeding"][0]:
            self._seed_children(found)
        rows = np.zeros(len(found), self._layout.dtypes["sock_row"])
        for name in ("cookie", "laddr", "raddr", "lport", "rport", "family", "state", "uid"):
            rows[name] = found[name]
        # a request that waits for its ACK is told of as SYN_RECV, and has no file
        half_open = (found["state"] == self._states["SYN_RECV"]) & (found["inode"] == 0)
        rows["state"][half_open] = self._states["NEW_SYN_RECV"]
        rows["syn_retransmits"] = found["retransmits"]
        rows["netns"] = os.stat("/proc/thread-self/ns/net").st_ino
        rows["looked_us"] = (time.monotonic_ns() // 1000) & 0xFFFFFFFF
        rows["age_is"] = self._layout.enums["dwell_is"]["AT_LEAST"]
        rows["matched"] = self._match(rows, self._fill_owners(rows))
        return rows

    def _fill_owners(self, rows: Records) -> NDArray[np.uint8]:
        """Whose they are, as the programs know it; returns what these are asked for as."""
        sock = self._layout.dtypes["sock"]
        cookies, known = maps.read_hash(self._maps.map_fd("tt_socks"), _COOKIE, sock)
        _, at, there = np.intersect1d(rows["cookie"], cookies["cookie"], return_indices=True)
        for name in ("pid", "start", "cgroup_id", "owner_is", "listener_cookie"):
            rows[name][at] = known[name][there]
        since = known["since_ns"][there]
        rows["age_ns"][at] = np.where(since > 0, time.monotonic_ns() - since, 0)
        marks = np.zeros(len(rows), np.uint8)
        marks[at] = known["marks"][there]
        return marks

    def _match(self, rows: Records, marks: NDArray[np.uint8]) -> Mask:
        asked, names = self._filters.of_sockets(), self._layout.enums["mark"]

        def owned(name: str, part: Filters, _: Records) -> Mask:
            return marks & names[name if part is asked else f"NOT_{name}"] > 0

        return refuse(asked, rows, self._layout, owned)[0]

    def _seed_children(self, found: Records) -> None:
        """What waits in a listener's queue has no file yet, and is found by the listener's port."""
        listening = found[found["state"] == self._states["LISTEN"]]
        # what is closed and goes on is in neither of these
        waiting = np.isin(found["state"], [self._states["ESTABLISHED"], self._states["CLOSE_WAIT"]])
        for sock in found[waiting & (found["inode"] == 0)]:
            there = listening[listening["lport"] == sock["lport"]]
            if len(there) != 1:
                continue  # nobody's, or of one of several
            dtype = self._layout.dtypes["listener"]
            listener = maps.get(self._maps.map_fd("tt_listeners"), _key(there[0]), dtype)
            if listener is None:
                continue
            entry = np.zeros(1, self._layout.dtypes["sock"])
            entry["cookie"], entry["seeded"], entry["states"] = sock["cookie"], 1, sock["state"]
            entry["listener_cookie"], entry["is"] = there[0]["cookie"], _WAITING
            entry["owner_is"] = self._layout.enums["owner_is"]["LISTENER"]
            for name in ("pid", "start", "cgroup_id", "marks"):
                entry[name] = listener[name]
            self._add("tt_socks", _key(sock), entry)

    def _add(self, name: str, key: NDArray[np.generic], value: Records) -> None:
        """What a program knows already is not touched."""
        try:
            maps.put_flags(self._maps.map_fd(name), key, value, _NOEXIST)
        except FileExistsError:
            pass
        except OSError as error:
            if error.errno not in maps.FULL:
                raise
            self._control["map_full"] = 1


_START = np.dtype([("start", np.uint32)])
_COOKIE = np.dtype([("cookie", np.uint64)])
_TWINS = 16  # bpf/hearers.h
_WAITING = 2  # bpf/maps.h: TT_SOCK_WAITING


def _key(sock: np.void) -> NDArray[np.uint64]:
    return np.array([sock["cookie"]], np.uint64)


def _own(entry: Records, holder: _Holder) -> None:
    entry["pid"], entry["start"] = holder.pid, holder.start
    entry["cgroup_id"] = holder.cgroup_id


def _pids() -> list[int]:
    return [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]


def _read_stat(pid: int) -> dict[str, int | bytes] | None:
    """What /proc tells of a process, by the row's names; None where it is gone."""
    try:
        # pid (comm) state ppid …: comm may hold spaces and brackets
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    comm, _, rest = text.partition(b"(")[2].rpartition(b")")
    fields = rest.split()
    return {
        "pid": pid,
        "local_pid": pid,
        "ppid": int(fields[1]),
        "local_ppid": int(fields[1]),
        "start": int(fields[19]) % 2**32,
        "ended": fields[0] in (b"Z", b"X"),
        "comm": comm,
    }


def _sockets_of(pid: int) -> Iterator[tuple[int, int]]:
    """Descriptors of sockets, each with the socket's inode."""
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        with suppress(OSError):
            target = os.readlink(f"{folder}/{name}")
            if target.startswith(_SOCKET):
                yield int(name), int(target[len(_SOCKET) : -1])


class _Groups:
    """The id of a process's control group: the inode of its folder, where v2 is mounted."""

    def __init__(self) -> None:
        self._mount: Path | None = None
        self._known: dict[str, int] = {}
        with open("/proc/self/mounts") as mounts:
            for line in mounts:
                fields = line.split()
                if fields[2] == "cgroup2":
                    self._mount = Path(fields[1])
                    break

    def of(self, pid: int) -> int:
        """0 where it is not known."""
        if self._mount is None:
            return 0
        try:
            lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        except OSError:
            return 0
        path = next((line[3:] for line in lines if line.startswith("0::")), "")
        if path not in self._known:
            try:
                self._known[path] = os.stat(f"{self._mount}{path}").st_ino
            except OSError:
                return 0
        return self._known[path]
