"""What the user asked to see: the same filters for the kernel and for a recording.

The kernel applies them before anything is sent (bpf/emit.h); wire/refuse.py applies them to records
that are there already, in the same order and with the same meaning.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

PortRange = tuple[int, int]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Filters:
    """AND between the members, OR within one; an empty one lets everything pass."""

    pids: tuple[int, ...] = ()
    follow: bool = True
    comms: tuple[str, ...] = ()  # patterns, wire/globs.py
    cgroups: tuple[str, ...] = ()  # paths, units, containers, pods: attribution/cgroups.py
    uids: frozenset[int] = frozenset()  # of the sockets
    ports: tuple[PortRange, ...] = ()
    lports: tuple[PortRange, ...] = ()
    rports: tuple[PortRange, ...] = ()
    addrs: tuple[Network, ...] = ()
    laddrs: tuple[Network, ...] = ()
    raddrs: tuple[Network, ...] = ()
    family: int = 0
    states: frozenset[int] = frozenset()
    netns: frozenset[int] = frozenset()
    kinds: frozenset[str] = frozenset()
    failed: bool = False
    slower_ns: int = 0  # took at least so long
    exclude: Filters | None = None  # OR between its members: what one of them lets pass is left out
    program: str = ""  # what the last of `pids` was started as: `-- sh -c 'echo hi'`
    typed: tuple[tuple[str, str], ...] = ()  # (name, text) where the meaning alone says too little

    @property
    def asks_owners(self) -> bool:
        """Whether who answers for a socket matters."""
        return any(part.pids or part.comms or part.cgroups for part in (self, self.excluded))

    @property
    def asks_cgroups(self) -> bool:
        """Whether the control group of who answers for a socket matters."""
        return bool(self.cgroups or self.excluded.cgroups)

    @property
    def excluded(self) -> Filters:
        """What --exclude names; empty where it is not given."""
        return self.exclude or Filters()

    def of_sockets(self) -> Filters:
        """What of it can be asked of sockets: they are of no kind, and have not ended."""
        exclude = self.exclude and replace(self.exclude, kinds=frozenset())
        return replace(self, kinds=frozenset(), failed=False, slower_ns=0, exclude=exclude)

    def values(self) -> dict[str, str]:
        """What is asked for, as typed, by the option's name, in the order of the kernel."""
        typed = dict(self.typed)
        ports = ("port", self.ports), ("lport", self.lports), ("rport", self.rports)
        addrs = ("addr", self.addrs), ("laddr", self.laddrs), ("raddr", self.raddrs)
        found = {
            "kind": ",".join(sorted(self.kinds)),
            "pid": ",".join(map(str, self.pids)),
            "comm": ",".join(self.comms),
            "cgroup": ",".join(self.cgroups),
            "family": str(self.family or ""),
            "netns": ",".join(map(str, sorted(self.netns))),
            "uid": ",".join(map(str, sorted(self.uids))),
            **{name: ",".join(_range(r) for r in ranges) for name, ranges in ports},
            "state": ",".join(map(str, sorted(self.states))),
            **{name: ",".join(map(str, networks)) for name, networks in addrs},
        }
        return {name: typed.get(name) or text for name, text in found.items() if text}

    def describe(self) -> dict[str, str]:
        """Option as typed for each filter that is set, by its name in the kernel's counters."""
        values = self.values()
        found = {name.upper(): f"--{name} {text}" for name, text in values.items()}
        if self.family:
            found["FAMILY"] = f"-{self.family}"
        if self.program:
            others = ",".join(map(str, self.pids[:-1]))
            found["PID"] = f"--pid {others} {self.program}" if others else self.program
        if self.failed:
            found["FAILED"] = "--failed"
        if self.slower_ns:
            text = dict(self.typed).get("slower") or f"{self.slower_ns / 1e9:g}s"
            found["SLOWER"] = f"--slower {text}"
        left_out = self.excluded.values()
        if left_out:
            words = [f"--exclude {name}={text}" for name, text in left_out.items()]
            found["EXCLUDE"] = " ".join(words)
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
