"""Ephemeral ports for one destination that are gone, or nearly."""

from __future__ import annotations

from tracer.advice.evidence import Evidence, PortUse
from tracer.advice.finding import CRIT, WARN, Finding, Number
from tracer.flows.ports import TIME_WAIT_S

NEARLY, HALF = 0.8, 0.5  # of the ports
SOON_S = 600.0
ROOM = 1.25  # times what is asked for
LOWEST = 10240  # below that many servers listen


def find(evidence: Evidence) -> list[Finding]:
    """One finding for each source and destination where ports are scarce."""
    return [found for one in evidence.ports if (found := _judge(one, evidence))]


def _judge(one: PortUse, evidence: Evidence) -> Finding | None:
    # what is in TIME_WAIT is no obstacle where connect() takes it
    held = one.in_use + (0 if one.reused else one.time_wait)
    if one.failures or held >= one.ports:
        return _tell(one, evidence, CRIT, held)
    soon = one.exhausted_in_s is not None and one.exhausted_in_s <= SOON_S
    if held >= NEARLY * one.ports or (soon and held >= HALF * one.ports):
        return _tell(one, evidence, WARN, held)
    return None


def _tell(one: PortUse, evidence: Evidence, severity: str, held: int) -> Finding:
    numbers: dict[str, Number] = {
        "in_use": one.in_use,
        "time_wait": one.time_wait,
        "free": one.free,
        "ports": one.ports,
        "range": one.range,
        "opens_per_s": one.opens_per_s,
        "exhausted_in_s": one.exhausted_in_s,
        "failures": one.failures,
    }
    title = f"{held} of {one.ports} ephemeral ports are taken"
    if one.failures:
        title = f"connect() found no port {one.failures} times {evidence.span}"
    return Finding(
        "ephemeral-ports",
        severity,
        f"{one.owner.name} {one.local} -> {one.remote}",
        title,
        _shown(one),
        _meaning(one),
        _fix(one),
        "a wider range may take ports that servers are to listen on: name those in"
        " ip_local_reserved_ports; both are read at the next connect(), no restart; a pool keeps"
        " connections, and descriptors, open",
        (f"tcptrace ports --rport {one.remote.rpartition(':')[2]} -i 1",),
        numbers,
        one.owner.pid,
        one.owner.comm,
        one.netns,
    )


def _shown(one: PortUse) -> str:
    text = f"{one.in_use} in use, {one.time_wait} in TIME_WAIT, {one.free} free of {one.range}"
    if one.opens_per_s is not None:
        text += f"; {one.opens_per_s:.3g} opened a second"
    if one.exhausted_in_s:
        text += f"; none left in {one.exhausted_in_s:.0f} s at this rate"
    return text


def _waits(one: PortUse) -> bool:
    """Whether TIME_WAIT is what takes them."""
    return not one.reused and one.time_wait > one.in_use


def _meaning(one: PortUse) -> str:
    if _waits(one):
        return (
            f"connections are closed here first, and each keeps its port for {TIME_WAIT_S} s: at"
            f" most {one.ports / TIME_WAIT_S:.3g} a second can go on to one destination"
        )
    return "so many connections are open at once to one destination, from one address"


def _fix(one: PortUse) -> tuple[str, ...]:
    spread = "more addresses, of the destination or our own: each pair has the whole range"
    widen = _widen(one)
    if _waits(one):
        again = "sysctl -w net.ipv4.tcp_tw_reuse=1: takes one again after 1 s, given timestamps"
        return (
            "keep connections and use them again: a pool, HTTP keep-alive",
            again,
            *widen,
            spread,
        )
    needed = "look whether all of them are needed: a pool without a limit, or a leak"
    return (needed, spread, *widen)


def _widen(one: PortUse) -> tuple[str, ...]:
    """A range that has as many as are asked for, if there can be one."""
    wanted = max(one.in_use + one.time_wait + one.failures, (one.opens_per_s or 0) * TIME_WAIT_S)
    low, high = map(int, one.range.split("-"))
    begin = high + 1 - round(wanted * ROOM)
    if begin >= low:
        begin = high + 1 - round((high + 1 - low) * ROOM)
    if begin < LOWEST:
        return ()  # no range is wide enough
    return (f'sysctl -w net.ipv4.ip_local_port_range="{begin} {high}"',)
