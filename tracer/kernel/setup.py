"""What the programs are told before they run: constants before `load`, filter maps after it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracer.errors import UsageError
from tracer.kernel import maps, uring
from tracer.kernel.features import has_casts, tells_peers
from tracer.kernel.ladder import Ladder
from tracer.kernel.loader import BpfObject
from tracer.kernel.settings import Settings
from tracer.kernel.ticks import tick_ns
from tracer.wire.filters import Filters, mapped, port_bits
from tracer.wire.globs import fill_tables
from tracer.wire.layout import Layout

MOST_FILTERS = 1024  # bpf/maps.h: tt_addrs, tt_netns_set, tt_uids
ENDS = ("addr", "laddr", "raddr")  # either, local, remote: as enum tt_asked has them
SIMPLE = ("pid", "comm", "cgroup", "netns", "port", "lport", "rport", *ENDS, "uid")


def write_config(
    bpf: BpfObject, layout: Layout, settings: Settings, ladder: Ladder, places: int
) -> None:
    """Before `load`: struct tt_config, and the ports of the filters. `places`: of tt_places."""
    filters = settings.filters
    kinds = layout.enums["kind"]
    config = bpf.setting("tt_config", layout.dtypes["config"])
    listens_alone = settings.listens and "state" not in settings.wanted
    told = settings.wanted | ({"state"} if listens_alone else frozenset())
    config["kinds"] = sum(1 << kinds[kind.upper()] for kind in told)
    config["listens_alone"] = listens_alone
    hold = settings.hold_children
    if hold is None:  # one with a peer is told of at once all the same
        hold = 1 if settings.by_bcc or not tells_peers() else 0
    config["hold_children"] = hold
    config["ring"] = ladder.transport == "ring"
    config["listen_stats"] = settings.listen_stats
    config["see_drops"] = ladder.sees_drops or ladder.sees_packets or bool(ladder.later)
    config["drop_takes_acks"] = ladder.drop_takes_acks
    config["accept_hook"] = ladder.sees_accepts
    config["uring"] = uring.form() if not settings.by_bcc else uring.UNKNOWN
    config["connect_exit"] = ladder.sees_connects
    config["answers_apart"] = ladder.answers_apart
    config["states"] = sum(1 << state for state in filters.states)
    config["stream"] = settings.stream
    config["count_by_owner"] = settings.count_by_owner or settings.counts_moves
    config["tell_forks"] = settings.tell_forks
    config["last_place"] = places - 1
    config["keep_remains"] = settings.keeps_remains
    config["tick_ns"] = tick_ns()
    config["casts"] = has_casts() and not settings.by_bcc
    config["stacks"] = settings.stacks
    config["most_answers"] = settings.most_answers
    config["count_resets"] = settings.count_resets
    config["made"] = settings.made
    config["asks_owners"] = filters.asks_owners
    config["failed"] = filters.failed
    config["slower_ns"] = filters.slower_ns
    config["follow"] = filters.follow
    config["keep_uid"] = settings.keep_uids
    config["family"] = filters.family
    unwanted = filters.excluded
    config["not_states"] = sum(1 << state for state in unwanted.states)
    config["not_family"] = unwanted.family
    config["excludes"] = unwanted != Filters()
    for name in SIMPLE:
        config[f"filter_{name}"] = bool(_asked(filters, name))
        config[f"not_{name}"] = bool(_asked(unwanted, name))
    looks = {"family", "netns", "port", "lport", "rport", *ENDS}
    config["needs_tuple"] = settings.stream or bool(
        looks & (filters.values().keys() | unwanted.values().keys())
    )
    if filters.comms or unwanted.comms:
        globs = bpf.setting("tt_globs", layout.dtypes["globs"])
        fill_tables(globs, filters.comms, unwanted.comms)
    _write_ports(bpf, layout, filters, "tt_")
    _write_ports(bpf, layout, unwanted, "tt_not_")


def _asked(filters: Filters, name: str) -> Any:
    """The member of the filters that an option fills."""
    return getattr(filters, name if name == "netns" else name + "s")


def _write_ports(bpf: BpfObject, layout: Layout, filters: Filters, prefix: str) -> None:
    for name in ("port", "lport", "rport"):
        ranges = _asked(filters, name)
        if ranges:
            ports = bpf.setting(f"{prefix}{name}s", layout.dtypes["portset"])
            ports["bits"][0] = port_bits(ranges)


def write_filter_maps(bpf: BpfObject, layout: Layout, filters: Filters) -> None:
    """After `load`: what of the filters is in maps. Errors: UsageError."""
    for name in ("netns", "uid", *ENDS):
        for part in (filters, filters.excluded):
            if len(_asked(part, name)) > MOST_FILTERS:
                raise UsageError(f"--{name} takes at most {MOST_FILTERS}", "give fewer, or wider")
    for name, table in (("netns", "tt_netns_set"), ("uid", "tt_uids")):
        asked: dict[int, int] = {}
        for value, bit in _with_bits(filters, name, 0):
            asked[value] = asked.get(value, 0) | bit
        for value, bits in asked.items():
            maps.put(bpf.map_fd(table), np.array([value], np.uint32), np.array([bits], np.uint8))
    key = np.zeros(1, layout.dtypes["addr_key"])
    for (address, length), bits in address_bits(filters).items():
        key["addr"], key["prefixlen"] = np.frombuffer(address, np.uint8), length
        maps.put(bpf.map_fd("tt_addrs"), key, np.array([bits], np.uint8))


def _with_bits(filters: Filters, name: str, end: int) -> list[tuple[Any, int]]:
    """What is wanted and what is not, each with its bit of enum tt_asked."""
    wanted = [(value, 1 << end) for value in _asked(filters, name)]
    return wanted + [(value, 8 << end) for value in _asked(filters.excluded, name)]


def address_bits(filters: Filters) -> dict[tuple[bytes, int], int]:
    """What each network is asked for as, by address and prefix length, as enum tt_asked has it.

    The kernel finds the longest prefix alone: that has the bits of all that hold it.
    """
    asked = [
        (*mapped(network), bit)
        for end, name in enumerate(ENDS)
        for network, bit in _with_bits(filters, name, end)
    ]
    found: dict[tuple[bytes, int], int] = {}
    for address, length, _ in asked:
        found[address, length] = sum(
            {bit for wide, short, bit in asked if short <= length and _holds(wide, short, address)}
        )
    return found


def _holds(wide: bytes, length: int, address: bytes) -> bool:
    shift = 128 - length
    return int.from_bytes(wide, "big") >> shift == int.from_bytes(address, "big") >> shift
