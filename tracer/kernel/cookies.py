"""SYN cookies: what bpf/cookies.h and bpf/unrecorded.h need from user space."""

from __future__ import annotations

from tracer.kernel import maps, mib, netstat
from tracer.kernel.loader import BpfObject
from tracer.wire.layout import Layout

COUNTERS = {"received": "SYNCOOKIESRECV", "embryonic": "EMBRYONICRSTS"}


def write_setup(bpf: BpfObject, layout: Layout) -> None:
    """Before `load`: which counters to look at. Errors: OSError, UnsupportedError."""
    setup = bpf.setting("tt_cookie_setup", layout.dtypes["cookie_setup"])
    found = mib.indexes(COUNTERS.values())
    for name, counter in COUNTERS.items():
        setup[name] = found[counter]
    setup["cpus"] = maps.possible_cpus()


def in_use(namespaces: set[int], resets: bool) -> set[int]:
    """Of these namespaces, those where cookies came before: there the counter is not at 0.

    With `resets` those, too, where a RST has ended a half-open connection.
    """
    found = netstat.read(namespaces)
    names = ("SyncookiesRecv", "EmbryonicRsts") if resets else ("SyncookiesRecv",)
    # one that cannot be read may have had some
    return {
        inode for inode in namespaces if any(found.get(inode, {}).get(name, 1) for name in names)
    }
