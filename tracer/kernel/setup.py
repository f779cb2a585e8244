"""What the programs are told before they run: constants before `load`, filter maps after it."""

from __future__ import annotations

import numpy as np

from tracer.errors import UsageError
from tracer.kernel import maps, uring
from tracer.kernel.core import CoreObject
from tracer.kernel.features import tells_peers
from tracer.kernel.ladder import Ladder
from tracer.kernel.settings import Settings
from tracer.kernel.ticks import tick_ns
from tracer.wire.filters import Filters, mapped, port_bits
from tracer.wire.layout import Layout

MOST_FILTERS = 1024  # bpf/maps.h: tt_addrs, tt_netns_set


def write_config(
    bpf: CoreObject, layout: Layout, settings: Settings, ladder: Ladder, places: int
) -> None:
    """Before `load`: struct tt_config, and the ports of the filters. `places`: of tt_places."""
    filters = settings.filters
    kinds = layout.enums["kind"]
    config = bpf.setting("tt_config", layout.dtypes["config"])
    config["kinds"] = sum(1 << kinds[kind.upper()] for kind in settings.wanted)
    hold = settings.hold_children
    config["hold_children"] = hold if hold is not None else not tells_peers()
    config["ring"] = ladder.transport == "ring"
    config["listen_stats"] = settings.listen_stats
    config["see_drops"] = ladder.sees_drops
    config["accept_hook"] = ladder.sees_accepts
    config["uring"] = uring.form()
    config["connect_exit"] = ladder.sees_connects
    config["states"] = sum(1 << state for state in filters.states)
    config["stream"] = settings.stream
    config["count_by_owner"] = settings.count_by_owner
    config["tell_forks"] = settings.tell_forks
    config["last_place"] = places - 1
    config["keep_remains"] = settings.snapshots
    config["tick_ns"] = tick_ns()
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
            ports = bpf.setting(f"tt_{name}s", layout.dtypes["portset"])
            ports["bits"][0] = port_bits(ranges)


def write_filter_maps(bpf: CoreObject, layout: Layout, filters: Filters) -> None:
    """After `load`: the namespaces and networks of the filters. Errors: UsageError."""
    one = np.ones(1, np.uint8)
    for name, wanted in (("--netns", filters.netns), ("--addr", filters.addrs)):
        if len(wanted) > MOST_FILTERS:
            raise UsageError(f"{name} takes at most {MOST_FILTERS}", "give blocks that hold more")
    netns = bpf.map_fd("tt_netns_set")
    for inode in filters.netns:
        maps.put(netns, np.array([inode], np.uint32), one)
    addrs = bpf.map_fd("tt_addrs")
    for network in filters.addrs:
        key = np.zeros(1, layout.dtypes["addr_key"])
        prefix, length = mapped(network)
        key["addr"], key["prefixlen"] = np.frombuffer(prefix, np.uint8), length
        maps.put(addrs, key, one)
