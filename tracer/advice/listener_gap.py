"""A port on which nobody listened for a while, and who called meanwhile."""

from __future__ import annotations

from tracer.advice.evidence import Evidence
from tracer.advice.finding import INFO, WARN, Finding, Number
from tracer.advice.lasting import Unheard

FEW = 3  # fewer may be one client that looks whether it is there


def find(evidence: Evidence) -> list[Finding]:
    """One finding for each port where somebody was turned away."""
    return [_tell(one, evidence) for one in evidence.unheard]


def _severity(one: Unheard) -> str:
    # a server that has ended may well have been ended on purpose
    return INFO if one.refused + one.reset < FEW else WARN


def _tell(one: Unheard, evidence: Evidence) -> Finding:
    numbers: dict[str, Number] = {
        "port": one.port,
        "gaps": one.count,
        "longest_s": round(one.longest_s, 6),
        "whole_s": round(one.whole_s, 6),
        "refused": one.refused,
        "reset_in_queue": one.reset,
    }
    owner = one.opened_by or one.closed_by
    return Finding(
        "listener-gap",
        _severity(one),
        f"{one.closed_by.name} :{one.port}",
        f"nobody listened for {one.longest_s:.3g} s"
        + (f", {one.count} times" if one.count > 1 else "")
        + ("" if one.opened_by else ", and nobody does yet"),
        f"{one.refused} SYNs refused, {one.reset} connections that waited for accept() reset"
        f" {evidence.span}; closed by {one.closed_by.name}, opened by"
        f" {one.opened_by.name if one.opened_by else 'nobody'}",
        "the old listener closed before the new one was there: who calls meanwhile gets"
        " ECONNREFUSED, who waited in its queue ECONNRESET"
        if one.opened_by
        else "the server ended, or closed its port: who calls gets ECONNREFUSED",
        _RESTARTED if one.opened_by else _ENDED,
        "both are there for a while: two versions answer, and both take memory"
        if one.opened_by
        else "none, these look",
        (
            f"tcptrace resets --lport {one.port} -d 60",
            f"tcptrace events --kind state --state listen --lport {one.port}",
        ),
        numbers,
        owner.pid,
        owner.comm,
        one.netns,
    )


_RESTARTED = (
    "keep the socket while the program changes: nginx `nginx -s reload`, gunicorn `kill -HUP`,"
    " systemd socket units (Sockets= in the service), HAProxy `expose-fd listeners`",
    "or start the new one before the old one ends, both with SO_REUSEPORT; sysctl -w"
    " net.ipv4.tcp_migrate_req=1 then hands over what waits for accept()",
    "or take it out of the load balancer first, and wait until it has drained",
)
_ENDED = (
    "whether it is to run: systemctl status, journalctl -u of its unit; coredumpctl",
    "let it be started again: Restart=on-failure in its unit",
)
