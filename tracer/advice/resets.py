"""Connections that a RST ended while they were in use: by the peer, or by how they are closed here.

Those that came after a silence are told of by idle-timeout, those to a port where nobody listens by
failed-connects and listener-gap.
"""

from __future__ import annotations

from collections import Counter

from tracer.advice.evidence import BrokenOff, Evidence, Owner
from tracer.advice.finding import INFO, WARN, Finding, Number

LEAST = 10  # fewer may be one restart
USUAL = 0.05  # of the connections to that peer


def find(evidence: Evidence) -> list[Finding]:
    """One finding for each process and peer that broke off many, or that lost answers to it."""
    begun = Counter[tuple[Owner, str]]()
    for each in evidence.attempted:
        begun[each.owner, each.host] += each.outcomes.get("ok", 0)
    found = []
    for one in evidence.broken_off:
        connects = begun[one.owner, one.host]
        if one.received >= max(LEAST, USUAL * connects):
            found.append(_tell_received(one, connects, evidence))
        if one.unread + one.late >= LEAST:
            found.append(_tell_sent(one, evidence))
    return found


def _numbers(one: BrokenOff) -> dict[str, Number]:
    numbers: dict[str, Number] = {
        "resets_received": one.received,
        "closed_unread": one.unread,
        "data_after_close": one.late,
    }
    return numbers


def _tell_received(one: BrokenOff, connects: int, evidence: Evidence) -> Finding:
    of = f" {connects} were opened to it meanwhile;" if connects else ""
    return Finding(
        "resets",
        WARN,
        f"{one.owner.name} <- {one.peer}",
        f"{one.received} connections in use were reset by the peer {evidence.span}",
        f"{one.received} RSTs came for connections that were begun here, less than a second after"
        f" something had come over them;{of} the last one: {one.peer}",
        "the other side broke them off: its program crashed or was killed, closed with bytes that"
        " it had not read, or a proxy or firewall between ended them; the application gets"
        " ECONNRESET",
        (
            f"over there: tcptrace resets --lport {one.port} -d 10, which says by what",
            "over there: whether it was started anew, or killed: systemctl status, journalctl -k",
        ),
        "none, these look",
        (
            f"tcptrace resets{one.owner.asked} --raddr {one.host} -d 10 --by peer,errno",
            f"tcptrace events --kind reset,error{one.owner.asked} --raddr {one.host} -d 10",
        ),
        _numbers(one),
        one.owner.pid,
        one.owner.comm,
        one.netns,
    )


def _tell_sent(one: BrokenOff, evidence: Evidence) -> Finding:
    return Finding(
        "resets",
        INFO,
        f"{one.owner.name} -> {one.host}",
        f"{one.unread + one.late} connections were closed so that the peer got a RST"
        f" {evidence.span}",
        f"{one.unread} by close() with bytes that nobody had read, {one.late} as more came after"
        " close()",
        "a RST overtakes what was sent before it: the peer may lose the end of an answer that it"
        " had not read yet, and gets ECONNRESET",
        (
            "in the program: shutdown(SHUT_WR), read until recv() returns 0 bytes or a limit of"
            " time is over, then close()",
            "nginx `lingering_close always`",
        ),
        "a connection is held for longer; the program must be started anew",
        (f"tcptrace resets{one.owner.asked} -d 10",),
        _numbers(one),
        one.owner.pid,
        one.owner.comm,
        one.netns,
    )
