"""The kernel's own counters of a network namespace: the witness that is not us."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from tracer.kernel import iterators

# as /proc/net/snmp and /proc/net/netstat call them
COUNTERS = {
    "Tcp": ("ActiveOpens", "PassiveOpens"),
    "TcpExt": (
        "ListenDrops",
        "ListenOverflows",
        "TCPReqQFullDrop",
        "TCPReqQFullDoCookies",
        "SyncookiesSent",
        "SyncookiesRecv",
        "EmbryonicRsts",
        "TCPSynRetrans",
    ),
}
FILES = ("net/snmp", "net/netstat")


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
    """Both files of the namespace at `path`: through a process in it, else from within."""
    if path.startswith("/proc/"):
        process = path.removesuffix("ns/net")
        return "".join(Path(process + name).read_text() for name in FILES)
    text = ""
    for name in FILES:
        # the file belongs to the namespace of the thread that opened it
        fd = iterators.in_namespace(path, partial(_open, f"/proc/thread-self/{name}"))
        with os.fdopen(fd) as file:
            text += file.read()
    return text


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
