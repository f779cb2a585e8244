"""Connections that the peer has closed and the program does not: a leak, or only slow.

A slow program closes them in the end: of those that were there at the first look some are gone at
the last one. One that leaks keeps the old ones, whatever it does with the new.
"""

from __future__ import annotations

from tracer.advice.evidence import AGES_S, Closing, Evidence
from tracer.advice.finding import CRIT, INFO, WARN, Finding, Number

FEW = 10  # fewer are what pools of idle connections leave behind
LEAVES = 0.05  # of those that were there: what more than that leave comes to its end
LEAST_S = 2.0  # less says nothing of whether they leave
NEARLY = 0.8  # of the descriptors
PLACES = 3  # where sockets were made: the most frequent


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
            return _judge_young(one, evidence)
        severity = _severity(one, WARN if kept >= FEW else INFO)
        return _tell(one, evidence, severity, kept, seen=True)
    return _judge_young(one, evidence)


def _judge_young(one: Closing, evidence: Evidence) -> Finding | None:
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
    shown.append(f"the oldest {sign}{one.oldest_s:.0f} s{_ages(one)}")
    if seen:
        shown.append(f"{one.left} of {one.stayed + one.left} left the state {evidence.between}")
    shown.append(f"bytes unread on {one.unread}")
    shown += _made(one)
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
    numbers |= dict(zip(_AGES, one.spread, strict=False)) | _made_numbers(one)
    meaning = "their peers have closed and the program has not"
    if seen:
        meaning += _until_out(one, grows)
    elif not evidence.looks_s or evidence.looks_s < LEAST_S or one.before is None:
        meaning += ": a leak, or it is slow; one look cannot tell"
    else:
        meaning += ": a leak, or it is slow; they came since the first look, so none was seen twice"
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
        else (f"look whether they come to their end: tcptrace advise{_of(one)} -d 10",),
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


# how long they are in it, as AGES_S parts them
_AGES = (*(f"age_below_{age}s" for age in AGES_S), f"age_{AGES_S[-1]}s_on")
_SPANS = ("below 10 s", "below 1 min", "below 10 min", "below 1 h", "for 1 h or more")


def _ages(one: Closing) -> str:
    told = [f"{count} {span}" for count, span in zip(one.spread, _SPANS, strict=False) if count]
    return f" ({', '.join(told)})" if len(told) > 1 else ""


def _made(one: Closing) -> list[str]:
    """Where they were made, if that was asked for."""
    if one.made is None:
        return []
    known = sum(place.count for place in one.made)
    told = [f"{place.count} of {known} {place.how} at {place.way}" for place in one.made[:PLACES]]
    rest = known - sum(place.count for place in one.made[:PLACES])
    told += [f"{rest} in {len(one.made) - PLACES} other places"] if rest else []
    if one.unmade:
        why = ", or there was no room for it" if one.unkept else ""
        told.append(
            f"where {one.unmade} were made is not known: they are older than the tracer{why}"
        )
    if one.cut:
        told.append(f"of {one.cut} there was no room to keep all outer calls")
    return told


def _made_numbers(one: Closing) -> dict[str, Number]:
    if one.made is None:
        return {}
    most = one.made[0] if one.made else None
    return {
        "made_known": sum(place.count for place in one.made),
        "made_unknown": one.unmade,
        "made_at": most.way if most else None,
        "made_at_count": most.count if most else None,
    }


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
