"""SYN cookies: what bpf/cookies.h needs from user space to tell who came by one."""

from __future__ import annotations

from tracer.kernel import maps, mib, netstat
from tracer.kernel.loader import BpfObject
from tracer.wire.layout import Layout


def write_setup(bpf: BpfObject, layout: Layout) -> None:
    """Before `load`: which counter to look at. Errors: OSError, UnsupportedError."""
    setup = bpf.setting("tt_cookie_setup", layout.dtypes["cookie_setup"])
    setup["mib"] = mib.indexes(["SYNCOOKIESRECV"])["SYNCOOKIESRECV"]
    setup["cpus"] = maps.possible_cpus()


def in_use(namespaces: set[int]) -> set[int]:
    """Of these namespaces, those where cookies came before: there the counter is not at 0."""
    found = netstat.read(namespaces)
    # one that cannot be read may have had some
    return {inode for inode in namespaces if found.get(inode, {}).get("SyncookiesRecv", 1)}
