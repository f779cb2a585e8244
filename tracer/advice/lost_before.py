"""Packets lost before there is one to give a reason for: by a device, its queues, or a CPU."""

from __future__ import annotations

from tracer.advice.evidence import Evidence, LostBefore
from tracer.advice.finding import INFO, WARN, Finding, Number

FEW = 10  # fewer happen on any network

_RING = "a longer ring: ethtool -g DEVICE says what it may have, ethtool -G DEVICE rx N sets it"
_SPREAD = "spread its work over CPUs: /proc/interrupts, ethtool -L DEVICE, rps_cpus of its queues"
# by the name of the counter: what it means, what helps, what that costs
WORDS = {
    "rx_missed_errors": (
        "packets came faster than the host took them out of the device's ring",
        (_RING, _SPREAD),
        "the device is started anew for it, and its link is down for some seconds",
    ),
    "rx_fifo_errors": (
        "the device's own buffer ran over: the host took packets too slowly",
        (_RING, _SPREAD),
        "the device is started anew for it, and its link is down for some seconds",
    ),
    "rx_over_errors": (
        "the device's own buffer ran over: the host took packets too slowly",
        (_RING, _SPREAD),
        "the device is started anew for it, and its link is down for some seconds",
    ),
    "rx_errors": (
        "frames came that were damaged, or of a wrong length: a cable, a port, an MTU that differs",
        ("ethtool -S DEVICE says which; try another cable and port; ip link show, for the MTU",),
        "none, these look",
    ),
    "rx_dropped": (
        "frames that came in sound were thrown away: most often of a protocol that nobody takes"
        " here, such as LLDP, which loses nothing; else memory was short",
        ("what they are: tcptrace drops -d 10 --packets --by reason,dev; tcpdump -ni DEVICE",),
        "none, these look",
    ),
    "tx_errors": (
        "frames could not be sent",
        ("ethtool DEVICE, for its link; ethtool -S DEVICE says why",),
        "none, these look",
    ),
    "tx_dropped": (
        "frames were thrown away on their way out: a full queue, or a device that is down",
        ("tc -s qdisc show dev DEVICE; ip link show DEVICE",),
        "none, these look",
    ),
    "tx_fifo_errors": (
        "the device's queue for what is sent ran over or under",
        ("a longer ring: ethtool -G DEVICE tx N",),
        "the device is started anew for it, and its link is down for some seconds",
    ),
    "tx_carrier_errors": (
        "the link was down, or came and went",
        ("ethtool DEVICE; try another cable and port",),
        "none, these look",
    ),
    "dropped": (
        "packets waited for a CPU and its backlog was full: net.core.netdev_max_backlog (RPS, and"
        " devices without NAPI)",
        (
            "sysctl -w net.core.netdev_max_backlog=... to twice what it is: bursts find room",
            _SPREAD,
        ),
        "what waits longer comes later, and takes memory; read at once, no restart",
    ),
}
HARMLESS = ("rx_dropped",)  # most often


def find(evidence: Evidence) -> list[Finding]:
    """One finding for each device, and each CPU, that lost any."""
    found = []
    for one in evidence.lost_before:
        lost = {name: count for name, count in one.lost.items() if name in WORDS}
        if lost:
            found.append(_tell(one, lost, evidence))
    return found


def _tell(one: LostBefore, lost: dict[str, int], evidence: Evidence) -> Finding:
    numbers: dict[str, Number] = {f"lost_{name}": count for name, count in lost.items()}
    count = sum(lost.values())
    bad = sum(lost[name] for name in lost if name not in HARMLESS)
    fix = dict.fromkeys(
        line.replace("DEVICE", one.device) for name in lost for line in WORDS[name][1]
    )
    return Finding(
        "lost-before",
        WARN if bad >= FEW else INFO,
        one.name,
        f"{count} packets lost before TCP saw them {evidence.span}",
        ", ".join(f"{name} {number}" for name, number in lost.items()),
        "; ".join(f"{name}: {WORDS[name][0]}" for name in lost),
        tuple(fix),
        "; ".join(dict.fromkeys(WORDS[name][2] for name in lost)),
        ("tcptrace counters -d 10", "tcptrace drops -d 10 --packets --by reason,dev"),
        numbers,
        netns=one.netns,
    )
