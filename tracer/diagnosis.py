"""What `doctor` finds out: the kernel, the programs' attach points, the capabilities."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from tracer.errors import TracerError, UnsupportedError
from tracer.kernel import bcc, bcc_ladder, bcc_types, features, preflight, tracefs
from tracer.kernel.libbpf import version
from tracer.probes import PROBES, Subject
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
        libbpf = version()
        if {"CAP_BPF", "CAP_PERFMON"} & set(missing):
            # what is refused to us says nothing of what this kernel can do
            why = f"not permitted to try: this needs {', '.join(dict.fromkeys(missing))}"
            probes = [Finding(s.name, "-", "unknown", why, "") for s in PROBES]
        elif preflight.BTF.exists():
            probes = [_finding(features.choose(subject)) for subject in PROBES]
        else:
            lacks = _bcc_lacks()
            probes = [_finding_by_bcc(subject, lacks) for subject in PROBES]
    except TracerError as error:
        libbpf = f"not usable: {error.message}"
        probes = [Finding(s.name, "-", "impossible", error.message, s.without) for s in PROBES]
    return Report(
        host=platform.node(),
        kernel=platform.release(),
        libbpf=libbpf,
        probes=probes,
        capabilities=capabilities,
        places=[(place.name, place.there, place.breaks) for place in _places()],
        not_traced=NOT_TRACED,
    )


def _places() -> list[_Place]:
    tracing = _Place("tracefs", tracefs.is_mounted(), "mounted privately when needed")
    if preflight.BTF.exists():
        return [
            _Place("BTF", True, ""),
            _Place("BCC", bcc.is_installed(), bcc.FOR),
            tracing,
        ]
    lacks = _headers_lack()
    return [
        _Place("BTF", False, "`events` alone is served, through BCC and this kernel's headers"),
        _Place("BCC", bcc.is_installed(), bcc.INSTALL),
        _Place("headers", not lacks, lacks),
        tracing,
    ]


def _headers_lack() -> str:
    """What to do for the headers that BCC needs; empty: nothing."""
    try:
        bcc_types.check_headers()
    except UnsupportedError as error:
        return error.hint
    return ""


def _bcc_lacks() -> str:
    """What is missing for BCC to serve where there is no BTF; empty: nothing."""
    missing = [] if bcc.is_installed() else ["BCC"]
    if _headers_lack():
        missing.append("the headers of this kernel")
    return " and ".join(missing)


def _finding_by_bcc(subject: Subject, lacks: str) -> Finding:
    """Without BTF: what can be had through BCC has not been compiled here, and may be refused."""
    how, refused = bcc_ladder.serves(subject.name)
    if not how:
        return Finding(subject.name, "-", "impossible", refused, subject.without)
    if lacks:
        why = f"needs BTF, or BCC; missing: {lacks}"
        return Finding(subject.name, "-", "impossible", why, subject.without)
    return Finding(subject.name, f"bcc:{how}", "degraded", "needs BTF, or BCC", "`events` alone")


def _finding(choice: features.Choice) -> Finding:
    subject = choice.subject
    reasons = [f"{how} refused: {reason}" for how, reason in choice.refused.items()]
    if choice.rung is None:
        return Finding(subject.name, "-", "impossible", "; ".join(reasons), subject.without)
    why = "; ".join(filter(None, [*reasons, features.lacking(choice.rung)]))
    attach = f"{choice.rung.how}:{','.join(choice.rung.targets)}"
    return Finding(subject.name, attach, choice.status, why, choice.rung.costs)
