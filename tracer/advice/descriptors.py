"""A process that has no descriptor left for a connection, or nearly none."""

from __future__ import annotations

from tracer.advice.evidence import Evidence, Owner, Refused
from tracer.advice.finding import CRIT, WARN, Finding, Number

NEARLY = 0.9  # of what it may have


def find(evidence: Evidence) -> list[Finding]:
    """One finding for each process whose accept() failed for want of one, or soon will."""
    failed: dict[tuple[Owner, str], list[Refused]] = {}
    for one in evidence.refused:
        failed.setdefault((one.owner, one.error), []).append(one)
    found = [_tell_failed(owner, error, ones, evidence) for (owner, error), ones in failed.items()]
    told = {owner for owner, _ in failed}
    seen = set[Owner]()
    for each in evidence.listenings:
        owner = each.owner
        if owner.descriptors and owner not in told | seen:
            seen.add(owner)
            used, limit = owner.descriptors
            if used >= NEARLY * limit:
                found.append(_tell_near(owner, each.netns))
    return found


def _numbers(owner: Owner, failed: int, error: str | None) -> dict[str, Number]:
    used, limit = owner.descriptors or (None, None)
    return {"failed": failed, "errno": error, "descriptors": used, "descriptors_max": limit}


def _tell_failed(owner: Owner, error: str, ones: list[Refused], evidence: Evidence) -> Finding:
    count = sum(one.count for one in ones)
    names = ", ".join(sorted({one.name for one in ones}))
    ours = error == "EMFILE"
    return _finding(
        owner,
        CRIT,
        f"accept() failed {count} times {evidence.span}: {error}",
        f"on {names}; {_use(owner)}",
        "connections stay in the accept queue, then SYNs are dropped; a loop that calls accept()"
        " again at once takes a whole CPU",
        _fix(owner) if ours else _MACHINE,
        _numbers(owner, count, error),
        ones[0].netns,
    )


def _tell_near(owner: Owner, netns: int) -> Finding:
    return _finding(
        owner,
        WARN,
        "nearly all descriptors are in use",
        _use(owner),
        "when none is left accept(), connect() and open() fail with EMFILE",
        _fix(owner),
        _numbers(owner, 0, None),
        netns,
    )


def _finding(
    owner: Owner,
    severity: str,
    title: str,
    shown: str,
    meaning: str,
    fix: tuple[str, ...],
    numbers: dict[str, Number],
    netns: int | None,
) -> Finding:
    pid = f" --pid {owner.pid}" if owner.pid else ""
    return Finding(
        "descriptors",
        severity,
        owner.name,
        title,
        shown,
        meaning,
        fix,
        "prlimit holds until the process ends; of what systemd starts, the new limit is of the next"
        " start; a higher limit hides a leak, and takes memory",
        (f"tcptrace accepts --failed{pid}", f"tcptrace connections --open{pid} --sort age"),
        numbers,
        owner.pid,
        owner.comm,
        netns,
    )


def _use(owner: Owner) -> str:
    if not owner.descriptors:
        return "how many descriptors it has is not known"
    used, limit = owner.descriptors
    return f"{used} of {limit} descriptors are in use"


def _fix(owner: Owner) -> tuple[str, ...]:
    look = "look first whether they leak: what is old and idle, what is in CLOSE_WAIT"
    if not owner.descriptors:
        return (look, "raise the limit: ulimit -n, of systemd LimitNOFILE=")
    more = 2 * owner.descriptors[1]
    now = f"prlimit --pid {owner.pid} --nofile={more}" if owner.pid else f"ulimit -n {more}"
    return (look, f"at once: {now}", f"for good: LimitNOFILE={more} in its systemd unit")


_MACHINE = (
    "ENFILE: of the whole machine, see fs.file-nr; sysctl -w fs.file-max=... above it",
    "ENOMEM, ENOBUFS: memory is short, of the machine or of its control group",
)
