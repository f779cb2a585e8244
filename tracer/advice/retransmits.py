"""More data sent again than is usual: packets are lost, or come late.

Of RetransSegs those are left out that are SYNs and SYN-ACKs (TCPSynRetrans): of a peer that does
not answer, which failed-connects tells.
"""

from __future__ import annotations

from tracer.advice.evidence import Evidence, Space
from tracer.advice.finding import INFO, WARN, Finding, Number

LEAST = 20  # segments
USUAL, BAD = 0.01, 0.03  # of what was sent
NEEDLESS = 0.5  # of what was sent again, where the peer says that it had it


def find(evidence: Evidence) -> list[Finding]:
    """One finding for each namespace where much is sent again."""
    return [found for one in evidence.spaces if (found := _judge(one, evidence))]


def _judge(one: Space, evidence: Evidence) -> Finding | None:
    again = one.grown.get("RetransSegs", 0) - one.grown.get("TCPSynRetrans", 0)
    sent = one.grown.get("OutSegs", 0) + again  # OutSegs leaves them out
    if again < LEAST or again < USUAL * sent:
        return None
    return _tell(one, evidence, again, sent)


def _tell(one: Space, evidence: Evidence, again: int, sent: int) -> Finding:
    timeouts, lost = (one.grown.get(f"{name}", 0) for name in _COUNTERS[:2])
    twice = sum(one.grown.get(f"{name}", 0) for name in _COUNTERS[2:])
    numbers: dict[str, Number] = {"sent_again": again, "sent": sent, "share": again / sent}
    peer, to_peer = one.resent_to or (None, None)
    numbers |= {"most_resent_to": peer, "resent_to_it": to_peer}
    numbers |= {"timeouts": timeouts, "lost_again": lost, "had_already": twice}
    needless = twice >= NEEDLESS * again
    return Finding(
        "retransmits",
        WARN if again >= BAD * sent else INFO,
        one.name,
        f"{again / sent:.1%} of the segments were sent again {evidence.span}",
        f"{again} of {sent}; {timeouts} timeouts, {lost} lost once more, {twice} that the peer"
        " had already" + (f"; of what is open still, most to {peer}: {to_peer}" if peer else ""),
        "most of it had come: the way is slow or reorders, and loses little"
        if needless
        else "packets are lost on the way: each costs a round trip, one that only the timeout finds"
        " 200 ms or more",
        (
            "which peers: tcptrace retransmits -d 10 --by peer; one alone is its path, all are this"
            " host's",
            "whether they are lost here: tcptrace drops -d 10, ethtool -S, tc -s qdisc",
        ),
        "none, these look",
        ("tcptrace retransmits -d 10 --by peer", "tcptrace counters -d 10"),
        numbers,
        netns=one.netns,
    )


_COUNTERS = ("TCPTimeouts", "TCPLostRetransmit", "TCPDSACKRecv", "TCPDSACKOfoRecv")
