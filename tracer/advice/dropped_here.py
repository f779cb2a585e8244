"""Packets that came to this host and that it threw away, by the kernel's own counters."""

from __future__ import annotations

from tracer.advice.evidence import Evidence, Space
from tracer.advice.finding import INFO, WARN, Finding, Number

FEW = 10  # fewer happen on any network

_RESERVE = "memory was short: sysctl -w vm.min_free_kbytes=... keeps more for packets"
# by the name of the kernel's counter: what it means, and what helps
WORDS = {
    "TCPBacklogDrop": (
        "more came to a socket than its buffer holds while its process was in the kernel with it",
        "a larger receive buffer (net.ipv4.tcp_rmem), or more than one connection",
    ),
    "TCPRcvQDrop": (
        "a receive buffer was full though its window had been offered",
        "read sooner; a larger receive buffer: net.ipv4.tcp_rmem, or SO_RCVBUF if it is set",
    ),
    "RcvPruned": (
        "a receive buffer was full and could not be made smaller",
        "read sooner; a larger receive buffer: net.ipv4.tcp_rmem, or SO_RCVBUF if it is set",
    ),
    "OfoPruned": (
        "what came out of order was thrown away for want of room, and comes again",
        "a larger receive buffer: net.ipv4.tcp_rmem; fewer losses on the way",
    ),
    "PFMemallocDrop": ("the packet lay in memory kept for emergencies", _RESERVE),
    "TCPAbortOnMemory": (
        "connections were broken off: too many without a process, or tcp_mem is used up",
        "look who leaves them: tcptrace connections --open; net.ipv4.tcp_mem, tcp_max_orphans",
    ),
    "IPReversePathFilter": (
        "the answer would leave by another device than the packet came by",
        "routes that go both ways alike, or rp_filter=2 for that device: any way back will do",
    ),
    "InAddrErrors": (
        "the address is not this host's, or may not come from there",
        "who sends it: tcptrace drops -d 10",
    ),
    "InDiscards": ("memory was short, or a device's rules refused it", _RESERVE),
    "InCsumErrors": (
        "the checksum was wrong: a broken card, cable or tunnel, or offloading that is wrong",
        "ethtool -K DEVICE rx off, to see whether it is the card",
    ),
}


# where nstat has several of a name
_WHOLE = {name: f"Ip{name}" for name in ("InAddrErrors", "InDiscards")}
_WHOLE["InCsumErrors"] = "TcpInCsumErrors"


def find(evidence: Evidence) -> list[Finding]:
    """One finding for each namespace where any of them grew."""
    return [found for one in evidence.spaces if (found := _judge(one, evidence))]


def _judge(one: Space, evidence: Evidence) -> Finding | None:
    grown = {name: one.grown[name] for name in WORDS if one.grown.get(name)}
    if not grown:
        return None
    numbers: dict[str, Number] = dict(grown)
    return Finding(
        "dropped-here",
        WARN if sum(grown.values()) >= FEW else INFO,
        one.name,
        f"{sum(grown.values())} packets or connections thrown away {evidence.span}",
        ", ".join(f"{name} {count}" for name, count in grown.items()) + _seen(one),
        "; ".join(f"{name}: {WORDS[name][0]}" for name in grown),
        tuple(dict.fromkeys(WORDS[name][1] for name in grown)),
        "larger buffers take memory; rp_filter=2 lets in what comes by any device that has a route"
        " back",
        (
            "tcptrace drops -d 10",
            *(f"tcptrace explain {_WHOLE.get(name, name)}" for name in list(grown)[:2]),
        ),
        numbers,
        netns=one.netns,
    )


def _seen(one: Space) -> str:
    if not one.dropped:
        return ""
    most = ", ".join(f"{reason} {count}" for reason, count in one.dropped[:3])
    return f"; packets of TCP were seen dropped by reason: {most}"
