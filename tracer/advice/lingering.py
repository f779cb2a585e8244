"""Connections that were closed here and do not end: FIN_WAIT2 and orphans.

One that its process has closed waits in FIN_WAIT2 for the peer's FIN for net.ipv4.tcp_fin_timeout.
One that it has only shut down waits for ever. What is not acknowledged is sent again until
net.ipv4.tcp_orphan_retries, and counts as an orphan: beyond a quarter of net.ipv4.tcp_max_orphans
the kernel may break them off (tcp_out_of_resources(), net/ipv4/tcp_timer.c).
"""

from __future__ import annotations

from tracer.advice.evidence import Evidence
from tracer.advice.finding import INFO, WARN, Finding, Number
from tracer.advice.lasting import HalfClosed, Ownerless

LEAST_S = 2.0  # less says nothing of whether they end
FEW = 10  # held by a process
MANY = 100  # without one: a busy server always has some
SHARE = 0.25  # of what there may be: from there on the kernel may break them off


def find(evidence: Evidence) -> list[Finding]:
    """One finding for each process that holds them, and for each namespace with many orphans."""
    if evidence.looks_s is None or evidence.looks_s < LEAST_S:
        return []
    held = [_tell_held(one, evidence) for one in evidence.half_closed if one.kept >= FEW]
    return held + [_tell_ownerless(one, evidence) for one in evidence.ownerless if _is_bad(one)]


def _is_near(one: Ownerless) -> bool:
    return bool(one.max_orphans) and one.orphans >= SHARE * (one.max_orphans or 0)


def _is_bad(one: Ownerless) -> bool:
    return one.waiting >= MANY or one.unacknowledged >= MANY or _is_near(one)


def _tell_held(one: HalfClosed, evidence: Evidence) -> Finding:
    numbers: dict[str, Number] = {
        "fin_wait2": one.count,
        "kept": one.kept,
        "longest_s": round(one.longest_s, 3),
        "descriptors": one.owner.descriptors[0] if one.owner.descriptors else None,
        "descriptors_max": one.owner.descriptors[1] if one.owner.descriptors else None,
    }
    return Finding(
        "fin-wait2",
        WARN,
        one.owner.name,
        f"{one.count} sockets in FIN_WAIT2 whose peers do not close",
        f"{one.kept} of them at both looks, and nothing came {evidence.between}; the oldest is"
        f" silent for {one.longest_s:.0f} s, with {one.peer}",
        "the program has shut them down and not closed them: it waits for the peer's end, and as it"
        " holds the descriptors no timeout of the kernel ends that",
        (
            "in the program: after shutdown(SHUT_WR) read with a limit of time, then close();"
            " net.ipv4.tcp_fin_timeout counts from close() on",
            "over there they are in CLOSE_WAIT: tcptrace advise (close-wait-leak)",
        ),
        "close() gives up what the peer would still send; the program must be started anew",
        (f"tcptrace connections --open --state fin-wait2{one.owner.asked} --sort idle --limit 10",),
        numbers,
        one.owner.pid,
        one.owner.comm,
        one.netns,
    )


def _tell_ownerless(one: Ownerless, evidence: Evidence) -> Finding:
    waits = one.waiting >= one.unacknowledged
    numbers: dict[str, Number] = {
        "fin_wait2": one.waiting,
        "unacknowledged": one.unacknowledged,
        "orphans": one.orphans,
        "max_orphans": one.max_orphans,
        "fin_timeout_s": one.fin_timeout_s,
    }
    limit = "not known" if one.max_orphans is None else one.max_orphans
    count = one.waiting if waits else one.unacknowledged
    what = "wait for the peer to close" if waits else "wait for the peer to acknowledge"
    return Finding(
        "fin-wait2",
        WARN if _is_near(one) else INFO,
        one.name,
        f"{count} closed connections {what} {evidence.between}",
        f"{one.waiting} in FIN_WAIT2 and {one.unacknowledged} in FIN_WAIT1, CLOSING or LAST_ACK"
        f" were there all the while; {one.orphans} orphans, tcp_max_orphans {limit}",
        _meaning_of_waiting(one) if waits else _NOT_ACKNOWLEDGED,
        _fix(one, waits),
        "a peer that would have closed later meets a RST; read at once, no restart",
        (
            f"tcptrace connections --open --state {'fin-wait2' if waits else 'fin-wait1'}"
            " --by peer",
            "tcptrace states --by netns -d 10",
        ),
        numbers,
        netns=one.netns,
    )


_NOT_ACKNOWLEDGED = (
    "their peers are gone, or read nothing, and what was sent is sent again until it is given up;"
    " each keeps its buffers meanwhile"
)


def _meaning_of_waiting(one: Ownerless) -> str:
    kept = "net.ipv4.tcp_fin_timeout" if one.fin_timeout_s is None else f"{one.fin_timeout_s} s"
    return (
        "this side closes first and their peers do not follow: each is kept for"
        f" {kept} (net.ipv4.tcp_fin_timeout), and its port with it; the peers have them in"
        " CLOSE_WAIT"
    )


def _fix(one: Ownerless, waits: bool) -> tuple[str, ...]:
    if waits:
        fix: tuple[str, ...] = (
            "let the client close first, or close idle connections later than it does",
        )
        if one.fin_timeout_s is not None and one.fin_timeout_s > _SHORT:
            fix += (f"sysctl -w net.ipv4.tcp_fin_timeout={_SHORT}: they are kept for less",)
    else:
        fix = (
            "which peers: see below; one alone is its host, all are this host's network",
            "sysctl -w net.ipv4.tcp_orphan_retries=3: they are given up after some seconds",
        )
    if _is_near(one) and one.max_orphans:
        fix += (f"sysctl -w net.ipv4.tcp_max_orphans={2 * one.max_orphans}: up to 64 KB each",)
    return fix


_SHORT = 30
