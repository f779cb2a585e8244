"""The kernel's own counters of a network namespace: the witness that is not us."""

from __future__ import annotations

import os
from pathlib import Path

from tracer.kernel import iterators

# those of TcpExt that tell of what listeners throw away, as /proc/net/netstat calls them
COUNTERS = (
    "ListenDrops",
    "ListenOverflows",
    "TCPReqQFullDrop",
    "TCPReqQFullDoCookies",
    "SyncookiesSent",
)


def read(wanted: set[int] | None) -> dict[int, dict[str, int]]:
    """Counters of these namespaces, by inode; None: of all that a process is in or have a name."""
    found = {}
    for inode, path in iterators.network_namespaces().items():
        if wanted is not None and inode not in wanted:
            continue
        try:
            found[inode] = parse(_text(path))
        except OSError:
            continue  # its last process ended, or it cannot be entered
    return found


def _text(path: str) -> str:
    """netstat of the namespace at `path`: through a process in it, else from within."""
    if path.startswith("/proc/"):
        return Path(path.removesuffix("ns/net") + "net/netstat").read_text()
    # the file belongs to the namespace of the thread that opened it
    fd = iterators.in_namespace(
        path, lambda: os.open("/proc/thread-self/net/netstat", os.O_RDONLY | os.O_CLOEXEC)
    )
    with os.fdopen(fd) as file:
        return file.read()


def parse(text: str) -> dict[str, int]:
    """COUNTERS of a netstat file: lines in pairs, names and values."""
    lines = text.splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        if names.startswith("TcpExt:"):
            pairs = dict(zip(names.split()[1:], map(int, values.split()[1:]), strict=True))
            return {name: pairs[name] for name in COUNTERS if name in pairs}
    return {}
