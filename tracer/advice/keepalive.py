"""Connections that are silent for long without keepalive probes, and peers found dead.

Whoever is gone without a FIN or a RST (power, network), or is forgotten by a load balancer or NAT
on the way, is noticed by who sends alone. Probes are off unless SO_KEEPALIVE asks for them, and
then the first is sent after two hours (net.ipv4.tcp_keepalive_time).
"""

from __future__ import annotations

from tracer.advice.evidence import Evidence
from tracer.advice.finding import INFO, WARN, Finding, Number
from tracer.advice.lasting import Silent

LONG_S = 60  # what stands on the way forgets after that, at the soonest
LATE_S = 7200  # the kernel's default
TICK_S = 0.01  # the longest: what is set in seconds is told in whole ticks, rounded down
FEW = 3
IDLE, INTERVAL, PROBES = 60, 10, 6  # a peer is found dead after two minutes


def find(evidence: Evidence) -> list[Finding]:
    """One finding for each process that would not notice, or has noticed."""
    return [_tell(one, evidence) for one in evidence.silent if _is_bad(one)]


def _is_bad(one: Silent) -> bool:
    return one.without + one.late >= FEW or bool(one.probed or one.unanswered)


def _tell(one: Silent, evidence: Evidence) -> Finding:
    numbers: dict[str, Number] = {
        "silent": one.count,
        "without_keepalive": one.without,
        "keepalive_late": one.late,
        "longest_s": round(one.longest_s, 3) if one.count else None,
        "found_dead_by_probes": one.probed,
        "found_dead_by_data": one.unanswered,
    }
    return Finding(
        "keepalive",
        WARN if one.unanswered >= FEW else INFO,
        one.owner.name,
        _title(one, evidence),
        _shown(one),
        _meaning(one),
        _fix(one),
        f"a packet a minute for each; one that hears nothing for {IDLE + INTERVAL * PROBES} s is"
        " broken off, where it might have outlived a pause of the network; the program must be"
        " started anew",
        (
            f"tcptrace connections --open{one.owner.asked} --sort idle --limit 10",
            f"tcptrace resets{one.owner.asked} -d 10",
        ),
        numbers,
        one.owner.pid,
        one.owner.comm,
        one.netns,
    )


def _title(one: Silent, evidence: Evidence) -> str:
    dead = one.probed + one.unanswered
    if dead:
        return f"{dead} {'peer' if dead == 1 else 'peers'} found dead {evidence.span}"
    blind = one.without + one.late
    return f"{blind} connections silent for a minute or more would not notice that the peer is gone"


def _shown(one: Silent) -> str:
    parts = []
    if one.probed:
        parts.append(f"{one.probed} by keepalive probes")
    if one.unanswered:
        parts.append(f"{one.unanswered} as data was never acknowledged (ETIMEDOUT)")
    if one.count:
        parts.append(
            f"{one.count} silent, the longest for {one.longest_s:.0f} s, with {one.peer}:"
            f" {one.without} without SO_KEEPALIVE, {one.late} with a first probe after two hours"
            " or later"
        )
    return "; ".join(parts)


def _meaning(one: Silent) -> str:
    if one.unanswered:
        return (
            "they were gone without a word, and it took until data had been sent again for"
            " TCP_USER_TIMEOUT or net.ipv4.tcp_retries2 (some 15 min); who waits to be told"
            " something waits for ever"
        )
    if one.without + one.late < FEW:
        return "they were gone without a word, or something on the way forgot them: probes found it"
    return (
        "if the peer loses power, or a load balancer, NAT or firewall forgets the connection, this"
        " side keeps it open, and the next request is lost or meets a RST"
    )


def _fix(one: Silent) -> tuple[str, ...]:
    ours = (
        f"in the program: SO_KEEPALIVE with TCP_KEEPIDLE {IDLE}, TCP_KEEPINTVL {INTERVAL},"
        f" TCP_KEEPCNT {PROBES}, below the idle timeout of what is on the way",
        f"nginx `listen ... so_keepalive={IDLE}s:{INTERVAL}s:{PROBES}`, PostgreSQL"
        f" `tcp_keepalives_idle = {IDLE}`, Redis `tcp-keepalive {IDLE}`, HAProxy `option"
        " clitcpka` and `srvtcpka`",
    )
    fix: tuple[str, ...] = ours if one.without else ()
    if one.late:
        fix += (
            f"for those that ask for probes and set no times: sysctl -w"
            f" net.ipv4.tcp_keepalive_time={IDLE} net.ipv4.tcp_keepalive_intvl={INTERVAL}"
            f" net.ipv4.tcp_keepalive_probes={PROBES}, of the next connections",
        )
    if one.unanswered:
        fix += ("and TCP_USER_TIMEOUT: how long data may wait for its ACK, in ms",)
    return fix or ("nothing here: look what ended them, their host or what is on the way",)
