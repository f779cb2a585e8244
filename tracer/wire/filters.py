"""What the user asked to see: the same filters for the kernel and for a recording.

The kernel applies them before anything is sent (bpf/emit.h); `refuse` applies them to records that
are there already, in the same order and with the same meaning.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tracer.wire.layout import Layout, Records

PortRange = tuple[int, int]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Filters:
    """AND between the members, OR within one; an empty one lets everything pass."""

    pids: tuple[int, ...] = ()
    follow: bool = True
    ports: tuple[PortRange, ...] = ()
    lports: tuple[PortRange, ...] = ()
    rports: tuple[PortRange, ...] = ()
    addrs: tuple[Network, ...] = ()
    family: int = 0
    states: frozenset[int] = frozenset()
    netns: frozenset[int] = frozenset()
    kinds: frozenset[str] = frozenset()
    typed: tuple[tuple[str, str], ...] = ()  # (name, text) where the meaning alone says too little

    def describe(self) -> dict[str, str]:
        """Option as typed for each filter that is set, by its name in the kernel's counters."""
        found = {}
        typed = dict(self.typed)
        if self.family:
            found["FAMILY"] = f"-{self.family}"
        if self.netns:
            found["NETNS"] = "--netns " + typed.get("netns", ",".join(map(str, self.netns)))
        for name, ranges in (("PORT", self.ports), ("LPORT", self.lports), ("RPORT", self.rports)):
            if ranges:
                found[name] = f"--{name.lower()} " + ",".join(_range(r) for r in ranges)
        if self.addrs:
            found["ADDR"] = "--addr " + ",".join(str(a) for a in self.addrs)
        if self.states:
            found["STATE"] = "--state " + typed.get("state", ",".join(map(str, self.states)))
        if self.kinds:
            found["KIND"] = "--kind " + ",".join(sorted(self.kinds))
        if self.pids:
            found["PID"] = "--pid " + ",".join(map(str, self.pids))
        return found


def _range(ports: PortRange) -> str:
    return str(ports[0]) if ports[0] == ports[1] else f"{ports[0]}-{ports[1]}"


def mapped(network: Network) -> tuple[bytes, int]:
    """A network as the wire writes addresses: 16 bytes and a prefix length, IPv4 mapped."""
    if isinstance(network, ipaddress.IPv4Network):
        return b"\0" * 10 + b"\xff\xff" + network.network_address.packed, network.prefixlen + 96
    return network.network_address.packed, network.prefixlen


def port_bits(ranges: tuple[PortRange, ...]) -> NDArray[np.uint64]:
    """A set of ports as the kernel side keeps it: 65,536 bits in 1,024 words."""
    bits = np.zeros(65536, np.uint8)
    for first, last in ranges:
        bits[first : last + 1] = 1
    return np.packbits(bits, bitorder="little").view(np.uint64)


def _in_ports(ranges: tuple[PortRange, ...], ports: NDArray[np.uint16]) -> Mask:
    allowed = np.zeros(65536, np.bool_)
    for first, last in ranges:
        allowed[first : last + 1] = True
    return allowed[ports]


def _in_networks(networks: tuple[Network, ...], addresses: NDArray[np.uint8]) -> Mask:
    found = np.zeros(len(addresses), np.bool_)
    for network in networks:
        prefix, length = mapped(network)
        mask = np.frombuffer(((1 << 128) - (1 << (128 - length))).to_bytes(16, "big"), np.uint8)
        found |= ((addresses & mask) == (np.frombuffer(prefix, np.uint8) & mask)).all(axis=1)
    return found


def refuse(
    filters: Filters, records: Records, layout: Layout, owned: Callable[[Records], Mask]
) -> tuple[Mask, dict[str, int]]:
    """Which records pass, and how many each filter was the first to refuse.

    `owned` tells which records belong to the processes of --pid.
    """
    passed = np.ones(len(records), np.bool_)
    refused: dict[str, int] = {}

    def apply(name: str, wanted: bool, test: Callable[[], Mask]) -> None:
        if wanted:
            good = test()
            refused[name] = int((passed & ~good).sum())
            passed[:] &= good

    kinds = layout.enums["kind"]
    wanted_kinds = [kinds[kind.upper()] for kind in filters.kinds]
    apply("KIND", bool(filters.kinds), lambda: np.isin(records["kind"], wanted_kinds))
    apply("FAMILY", bool(filters.family), lambda: records["family"] == filters.family)
    apply("NETNS", bool(filters.netns), lambda: np.isin(records["netns"], list(filters.netns)))
    apply(
        "PORT",
        bool(filters.ports),
        lambda: (
            _in_ports(filters.ports, records["lport"]) | _in_ports(filters.ports, records["rport"])
        ),
    )
    apply("LPORT", bool(filters.lports), lambda: _in_ports(filters.lports, records["lport"]))
    apply("RPORT", bool(filters.rports), lambda: _in_ports(filters.rports, records["rport"]))
    apply(
        "ADDR",
        bool(filters.addrs),
        lambda: (
            _in_networks(filters.addrs, records["laddr"])
            | _in_networks(filters.addrs, records["raddr"])
        ),
    )
    apply("STATE", bool(filters.states), lambda: _in_states(filters.states, records, layout))
    apply("PID", bool(filters.pids), lambda: owned(records))
    return passed, refused


def as_sockets(listeners: Records, layout: Layout) -> Records:
    """Rows of listeners as rows of sockets, which `refuse` can read."""
    rows = np.zeros(len(listeners), layout.dtypes["sock_row"])
    for name in ("cookie", "netns", "pid", "start", "family"):
        rows[name] = listeners[name]
    rows["laddr"], rows["lport"] = listeners["addr"], listeners["port"]
    rows["state"] = layout.enums["tcp_state"]["LISTEN"]
    return rows


def _in_states(states: frozenset[int], records: Records, layout: Layout) -> Mask:
    names = records.dtype.names or ()
    wanted = list(states)
    found = np.zeros(len(records), np.bool_)
    for column in ("old", "new", "timewait", "state"):
        if column in names:
            found |= np.isin(records[column], wanted)
    if "cause" in names:  # dropped at a listener
        found |= layout.enums["tcp_state"]["LISTEN"] in states
    if "outcome" in names:
        for ends in _ends(records, layout):
            found |= np.isin(ends, wanted)
    return found


def _ends(handshakes: Records, layout: Layout) -> tuple[Records, Records]:
    """The states that attempts left and entered as they ended; they do not carry them."""
    states, enums = layout.enums["tcp_state"], layout.enums
    well = handshakes["outcome"] == enums["outcome"]["OK"]
    new = np.where(well, states["ESTABLISHED"], states["CLOSE"])
    active = handshakes["role"] == enums["role"]["ACTIVE"]
    old = np.where(active, states["SYN_SENT"], states["SYN_RECV"])
    # connect() failed before it came to that
    return np.where(handshakes["syn_sent"] == 0, states["CLOSE"], old), new
