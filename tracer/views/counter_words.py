"""What the kernel's counters mean, a sentence each, from counter_meanings.txt."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

TEXT = Path(__file__).with_name("counter_meanings.txt")
# how many there are now, not how often something happened
GAUGES = frozenset({"TcpCurrEstab", "MPTcpExtMPCurrEstab"}) | {
    *("softnet_backlog_len", "softnet_input_qlen", "softnet_process_qlen"),
    *("nf_conntrack_count", "nf_conntrack_max", "nf_conntrack_delete_list"),
}
# what was set, and counts nothing
SETTINGS = frozenset({"IpForwarding", "IpDefaultTTL"}) | {
    *("TcpRtoAlgorithm", "TcpRtoMin", "TcpRtoMax", "TcpMaxConn"),
}
# what else a name may stand under: IPv6 counts as IPv4 does, UDP-Lite as UDP
_KIN = (
    (re.compile(r"^Ip6"), ("Ip", "IpExt")),
    (re.compile(r"^Icmp6"), ("Icmp",)),
    (re.compile(r"^Udp(Lite6?|6)"), ("Udp",)),
    (re.compile(r"^(?=[A-Z])"), ("Tcp", "TcpExt")),  # as tables without other protocols call them
)
_ICMP = re.compile(r"^Icmp(?:Msg|6)(In|Out)Type(\d+)$")
_DRIVERS = (
    (re.compile(r"peer_ifindex"), "the index of the device at the other end", False),
    (re.compile(r"drop|discard|no_buf|nobuf|missed|oversize"), "thrown away", True),
    (re.compile(r"err|crc|fail|timeout|bad"), "failed", True),
)


@cache
def meanings() -> dict[str, tuple[str, bool]]:
    """A sentence by name, and whether the counter is worth a look once it grows."""
    found = {}
    for line in TEXT.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, text = line.partition("\t")
            found[name] = text.removeprefix("!"), text.startswith("!")
    return found


def _find(name: str) -> tuple[str, bool] | None:
    known = meanings()
    if name in known:
        return known[name]
    for pattern, prefixes in _KIN:
        bare, count = pattern.subn("", name)
        if count:
            for prefix in prefixes:
                if prefix + bare in known:
                    return known[prefix + bare]
    found = _ICMP.match(name)
    if found:
        way = {"In": "came in", "Out": "were sent"}[found[1]]
        return f"ICMP messages of type {found[2]} that {way}", False
    return None


def meaning(name: str, source: str = "") -> str | None:
    """A sentence; of what a driver counts at most what its name says; None: not known."""
    if source == "nic":
        told = next((text for found, text, _ in _DRIVERS if found.search(name)), "counted")
        return f"{told}, as the card's driver has it"
    found = _find(name)
    return found[0] if found else None


def is_trouble(name: str, source: str = "") -> bool:
    """Whether it is worth a look once it grows."""
    if source == "nic":
        return any(wrong and found.search(name) for found, _, wrong in _DRIVERS)
    found = _find(name)
    return found is not None and found[1]


def is_gauge(name: str) -> bool:
    """Whether it tells how many there are now, and goes down as well as up."""
    return name in GAUGES


def is_setting(name: str) -> bool:
    """Whether it is no count at all."""
    return name in SETTINGS or name == "peer_ifindex"
