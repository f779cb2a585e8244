"""Bytes that have come and that the program does not read: its peer has to wait.

What was read is what came less what waits. Where that is the same at both looks, nobody has read.
"""

from __future__ import annotations

from tracer.advice.evidence import Evidence, Unread
from tracer.advice.finding import WARN, Finding, Number

LEAST_S = 2.0  # less is a program that does something else for a moment


def find(evidence: Evidence) -> list[Finding]:
    """One finding for each process that reads nothing though there is much to read."""
    if evidence.looks_s is None or evidence.looks_s < LEAST_S:
        return []
    return [_tell(one, evidence) for one in evidence.unread]


def _tell(one: Unread, evidence: Evidence) -> Finding:
    numbers: dict[str, Number] = {
        "connections": one.count,
        "unread_bytes": one.unread,
        "largest_bytes": one.largest,
        "grown_bytes": one.grown,
    }
    many = "connection" if one.count == 1 else "connections"
    pid = f" --pid {one.owner.pid}" if one.owner.pid else ""
    return Finding(
        "not-reading",
        WARN,
        one.owner.name,
        f"{one.count} {many} with data that nobody has read {evidence.between}",
        f"{one.unread} bytes wait, at most {one.largest} on one; {one.grown} more came"
        f" {evidence.between}",
        "when the receive buffer is full the window closes and the peer cannot send: to it the"
        " connection hangs; the network is not to blame",
        (
            "look what the program does instead: its threads' stacks, a lock, a slow disk",
            "read in a thread that does nothing else, or stop taking connections that it cannot"
            " serve",
            "a larger receive buffer only delays it",
        ),
        "none, they change the program alone; it must be started anew",
        (f"tcptrace connections --open{pid} --sort recv-q -i 1",),
        numbers,
        one.owner.pid,
        one.owner.comm,
        one.netns,
    )
