"""SYN cookies: what bpf/cookies.h needs from user space to tell who came by one."""

from __future__ import annotations

from tracer.errors import UnsupportedError
from tracer.kernel import maps, mib, netstat
from tracer.kernel.core import CoreObject
from tracer.wire.layout import Layout


def write_setup(bpf: CoreObject, layout: Layout) -> str:
    """Before `load`: which counter to look at. Returns why that cannot be told, if it cannot."""
    try:
        index = mib.indexes(["SYNCOOKIESRECV"])["SYNCOOKIESRECV"]
    except (OSError, UnsupportedError) as error:
        return str(error)
    setup = bpf.setting("tt_cookie_setup", layout.dtypes["cookie_setup"])
    setup["mib"], setup["cpus"] = index, maps.possible_cpus()
    return ""


def in_use(namespaces: set[int]) -> set[int]:
    """Of these namespaces, those where cookies came before: what the counters stood at counts."""
    found = netstat.read(namespaces)
    # one that cannot be read may have had some
    return {inode for inode in namespaces if found.get(inode, {}).get("SyncookiesRecv", 1)}
