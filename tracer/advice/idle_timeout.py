"""Others that forget idle connections: RSTs that come after the same silence again and again.

Load balancers, NAT and firewalls, and servers, end what was silent for so long. Who uses it once
more meets the RST, for no fault of its own. Only connections that were begun here count: clients
that end with a RST what they no longer use look the same to their server.
"""

from __future__ import annotations

from tracer.advice.evidence import Evidence
from tracer.advice.finding import WARN, Finding, Number
from tracer.advice.lasting import Forgotten

SHARE = 0.5  # probes that come twice within the timeout: one may be lost
INTERVAL, PROBES = 10, 6


def find(evidence: Evidence) -> list[Finding]:
    """One finding for each process whose connections are reset so."""
    return [_tell(one, evidence) for one in evidence.forgotten]


def _tell(one: Forgotten, evidence: Evidence) -> Finding:
    numbers: dict[str, Number] = {
        "resets": one.count,
        "of": one.of,
        "silent_s": round(one.after_s, 3),
        "looked_at": one.known,
        "with_keepalive": one.probing if one.known else None,
        "first_probe_s": one.probe_s,
    }
    return Finding(
        "idle-timeout",
        WARN,
        f"{one.owner.name} <- {one.peer}",
        f"{one.count} connections reset after {_span(one.after_s)} of silence {evidence.span}",
        f"{one.count} of the {one.of} RSTs that came did so when nothing had come for"
        f" {_span(one.after_s)}; {_probes(one)}",
        "the peer, or a load balancer, NAT or firewall on the way, forgets what is silent for so"
        " long; a request sent into that moment is lost",
        _fix(one),
        "probes are a packet each; a pool that closes sooner connects more often; the program must"
        " be started anew",
        (
            f"tcptrace resets{one.owner.asked} -d 60",
            f"tcptrace connections --open{one.owner.asked} --sort idle --limit 10",
        ),
        numbers,
        one.owner.pid,
        one.owner.comm,
        one.netns,
    )


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 9.5 else f"{seconds:.2g} s"


def _probes(one: Forgotten) -> str:
    if not one.known:
        return "whether they send keepalive probes is not known"
    if not one.probing:
        return f"none of the {one.known} that were looked at before sends keepalive probes"
    return (
        f"{one.probing} of the {one.known} that were looked at before send keepalive probes, the"
        f" first after {one.probe_s:g} s"
    )


def _fix(one: Forgotten) -> tuple[str, ...]:
    soon = max(1, int(SHARE * one.after_s))
    below = f"a pool that lets go of what was idle for less than {_span(one.after_s)}"
    longer = "or a longer idle timeout over there: nginx `keepalive_timeout`, of load balancers a"
    longer += " setting of theirs"
    if one.probing and one.probe_s is not None and one.probe_s <= one.after_s:
        # what answers probes and forgets all the same counts requests, not packets
        return (below + ": probes came in time and did not help", longer)
    probes = f"SO_KEEPALIVE with TCP_KEEPIDLE {soon}, TCP_KEEPINTVL {INTERVAL}, TCP_KEEPCNT"
    return (
        f"{probes} {PROBES}: keeps what counts packets from forgetting, such as NAT and firewalls",
        f"{below}, where it is a server or proxy that counts requests",
        longer,
    )
