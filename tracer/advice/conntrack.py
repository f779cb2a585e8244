"""A table of connection tracking that is full: new connections die without an answer.

Netfilter drops the packet that would need a new entry (nf_conntrack_alloc(),
net/netfilter/nf_conntrack_core.c); to who connects that is an ETIMEDOUT.
"""

from __future__ import annotations

from tracer.advice.evidence import Evidence, Space
from tracer.advice.finding import CRIT, WARN, Finding, Number

NEARLY = 0.9


def find(evidence: Evidence) -> list[Finding]:
    """One finding for each namespace whose table is full, or nearly."""
    return [found for one in evidence.spaces if (found := _judge(one, evidence))]


def _judge(one: Space, evidence: Evidence) -> Finding | None:
    settings = one.settings
    if not {"nf_conntrack_count", "nf_conntrack_max"} <= settings.keys():
        return None  # nothing tracks there, or it is not known
    count, limit = int(settings["nf_conntrack_count"]), int(settings["nf_conntrack_max"])
    dropped, evicted = (one.tracking.get(f"conntrack_{name}", 0) for name in ("drop", "early_drop"))
    if not limit or (count < NEARLY * limit and not dropped + evicted):
        return None
    numbers: dict[str, Number] = {"entries": count, "max": limit}
    numbers |= {"conntrack_drop": dropped, "conntrack_early_drop": evicted}
    title = f"{count} of {limit} entries of connection tracking are taken"
    if dropped + evicted:
        title = f"the table of connection tracking was full {evidence.span}"
    return Finding(
        "conntrack",
        CRIT if dropped or count >= limit else WARN,
        one.name,
        title,
        f"nf_conntrack_count {count}, nf_conntrack_max {limit}; {dropped} packets dropped and"
        f" {evicted} entries forgotten early {evidence.span}",
        "at the limit the first packet of each new connection is dropped, here, without a word: who"
        " connects waits until ETIMEDOUT",
        (
            f"sysctl -w net.netfilter.nf_conntrack_max={2 * limit}: in the first network namespace",
            "do not track what needs no state: nft `notrack` for the busy ports",
            "shorter memory: sysctl -w net.netfilter.nf_conntrack_tcp_timeout_time_wait=30",
        ),
        "each entry takes some 300 bytes; what is not tracked cannot be translated (NAT), nor"
        " matched by its state; read at once, no restart",
        ("dmesg | grep nf_conntrack", "tcptrace drops -d 10 --stack"),
        numbers,
        netns=one.netns,
    )
