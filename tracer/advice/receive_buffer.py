"""A receive buffer that is too small for the way: each round trip brings one window, and no more.

What a window of W bytes lets through is W a round trip, whatever the line could carry. SO_RCVBUF
fixes the buffer and ends the kernel's own sizing (SOCK_RCVBUF_LOCK, net/core/sock.c), which goes up
to the third value of net.ipv4.tcp_rmem (tcp_rcvbuf_grow(), net/ipv4/tcp_input.c).
"""

from __future__ import annotations

from tracer.advice.evidence import Evidence
from tracer.advice.finding import WARN, Finding, Number
from tracer.advice.lasting import Receiving

LEAST_S = 2.0
FILLED = 0.9  # of what the kernel would size it to: it grows no further


def find(evidence: Evidence) -> list[Finding]:
    """One finding for each process whose buffer something keeps small."""
    if evidence.looks_s is None or evidence.looks_s < LEAST_S:
        return []
    return [found for one in evidence.receiving if (found := _judge(one, evidence))]


def _judge(one: Receiving, evidence: Evidence) -> Finding | None:
    if one.is_set:
        return _tell(one, evidence, "SO_RCVBUF, set by the program")
    if one.grows is False:
        return _tell(one, evidence, "net.ipv4.tcp_moderate_rcvbuf=0")
    if one.most is not None and one.buffer >= FILLED * one.most:
        return _tell(one, evidence, "the third value of net.ipv4.tcp_rmem")
    return None  # it still grows


def _tell(one: Receiving, evidence: Evidence, by: str) -> Finding:
    numbers: dict[str, Number] = {
        "connections": one.count,
        "bytes_per_s": round(one.per_s),
        "rtt_s": one.rtt_s,
        "bytes_on_the_way": round(one.per_s * one.rtt_s),
        "window": one.window,
        "buffer": one.buffer,
        "kept_small_by": by,
        "tcp_rmem_max": one.most,
        "collapsed": one.collapsed,
        "pruned": one.pruned,
    }
    many = "connection" if one.count == 1 else "connections"
    return Finding(
        "receive-buffer",
        WARN,
        f"{one.owner.name} <- {one.peer}",
        f"{one.count} {many} held up by a small receive buffer here {evidence.between}",
        f"{one.per_s / 1e6:.3g} MB/s, round trip {one.rtt_s * 1000:.3g} ms:"
        f" {round(one.per_s * one.rtt_s)} bytes on the way, the window is {one.window} bytes, the"
        f" buffer {one.buffer}; {one.collapsed} segments collapsed, {one.pruned} queues pruned",
        f"the program reads what comes, and no more than a window comes in each round trip: at most"
        f" {one.window / one.rtt_s / 1e6:.3g} MB/s; kept small by {by}",
        _fix(one),
        "larger buffers take memory, for each connection that fills them; of the next connections"
        " alone",
        (f"tcptrace connections --open{one.owner.asked} --sort in -i 1",),
        numbers,
        one.owner.pid,
        one.owner.comm,
        one.netns,
    )


def _fix(one: Receiving) -> tuple[str, ...]:
    if one.is_set:
        up_to = f", up to {one.most} bytes" if one.most else ""
        grown: tuple[str, ...] = (
            f"set no SO_RCVBUF: the kernel then sizes the buffer by itself{up_to}",
            f"or a larger one: bytes a second wanted, times {one.rtt_s:.3g} s, and no more than"
            " net.core.rmem_max",
        )
        return grown
    if one.grows is False:
        return ("sysctl -w net.ipv4.tcp_moderate_rcvbuf=1: receive buffers grow by themselves",)
    assert one.most
    return (
        f"a third value of net.ipv4.tcp_rmem above {one.most}: twice the bytes a second wanted,"
        f" times {one.rtt_s:.3g} s",
    )
