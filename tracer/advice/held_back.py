"""Connections that have data to send and may not: the peer's window, or our own send buffer.

And those that carry much, and wait for their own application for most of the time: that is no
trouble of TCP's, and answers why they are not faster.

The kernel keeps both times (tcp_info's tcpi_rwnd_limited, tcpi_sndbuf_limited; Linux commit
0f87230d1a6c ("tcp: instrument how long TCP is busy sending") (in v4.10) and those after it).
"""

from __future__ import annotations

from tracer.advice.evidence import Evidence, HeldBack
from tracer.advice.finding import INFO, WARN, Finding, Number

LEAST_S = 2.0
ROOM = 2  # times what is on the way: a buffer holds what waits as well
WHAT = {
    "rwnd": "the peer's receive window",
    "sndbuf": "its own send buffer",
    "application": "the application",
}


def find(evidence: Evidence) -> list[Finding]:
    """One finding for each process and each of the three."""
    if evidence.looks_s is None or evidence.looks_s < LEAST_S:
        return []
    return [_tell(one, evidence) for one in evidence.held_back]


def _tell(one: HeldBack, evidence: Evidence) -> Finding:
    stalled = one.per_s == 0
    many = "connection" if one.count == 1 else "connections"
    on_its_way = round(one.per_s * one.srtt_s)
    # the last look may come some time after the span
    limited_s = min(one.limited_s, evidence.looks_s or one.limited_s)
    numbers: dict[str, Number] = {
        "held_by": one.by,
        "connections": one.count,
        "limited_s": round(limited_s, 3),
        "bytes_per_s": round(one.per_s),
        "srtt_s": one.srtt_s or None,
        "bytes_on_the_way": on_its_way,
    }
    return Finding(
        "held-back",
        INFO if one.by == "application" or (one.by == "rwnd" and not stalled) else WARN,
        f"{one.owner.name} -> {one.peer}",
        f"{one.count} {many} held up by {WHAT[one.by]} {evidence.between}",
        f"for {limited_s:.3g} s of it at most; {one.per_s / 1e6:.3g} MB/s, round trip"
        f" {one.srtt_s * 1000:.3g} ms: {on_its_way} bytes on the way",
        _meaning(one.by, stalled),
        _fix(one, on_its_way),
        _risk(one.by),
        (f"tcptrace connections --open{_pid(one)} -i 1",),
        numbers,
        one.owner.pid,
        one.owner.comm,
        one.netns,
    )


def _pid(one: HeldBack) -> str:
    return f" --pid {one.owner.pid}" if one.owner.pid else ""


def _risk(by: str) -> str:
    if by == "application":
        return "they slow the process down while they look"
    return (
        "larger buffers take memory, for each connection that uses them; a new size is of the next"
        " connections"
    )


def _meaning(by: str, stalled: bool) -> str:
    if by == "application":
        return (
            "TCP had sent all it was given, and all of that was acknowledged: neither the network"
            " nor a buffer makes it slow, but what the program waits for: its disk, its CPU, the"
            " next request"
        )
    if by == "sndbuf":
        return "more could go at once than it may keep until it is acknowledged"
    if stalled:
        return "nothing went at all: the peer does not read, and its buffer is full"
    return "the peer reads no faster, or its receive buffer is small for such a round trip"


def _fix(one: HeldBack, on_its_way: int) -> tuple[str, ...]:
    if one.by == "application":
        pid = one.owner.pid or "PID"
        return (
            "to be faster it has to write sooner, or more at once: no sysctl brings that",
            f"what it waits for: strace -fc -p {pid}; perf top -p {pid}",
        )
    return _of_the_peer() if one.by == "rwnd" else _of_ours(on_its_way)


def _of_the_peer() -> tuple[str, ...]:
    return (
        "over there: tcptrace advise, whether its process reads (not-reading)",
        "over there: no SO_RCVBUF, which ends the kernel's own sizing, and a larger third value of"
        " net.ipv4.tcp_rmem",
    )


def _of_ours(on_its_way: int) -> tuple[str, ...]:
    return (
        "set no SO_SNDBUF: the kernel then sizes the buffer by itself",
        f"if it sets none: a third value of net.ipv4.tcp_wmem above {ROOM * on_its_way}",
    )
