"""A listener whose accept queue is full: finished connections, and SYNs, are thrown away.

The limit is the smaller of what listen() asked for and somaxconn when it was called (net/socket.c);
a queue of N holds N + 1 (sk_acceptq_is_full(), include/net/sock.h).
"""

from __future__ import annotations

from tracer.advice.evidence import Evidence, Listening
from tracer.advice.finding import CRIT, WARN, Finding, Number

OFTEN = 0.1  # of the span at full, though nothing was dropped yet
STEADY = 0.5  # of the span at full: it is no burst that a longer queue would hold


def find(evidence: Evidence) -> list[Finding]:
    """One finding for each listener that threw something away, or is full."""
    return [found for one in evidence.listenings if (found := _judge(one, evidence))]


def _judge(one: Listening, evidence: Evidence) -> Finding | None:
    if evidence.span_s is None:
        full = one.queue is not None and one.queue > one.limit
        return _tell(one, evidence, WARN) if full else None
    if one.overflows:
        return _tell(one, evidence, CRIT)
    often = one.full_s >= OFTEN * evidence.span_s
    return _tell(one, evidence, WARN) if often else None


def _tell(one: Listening, evidence: Evidence, severity: str) -> Finding:
    span = evidence.span_s
    # one that accepts nothing would fill any queue
    steady = span is None or not one.accepts or one.full_s >= STEADY * span
    dropped = f"{one.overflows} SYNs and ACKs dropped {evidence.span}"
    numbers: dict[str, Number] = {
        "queue": one.queue,
        "queue_peak": one.peak,
        "queue_max": one.limit,
        "max_set_by": one.set_by,
        "somaxconn": one.somaxconn,
        "full_s": round(one.full_s, 3),
        "overflows": one.overflows,
        "finished": one.finished,
        "accepts": one.accepts,
        "wait_p50_s": one.wait.p50 if one.wait else None,
        "wait_p99_s": one.wait.p99 if one.wait else None,
        "wait_max_s": one.wait.most if one.wait else None,
        "queue_needed_at_most": _needed(one) if one.overflows else None,
    }
    return Finding(
        "accept-queue-full",
        severity,
        f"{one.owner.name} {one.name}",
        dropped if one.overflows else f"the accept queue is full {evidence.span}",
        _shown(one, span),
        _meaning(one, span, steady),
        _fix(one, steady),
        _risk(steady),
        (f"tcptrace listeners --lport {one.port} -i 1", f"tcptrace accepts --lport {one.port}"),
        numbers,
        one.owner.pid,
        one.owner.comm,
        one.netns,
    )


def _needed(one: Listening) -> int:
    """A queue that would have held all; less will do, as a SYN that was dropped comes again."""
    return one.limit + 1 + one.overflows


def _shown(one: Listening, span: float | None) -> str:
    if span is None:
        return f"{one.queue} wait, the limit is {one.limit}"
    parts = [f"peak {one.peak} of {one.limit}, full {one.full_s:.2g} s of {span:.3g}"]
    parts.append(f"{one.finished} handshakes finished, {one.accepts} accepted")
    if one.wait:
        p50, p99, most = (f"{value * 1000:.3g} ms" for value in _waits(one))
        parts.append(f"wait for accept() p50 {p50}, p99 {p99}, max {most}")
    return "; ".join(parts)


def _waits(one: Listening) -> tuple[float, float, float]:
    assert one.wait
    return one.wait.p50, one.wait.p99, one.wait.most


def _meaning(one: Listening, span: float | None, steady: bool) -> str:
    if span is None:
        return "connections wait and nobody takes them; the next SYNs are dropped without a word"
    if not one.accepts:
        return "the program does not call accept()"
    if steady:
        return (
            f"it accepts {one.accepts / span:.3g} a second, and more come: it was at its limit for"
            f" {one.full_s / span:.0%} of the span"
        )
    return (
        f"a burst: in the rest of the span the queue was not full; one of {_needed(one)} or less"
        " would have held it"
    )


def _fix(one: Listening, steady: bool) -> tuple[str, ...]:
    faster = "accept() more often: in a thread that does nothing else, or with more workers"
    if steady:
        return (faster, "a longer queue only has clients wait longer before they are dropped")
    wanted = _needed(one)
    if one.set_by == "somaxconn":
        raise_it: tuple[str, ...] = (f"sysctl -w net.core.somaxconn={wanted}",)
        raise_it += (f"and listen({wanted}) if it asks for less: {_SERVERS.format(wanted)}",)
    else:
        raise_it = (f"listen({wanted}): {_SERVERS.format(wanted)}",)
        if one.somaxconn is not None and wanted > one.somaxconn:
            raise_it += (f"and before that: sysctl -w net.core.somaxconn={wanted}",)
    return (*raise_it, f"or {faster}")


_SERVERS = "nginx `listen ... backlog={0}`, gunicorn `--backlog {0}`, Go uses somaxconn"


def _risk(steady: bool) -> str:
    if steady:
        return "more workers take memory and CPU; the program must be restarted"
    return (
        "read when listen() is called: the program must be restarted, or made to listen anew; who"
        " comes last into a longer queue waits longer"
    )
