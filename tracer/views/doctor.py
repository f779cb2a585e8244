"""`doctor` as a table, JSON or CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass

from tracer.views.tables import Heading, table


@dataclass(frozen=True)
class Finding:
    """A subject: where it attaches, whether it works, degraded or impossible, why, its cost.

    Its status is `unknown` where that could not be tried.
    """

    subject: str
    attach: str
    status: str
    why: str
    costs: str


@dataclass(frozen=True)
class Capability:
    """A capability, what for, whether this process has it, whether it must."""

    name: str
    purpose: str
    have: bool
    needed: bool


@dataclass(frozen=True)
class Report:
    """All that doctor found."""

    host: str
    kernel: str
    libbpf: str
    probes: list[Finding]
    capabilities: list[Capability]
    places: list[tuple[str, bool, str]]
    not_traced: str


def lines(report: Report) -> list[str]:
    """The report for people."""
    found = [f"doctor  {report.host}  {report.kernel}  libbpf {report.libbpf}"]
    found += table(
        [Heading(t, words=True) for t in ("SUBJECT", "STATUS", "ATTACH")],
        [(p.subject, p.status, p.attach) for p in report.probes],
    )
    if all(probe.status == "unknown" for probe in report.probes):
        found.append(f"{report.probes[0].why}; run it as: sudo tcptrace doctor")
        return [*found, *_capabilities(report), *_rest(report)]
    for probe in report.probes:
        if probe.why:
            found.append(f"{probe.subject}: {probe.why}")
        if probe.costs:
            found.append(f"{probe.subject}: {probe.costs}")
    return [*found, *_capabilities(report), *_rest(report)]


def _capabilities(report: Report) -> list[str]:
    return table(
        [Heading(t, words=True) for t in ("CAPABILITY", "HERE", "NEEDED", "FOR")],
        [
            (c.name, "yes" if c.have else "no", "yes" if c.needed else "for more", c.purpose)
            for c in report.capabilities
        ],
    )


def _rest(report: Report) -> list[str]:
    found = [
        f"{name}: {'there' if there else f'not there; {breaks}'}"
        for name, there, breaks in report.places
    ]
    return [*found, f"not traced: {report.not_traced}"]


def documents(report: Report) -> list[dict[str, object]]:
    """A `probe` record for each subject, a `capability` record for each capability."""
    found: list[dict[str, object]] = [{"kind": "probe", **asdict(p)} for p in report.probes]
    found += [{"kind": "capability", **asdict(c)} for c in report.capabilities]
    return found


def csv_lines(report: Report) -> list[str]:
    """The probes, a row each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["subject", "attach", "status", "why", "costs"])
    for probe in report.probes:
        writer.writerow([probe.subject, probe.attach, probe.status, probe.why, probe.costs])
    return text.getvalue().splitlines()
