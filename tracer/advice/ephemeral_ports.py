"""Ephemeral ports for one destination that are gone, or nearly."""

from __future__ import annotations

from tracer.advice.evidence import Evidence, PortUse
from tracer.advice.finding import CRIT, WARN, Finding, Number
from tracer.flows.ports import REUSE_S, TIME_WAIT_S

NEARLY, HALF = 0.8, 0.5  # of the ports
SOON_S = 600.0
ROOM = 1.25  # times what is asked for
LOWEST = 10240  # below that many servers listen
HIGHEST = 65535


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
        "tcp_tw_reuse": one.tw_reuse,
    }
    if _waits(one):
        numbers |= {
            "lasting_per_s": round(one.ports / TIME_WAIT_S, 1),
            "lasting_reused_per_s": round(one.ports / REUSE_S, 1) if one.timestamps else None,
            "lasting_widest_per_s": round(_widest(one) / TIME_WAIT_S, 1),
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


def _has_passed(one: PortUse) -> bool:
    """Whether what took them has let go of them by the last look."""
    return one.in_use + one.time_wait < HALF * one.ports


def _meaning(one: PortUse) -> str:
    if _has_passed(one):
        return (
            "all were taken for a while, and are free again; by what is told while it lasts: see"
            " below"
        )
    if one.reused and one.time_wait > one.in_use:
        return (
            f"connections are closed here first, and each port is taken again {REUSE_S} s later, no"
            f" sooner: at most {_lasts(one.ports, REUSE_S)} can go on to one destination"
        )
    if not _waits(one):
        return (
            "so many connections are open at once to one destination, from one address; neither"
            " tcp_tw_reuse nor keep-alive would bring any"
        )
    text = (
        f"connections are closed here first, and each keeps its port for {TIME_WAIT_S} s: at"
        f" most {_lasts(one.ports)} can go on to one destination"
    )
    if not one.timestamps:
        text += "; tcp_tw_reuse would bring nothing, as net.ipv4.tcp_timestamps is 0"
    if not _widen(one):
        most = _widest(one)
        if most <= one.ports:
            return text + "; the range is as wide as it gets"
        text += f"; the widest range, {LOWEST}-{HIGHEST}, has {most}, {_lasts(most)}: not enough"
    return text


def _lasts(ports: float, seconds: float = TIME_WAIT_S) -> str:
    """What so many ports let go on for ever, if each is kept so long."""
    rate = ports / seconds
    return f"{rate:.0f} a second" if rate >= 10 else f"{rate:.2g} a second"


def _fix(one: PortUse) -> tuple[str, ...]:
    """Each with what it would bring."""
    spread = f"more addresses, of the destination or our own: each pair has {one.ports} ports more"
    if _has_passed(one):
        pool = "keep connections and use them again: in a pool with a limit, or by HTTP keep-alive"
        return (pool, spread)
    if _waits(one):
        return (
            "keep connections and use them again, in a pool or by HTTP keep-alive: that takes as"
            f" many ports as are busy at once (now {one.in_use}), and none waits",
            *_reuse(one),
            *_widen(one),
            f"{spread}, {_lasts(one.ports)}",
        )
    needed = "look whether all of them are needed: a pool without a limit, or a leak"
    return (needed, spread, *_widen(one))


def _reuse(one: PortUse) -> tuple[str, ...]:
    """What tcp_tw_reuse would bring, by what it is: 0 never, 1 for all, 2 for the loopback."""
    if not one.timestamps:
        return ()
    now = {"0": "0, never", "2": "2, for the loopback alone"}.get(one.tw_reuse or "", "not known")
    also = "; 2, the loopback alone, would do for this destination" if one.local_only else ""
    return (
        f"sysctl -w net.ipv4.tcp_tw_reuse=1 (now {now}): a port in TIME_WAIT is taken again after"
        f" {REUSE_S} s, {_lasts(one.ports, REUSE_S)} in place of {_lasts(one.ports)}, if the peer"
        f" has timestamps on{also}",
    )


def _widest(one: PortUse) -> int:
    """Ports of the widest range that leaves servers theirs, less what is taken out of this one."""
    low, high = map(int, one.range.split("-"))
    return HIGHEST - LOWEST + 1 - (high - low + 1 - one.ports)


def _widen(one: PortUse) -> tuple[str, ...]:
    """A range that has as many as are asked for, if there can be one."""
    wanted = max(one.in_use + one.time_wait + one.failures, (one.opens_per_s or 0) * TIME_WAIT_S)
    low, high = map(int, one.range.split("-"))
    begin = high + 1 - round(wanted * ROOM)
    if begin >= low:
        begin = high + 1 - round((high + 1 - low) * ROOM)
    if begin < LOWEST:
        return ()  # no range is wide enough
    ports = one.ports + low - begin
    lasts = f", {_lasts(ports)}" if _waits(one) else ""
    return (f'sysctl -w net.ipv4.ip_local_port_range="{begin} {high}": {ports} ports{lasts}',)
