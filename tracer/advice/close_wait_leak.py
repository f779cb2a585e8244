"""Connections that the peer has closed and the program does not: a leak, or only slow.

A slow program closes them in the end: of those that were there at the first look some are gone at
the last one. One that leaks keeps the old ones, whatever it does with the new.
"""

from __future__ import annotations

from tracer.advice.evidence import Closing, Evidence
from tracer.advice.finding import CRIT, INFO, WARN, Finding, Number

FEW = 10  # fewer are what pools of idle connections leave behind
LEAVES = 0.05  # of those that were there: what more than that leave comes to its end
LEAST_S = 2.0  # less says nothing of whether they leave
NEARLY = 0.8  # of the descriptors


def find(evidence: Evidence) -> list[Finding]:
    """One finding for each process that keeps them."""
    return [found for one in evidence.closings if (found := _judge(one, evidence))]


def _judge(one: Closing, evidence: Evidence) -> Finding | None:
    watched = evidence.looks_s is not None and evidence.looks_s >= LEAST_S
    if watched and one.before is not None:
        there = one.stayed + one.left
        if one.left > LEAVES * there:
            return None  # they come to their end
        kept = min(one.old, one.stayed)
        if not kept:
            return None
        severity = _severity(one, WARN if kept >= FEW else INFO)
        return _tell(one, evidence, severity, kept, seen=True)
    if not one.old:
        return None
    # one look cannot tell a leak from a slow program, but few are slow for a minute
    severity = WARN if one.older >= FEW else INFO
    return _tell(one, evidence, severity, one.old, seen=False)


def _severity(one: Closing, severity: str) -> str:
    if one.owner.descriptors and severity == WARN:
        used, limit = one.owner.descriptors
        if used >= NEARLY * limit and one.count >= used / 2:
            return CRIT
    return severity


def _per_minute(one: Closing, evidence: Evidence) -> float | None:
    if one.before is None or not evidence.looks_s:
        return None
    return (one.count - one.before) * 60 / evidence.looks_s


def _tell(one: Closing, evidence: Evidence, severity: str, kept: int, seen: bool) -> Finding:
    grows = _per_minute(one, evidence)
    more = f", {grows:.0f} more a minute" if grows and grows > 0 else ""
    sign = "" if one.is_exact else ">="
    shown = [f"{kept} of them {'at both looks' if seen else 'for 10 s or more'}"]
    shown.append(f"the oldest {sign}{one.oldest_s:.0f} s")
    if seen:
        shown.append(f"{one.left} of {one.stayed + one.left} left the state {evidence.between}")
    shown.append(f"bytes unread on {one.unread}")
    numbers: dict[str, Number] = {
        "close_wait": one.count,
        "kept": kept,
        "before": one.before,
        "left": one.left if seen else None,
        "per_minute": None if grows is None else round(grows, 1),
        "oldest_at_least_s": round(one.oldest_s, 3),
        "unread": one.unread,
        "descriptors": one.owner.descriptors[0] if one.owner.descriptors else None,
        "descriptors_max": one.owner.descriptors[1] if one.owner.descriptors else None,
    }
    meaning = "their peers have closed and the program has not"
    meaning += _until_out(one, grows) if seen else ": a leak, or it is slow; one look cannot tell"
    return Finding(
        "close-wait-leak",
        severity,
        one.owner.name,
        f"{one.count} sockets in CLOSE_WAIT{more}",
        "; ".join(shown),
        meaning,
        (
            "in the program: call close() when recv() returns 0 bytes, and on every error path",
            "in Python `with socket:`, in Go `defer conn.Close()` and of HTTP `resp.Body.Close()`",
            "until then a restart frees them; no sysctl ends a CLOSE_WAIT",
        )
        if seen
        else ("look whether they come to their end: tcptrace advise -d 10",),
        "the new program must be started; a restart breaks off the connections it serves"
        if seen
        else "none, it only looks",
        (
            f"tcptrace connections --open --state close-wait{_of(one)} --sort age --limit 10",
            f"tcptrace events --state close-wait{_of(one)} -d 10",
        ),
        numbers,
        one.owner.pid,
        one.owner.comm,
        one.netns,
    )


def _of(one: Closing) -> str:
    return f" --pid {one.owner.pid}" if one.owner.pid else ""


def _until_out(one: Closing, grows: float | None) -> str:
    """When there are no descriptors left, where that is known."""
    if not one.owner.descriptors:
        return ""
    used, limit = one.owner.descriptors
    text = f"; {used} of its {limit} descriptors are in use"
    if grows and grows > 0:
        text += f", at this rate all of them in {max(0, limit - used) / grows:.1f} min"
    return text
