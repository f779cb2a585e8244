"""A listener that throws SYNs away as its SYN queue is full, or answers them with cookies.

Requests that wait for their last ACK are counted against the same limit as the accept queue
(inet_csk_reqsk_queue_is_full(), include/net/inet_connection_sock.h). Where that is reached,
tcp_syncookies decides between a cookie and a drop; without cookies the last quarter of
tcp_max_syn_backlog is kept for peers that are known (tcp_conn_request(), net/ipv4/tcp_input.c).
"""

from __future__ import annotations

from tracer.advice.evidence import Evidence, Listening
from tracer.advice.finding import CRIT, INFO, WARN, Finding, Number

FULL, RESERVE = "syn_queue_full", "syn_queue_reserve"
ANSWER = 0.5  # of cookies that are sent: what comes of as many are clients, and no flood
_FLOOD = "a flood, or clients that the answer does not reach"
_SAFE = "without timestamps a cookie has no window scale and no SACK; read at the next SYN"


def find(evidence: Evidence) -> list[Finding]:
    """One finding for each listener whose SYN queue was full over the span."""
    return [found for one in evidence.listenings if (found := _judge(one, evidence))]


def _dropped(one: Listening) -> int:
    return one.drops.get(FULL, 0) + one.drops.get(RESERVE, 0)


def _judge(one: Listening, evidence: Evidence) -> Finding | None:
    if _dropped(one):
        return _tell(one, evidence, CRIT)
    if one.syncookies == 2 or not one.cookies:
        return None  # they are sent always, or were not
    return _tell(one, evidence, INFO if _are_clients(one) else WARN)


def _are_clients(one: Listening) -> bool:
    """Whether what is asked for is wanted: handshakes come to their end."""
    return one.finished >= ANSWER * (one.cookies + _dropped(one))


def _tell(one: Listening, evidence: Evidence, severity: str) -> Finding:
    dropped = _dropped(one)
    title = f"{dropped} SYNs dropped {evidence.span}, the SYN queue was full"
    if not dropped:
        title = f"{one.cookies} SYNs answered with a cookie {evidence.span}, the SYN queue was full"
    numbers: dict[str, Number] = {
        "dropped_full": one.drops.get(FULL, 0),
        "dropped_reserve": one.drops.get(RESERVE, 0),
        "cookies_sent": one.cookies,
        "finished": one.finished,
        "queue": one.syn_queue,
        "queue_peak": one.syn_peak,
        "queue_max": one.limit,
        "max_syn_backlog": one.max_syn_backlog,
        "syncookies": one.syncookies,
    }
    return Finding(
        "syn-queue-full",
        severity,
        f"{one.owner.name} {one.name}",
        title,
        _shown(one),
        _meaning(one),
        _fix(one),
        _SAFE
        if one.syncookies == 0
        else "listen() must be called anew: a restart, in most servers",
        (
            f"tcptrace listeners --lport {one.port} -i 1",
            f"tcptrace handshakes --lport {one.port} --by peer/24",
        ),
        numbers,
        one.owner.pid,
        one.owner.comm,
        one.netns,
    )


def _shown(one: Listening) -> str:
    peak = "not known" if one.syn_peak is None else one.syn_peak
    return (
        f"peak {peak} of {one.limit}, tcp_max_syn_backlog {one.max_syn_backlog}, tcp_syncookies"
        f" {one.syncookies}; {one.cookies} cookies sent, {one.finished} handshakes finished"
    )


def _meaning(one: Listening) -> str:
    if _are_clients(one):
        return "clients that mean it: their handshakes finish; they come faster than ACKs return"
    return f"few of them finish: {_FLOOD}"


def _fix(one: Listening) -> tuple[str, ...]:
    longer = f"a longer queue: listen() with more than {one.limit}"
    if one.set_by == "somaxconn":
        longer = f"a longer queue: net.core.somaxconn above {one.limit}, then listen() anew"
    if one.syncookies != 0:
        if _are_clients(one):
            return (longer, "cookies did their work: nobody was turned away")
        return ("find where they come from, and stop it there: see below",)
    cookies = "sysctl -w net.ipv4.tcp_syncookies=1: a full queue answers with cookies"
    if one.drops.get(RESERVE) and one.max_syn_backlog is not None:
        more = f"or sysctl -w net.ipv4.tcp_max_syn_backlog={2 * one.max_syn_backlog}, of no use"
        return (cookies, f"{more} above the queue's own limit of {one.limit}")
    return (cookies, f"or {longer}") if _are_clients(one) else (cookies,)
