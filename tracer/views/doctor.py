"""`doctor` as a table, JSON or CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass

from tracer.views.tables import Column, Part, Table, render


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


PROBES: tuple[Column[Finding], ...] = (
    Column("SUBJECT", lambda p: p.subject, words=True),
    Column("STATUS", lambda p: p.status, words=True),
    Column("ATTACH", lambda p: p.attach, words=True),
)
CAPABILITIES: tuple[Column[Capability], ...] = (
    Column("CAPABILITY", lambda c: c.name, words=True),
    Column("HERE", lambda c: "yes" if c.have else "no", words=True),
    Column("NEEDED", lambda c: "yes" if c.needed else "for more", words=True),
    Column("FOR", lambda c: c.purpose, words=True),
)


def lines(report: Report, form: str = "table") -> list[str]:
    """The report for people, as plain tables or in Markdown."""
    return render(_parts(report), form)


def _parts(report: Report) -> list[Part]:
    capabilities = Table(CAPABILITIES, report.capabilities)
    found: list[Part] = [f"doctor  {report.host}  {report.kernel}  libbpf {report.libbpf}"]
    found.append(Table(PROBES, report.probes))
    if all(probe.status == "unknown" for probe in report.probes):
        found.append(f"{report.probes[0].why}; run it as: sudo tcptrace doctor")
        return [*found, capabilities, *_rest(report)]
    for probe in report.probes:
        if probe.why:
            found.append(f"{probe.subject}: {probe.why}")
        if probe.costs:
            found.append(f"{probe.subject}: {probe.costs}")
    return [*found, capabilities, *_rest(report)]


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
