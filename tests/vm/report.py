"""What guests found, as a table of subject and rung by kernel, and every test that did not pass."""

from __future__ import annotations

from typing import Any

from tests.vm.guest import Outcome
from tracer.probes import PROBES
from tracer.views.tables import Heading, table


def lines(outcomes: list[Outcome]) -> list[str]:
    """The whole report."""
    rows = [
        (subject.name, rung.how, *(_cell(o, subject.name, rung.how) for o in outcomes))
        for subject in PROBES
        for rung in subject.rungs
    ]
    titles = ("SUBJECT", "RUNG", *(o.kernel.line for o in outcomes))
    found = table([Heading(title, words=True) for title in titles], rows)
    for outcome in outcomes:
        found += _notes(outcome)
    return found


def _cell(outcome: Outcome, subject: str, rung: str) -> str:
    """works, tested; loads: no test forces it here; degraded; impossible; FAILED."""
    offered = _offered(outcome, subject, rung)
    if offered is None:
        return "?"
    if offered["why"]:
        return "impossible"
    tests = [t for t in outcome.tests if (t.get("subject"), t.get("rung")) == (subject, rung)]
    if any(test["outcome"] == "failed" for test in tests):
        return "FAILED"
    if not any(test["outcome"] == "passed" for test in tests):
        return "untested"
    return "degraded" if offered["costs"] else "works"


def _offered(outcome: Outcome, subject: str, rung: str) -> dict[str, Any] | None:
    rows = [r for r in outcome.rungs if (r["subject"], r["rung"]) == (subject, rung)]
    return rows[0] if rows else None


def _notes(outcome: Outcome) -> list[str]:
    counts = {o: _having(outcome, o) for o in ("passed", "failed", "skipped")}
    told = ", ".join(f"{len(tests)} {name}" for name, tests in counts.items())
    found = [f"{outcome.kernel.line}: {outcome.release}, {told}, {outcome.seconds:.0f} s"]
    if outcome.died:
        found.append(f"{outcome.kernel.line}: {outcome.died}")
    for row in outcome.rungs:
        where = f"{outcome.kernel.line}: {row['subject']} by {row['rung']}"
        if row["why"]:
            found.append(f"{where} is impossible: {row['why']}")
        elif row["costs"]:
            found.append(f"{where} is degraded: {row['costs']}")
    for name in ("failed", "skipped"):
        found += [f"{outcome.kernel.line}: {name}: {t['test']}: {t['why']}" for t in counts[name]]
    return found


def _having(outcome: Outcome, name: str) -> list[dict[str, Any]]:
    return [test for test in outcome.tests if test["outcome"] == name]


def failed(outcome: Outcome) -> bool:
    """Whether something went wrong there; that nothing was tested is wrong as well."""
    return bool(outcome.died or _having(outcome, "failed") or not _having(outcome, "passed"))
