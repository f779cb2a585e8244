"""What `doctor` finds out: the kernel, the programs' attach points, the capabilities."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from tracer.errors import TracerError
from tracer.kernel import bcc, features, preflight, tracefs
from tracer.kernel.libbpf import lib
from tracer.probes import PROBES
from tracer.views.doctor import Capability, Finding, Report

NOT_TRACED = (
    "UDP, MPTCP's own sockets (its subflows are), SCTP, SMC, sockmap redirection,"
    " handshakes reset in the SYN queue (counted)"
)


@dataclass(frozen=True)
class _Place:
    name: str
    there: bool
    breaks: str


def diagnose() -> Report:
    """Try everything, attach nothing. Errors: none; what fails is part of the report."""
    have = preflight.effective()
    capabilities = [
        Capability(need.capability, need.purpose, need.capability in have, need.hard)
        for need in preflight.needs()
    ]
    missing = [c.name for c in capabilities if c.needed and not c.have]
    try:
        libbpf = lib().libbpf_version_string().decode()
        if {"CAP_BPF", "CAP_PERFMON"} & set(missing):
            # what is refused to us says nothing of what this kernel can do
            why = f"not permitted to try: this needs {', '.join(dict.fromkeys(missing))}"
            probes = [Finding(s.name, "-", "unknown", why, "") for s in PROBES]
        else:
            probes = [_finding(features.choose(subject)) for subject in PROBES]
    except TracerError as error:
        libbpf = f"not usable: {error.message}"
        probes = [Finding(s.name, "-", "impossible", error.message, s.without) for s in PROBES]
    places = [
        _Place("BTF", features.BTF.exists(), "`events` alone is served, through BCC"),
        _Place("BCC", bcc.is_installed(), bcc.FOR),
        _Place("tracefs", tracefs.is_mounted(), "mounted privately when needed"),
    ]
    return Report(
        host=platform.node(),
        kernel=platform.release(),
        libbpf=libbpf,
        probes=probes,
        capabilities=capabilities,
        places=[(place.name, place.there, place.breaks) for place in places],
        not_traced=NOT_TRACED,
    )


def _finding(choice: features.Choice) -> Finding:
    subject = choice.subject
    why = "; ".join(f"{how} refused: {reason}" for how, reason in choice.refused.items())
    if choice.rung is None:
        return Finding(subject.name, "-", "impossible", why, subject.without)
    attach = f"{choice.rung.how}:{','.join(choice.rung.targets)}"
    return Finding(subject.name, attach, choice.status, why, choice.rung.costs)
