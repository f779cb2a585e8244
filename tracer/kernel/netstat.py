"""The kernel's own counters of a network namespace: the witness that is not us."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

from tracer.kernel import iterators

# as /proc/net/snmp and /proc/net/netstat call them
COUNTERS = {
    "Tcp": (
        *("ActiveOpens", "PassiveOpens", "OutRsts", "EstabResets"),
        *("RetransSegs", "OutSegs", "InCsumErrors"),
    ),
    "Ip": ("InAddrErrors", "InDiscards"),
    "TcpExt": (
        "ListenDrops",
        "ListenOverflows",
        "TCPReqQFullDrop",
        "TCPReqQFullDoCookies",
        "SyncookiesSent",
        "SyncookiesRecv",
        "EmbryonicRsts",
        "TCPSynRetrans",
        "TCPAbortOnClose",
        "TCPAbortOnData",
        "TCPAbortOnLinger",
        "TCPAbortOnTimeout",
        "TCPLostRetransmit",
        "TCPLossProbes",
        "TCPRetransFail",
        *("TCPTimeouts", "TCPDSACKRecv", "TCPDSACKOfoRecv"),
        *("TCPBacklogDrop", "TCPRcvQDrop", "RcvPruned", "OfoPruned", "PFMemallocDrop"),
        *("TCPAbortOnMemory", "TCPTimeWaitOverflow", "IPReversePathFilter"),
        *("TCPRcvCollapsed", "PruneCalled", "TW", "TWRecycled", "TWKilled"),
    ),
}
FILES = ("net/snmp", "net/netstat")
TRIES = 3  # to find a namespace by a process that does not end just then
MOST_BYTES = 1 << 16  # of one file; it is made anew and whole for each read from its begin

Counters = dict[int, dict[str, int]]


class Open:
    """Files of namespaces held open, so that reading them is all that two readings are apart by.

    While they are, the namespaces live on: close it soon. `wanted`: None for all that a process is
    in or that have a name.
    """

    def __init__(self, wanted: set[int] | None) -> None:
        self._files: dict[int, list[int]] = {}
        for _ in range(TRIES):
            if not self._open(wanted):
                break

    def _open(self, wanted: set[int] | None) -> bool:
        """Open what is not open yet; whether one was there that could not be."""
        failed = False
        for inode, path in iterators.network_namespaces().items():
            if inode in self._files or (wanted is not None and inode not in wanted):
                continue
            try:
                self._files[inode] = _open_both(path)
            except OSError:
                # the process that it was found by has ended: it may have others, or a name
                failed = True
        return failed

    def around(self, turn: Callable[[], None]) -> tuple[Counters, Counters]:
        """Read, call `turn`, read again: the counters before, and how far they moved meanwhile."""
        before = {inode: self._text(inode) for inode in self._files}
        turn()
        # the last one first: then all are about as far apart
        after = {inode: self._text(inode) for inode in reversed(self._files)}
        found = {inode: parse(text.decode()) for inode, text in before.items()}
        moved: Counters = {}
        for inode, text in after.items():
            if text == before[inode]:
                continue
            values = parse(text.decode()).items()
            more = {name: n - found[inode][name] for name, n in values if n != found[inode][name]}
            if more:
                moved[inode] = more
        return found, moved

    def _text(self, inode: int) -> bytes:
        return b"".join(os.pread(fd, MOST_BYTES, 0) for fd in self._files[inode])

    def close(self) -> None:
        """Let go of the namespaces."""
        while self._files:
            for fd in self._files.popitem()[1]:
                os.close(fd)


def around(wanted: set[int] | None, turn: Callable[[], None]) -> tuple[Counters, Counters]:
    """Counters of these namespaces before `turn` is called, and how far they moved meanwhile."""
    files = Open(wanted)
    try:
        return files.around(turn)
    finally:
        files.close()


def read(wanted: set[int] | None) -> Counters:
    """Counters of these namespaces, by inode; None: of all that a process is in or have a name."""
    return around(wanted, lambda: None)[0]


def _open_both(path: str) -> list[int]:
    """Both files of the namespace at `path`: through a process in it, else from within."""
    found: list[int] = []
    try:
        for name in FILES:
            if path.startswith("/proc/"):
                found.append(_open(path.removesuffix("ns/net") + name))
            else:
                # the file belongs to the namespace of the thread that opened it
                opened = partial(_open, f"/proc/thread-self/{name}")
                found.append(iterators.in_namespace(path, opened))
    except OSError:
        for fd in found:
            os.close(fd)
        raise
    return found


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def parse(text: str) -> dict[str, int]:
    """COUNTERS of such files: lines in pairs, names and values."""
    lines = text.splitlines()
    found = {}
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        wanted = COUNTERS.get(names.partition(":")[0])
        if wanted:
            pairs = dict(zip(names.split()[1:], map(int, values.split()[1:]), strict=True))
            found.update({name: pairs[name] for name in wanted if name in pairs})
    return found
