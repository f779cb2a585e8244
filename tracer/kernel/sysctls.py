"""Settings of TCP in network namespaces: /proc/sys/net as those see it that are in them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from tracer.kernel import iterators

_NET = Path("/proc/sys/net")
MACHINE = ("ipv4/tcp_max_orphans",)  # of all namespaces, and to be read in the first alone
WANTED = (
    *("core/somaxconn", "ipv4/ip_local_port_range", "ipv4/ip_local_reserved_ports"),
    *("ipv4/tcp_tw_reuse", "ipv4/tcp_timestamps", "ipv4/tcp_max_tw_buckets"),
    *("ipv4/tcp_max_syn_backlog", "ipv4/tcp_syncookies", "ipv4/tcp_fin_timeout"),
    *("ipv4/tcp_rmem", "ipv4/tcp_moderate_rcvbuf"),
    *("netfilter/nf_conntrack_count", "netfilter/nf_conntrack_max"),
    *("ipv4/tcp_keepalive_time", "ipv4/tcp_keepalive_intvl", "ipv4/tcp_keepalive_probes"),
)
# counters of connection tracking, a line of hexadecimal numbers a CPU under a line of names
TRACKING = Path("/proc/thread-self/net/stat/nf_conntrack")
COUNTED = ("drop", "early_drop", "insert_failed")
Settings = dict[str, str]  # by the file's name


def read(wanted: set[int] | None) -> dict[int, Settings]:
    """Those of these namespaces, by inode; None: of all that a process is in or that have a name.

    One that cannot be entered is left out; to be in the own one takes no capability.
    """
    found: dict[int, Settings] = {}
    own, machine = os.stat("/proc/self/ns/net").st_ino, _read_these(MACHINE)
    places = iterators.network_namespaces()
    asked = {inode: places[inode] for inode in places if wanted is None or inode in wanted}
    if asked.pop(own, None):
        found[own] = _read_here() | machine
    for inode, settings in iterators.in_namespaces(asked, _read_here).items():
        if not isinstance(settings, OSError):
            found[inode] = settings | machine
    return found


def _read_here() -> Settings:
    return _read_these(WANTED) | _read_tracking()


def _read_tracking() -> Settings:
    """What connection tracking has thrown away, as `conntrack_drop` and so on; or nothing."""
    try:
        names, *lines = (line.split() for line in TRACKING.read_text().splitlines())
    except (OSError, ValueError):
        return {}
    found = {}
    for name in COUNTED:
        if name in names:
            at = names.index(name)
            found[f"conntrack_{name}"] = str(sum(int(line[at], 16) for line in lines))
    return found


def _read_these(names: tuple[str, ...]) -> Settings:
    """Those of the namespace that this thread is in; some are not in all of them."""
    found = {}
    for name in names:
        with suppress(OSError):
            found[name.rpartition("/")[2]] = (_NET / name).read_text().strip()
    return found
