"""A table of TIME_WAIT that is full: whoever closes first keeps no memory of it.

At tcp_max_tw_buckets a connection ends at once (tcp_time_wait(), net/ipv4/tcp_minisocks.c), and is
counted in TCPTimeWaitOverflow.
"""

from __future__ import annotations

from tracer.advice.evidence import Evidence, Space
from tracer.advice.finding import INFO, WARN, Finding, Number

NEARLY = 0.8
BYTES = 256  # of one, and as a rule 64 of its port's (slabs tw_sock_TCP, tcp_bind_bucket)


def find(evidence: Evidence) -> list[Finding]:
    """One finding for each namespace whose table is full, or nearly."""
    return [found for one in evidence.spaces if (found := _judge(one, evidence))]


def _judge(one: Space, evidence: Evidence) -> Finding | None:
    over = one.grown.get("TCPTimeWaitOverflow", 0)
    limit = int(one.settings.get("tcp_max_tw_buckets", 0))
    if over:
        return _tell(one, evidence, WARN, over, limit)
    if limit and one.time_wait is not None and one.time_wait >= NEARLY * limit:
        return _tell(one, evidence, INFO, 0, limit)
    return None


def _tell(one: Space, evidence: Evidence, severity: str, over: int, limit: int) -> Finding:
    per_s = one.begun_per_s(evidence.span_s)
    numbers: dict[str, Number] = {
        "overflows": over,
        "time_wait": one.time_wait,
        "tcp_max_tw_buckets": limit or None,
        "time_wait_per_s": None if per_s is None else round(per_s, 1),
        "closed_first_by": one.closers[0][0] if one.closers else None,
        "closed_first": one.closers[0][1] if one.closers else None,
    }
    title = f"{over} connections ended without a TIME_WAIT {evidence.span}"
    there = "?" if one.time_wait is None else one.time_wait
    return Finding(
        "time-wait",
        severity,
        one.name,
        title if over else f"{there} of {limit} that TIME_WAIT may have",
        f"{there} in TIME_WAIT, tcp_max_tw_buckets {limit or 'not known'}"
        + (f"; {per_s:.3g} a second came into it" if per_s is not None else "")
        + _closers(one),
        "so many connections are closed here first, and a minute each is kept; one that is not may"
        " have a stray segment taken for the next of the same addresses and ports, which is rare",
        (
            "let the client close first, or keep connections and use them again",
            f"sysctl -w net.ipv4.tcp_max_tw_buckets={2 * max(limit, there if there != '?' else 0)}"
            if limit
            else "sysctl -w net.ipv4.tcp_max_tw_buckets=... to twice what it is",
        ),
        f"each takes some {BYTES} bytes for 60 s; read at once, no restart",
        (
            "tcptrace states --state time-wait",
            "tcptrace connections --open --state time-wait --by peer",
        ),
        numbers,
        netns=one.netns,
    )


def _closers(one: Space) -> str:
    """Who closed first, of those that are in it."""
    if not one.closers:
        return ""
    return "; closed first by " + ", ".join(f"{name} ({count})" for name, count in one.closers)
