"""What guests found, as a table of subject and rung by kernel, and every test that did not pass.

What was found is kept, so that the README's table has all kernels that were tried; a run of some
tests takes the place of what was known of these.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from typing import Any

from tests.bench.table import markdown
from tests.vm.guest import Outcome
from tests.vm.packages import BUILD, Kernel, known
from tracer.probes import PROBES
from tracer.views.tables import Heading, table

BCC = "bcc"  # the back end for kernels without BTF, as marks of tests name it
_BY_BCC = {"failed": "FAILED", "cannot": "impossible", "passed": "works"}
KEPT = BUILD / "outcomes"
Note = tuple[str, str]  # what is said, and the kernel it is said of


RED, PLAIN = "\x1b[31m", "\x1b[0m"


def lines(outcomes: list[Outcome], colours: bool = False) -> list[str]:
    """The whole report, for a terminal; what could not be tried in red, if it has `colours`."""
    titles = ("SUBJECT", "RUNG", *(o.kernel.line for o in outcomes))
    found = table([Heading(title, words=True) for title in titles], _rows(outcomes))
    found += [*_told(_limits(outcomes)), *(_ran(o) for o in outcomes if not o.missing)]
    for outcome in outcomes:
        line = outcome.kernel.line
        found += [f"{line}: {outcome.died}"] if outcome.died else []
        if outcome.missing:
            missing = f"{line}: not tried: {outcome.missing}"
            found.append(f"{RED}{missing}{PLAIN}" if colours else missing)
        found += [f"{line}: failed: {t['test']}: {t['why']}" for t in _having(outcome, "failed")]
        found += [f"{line}: {surprise}" for surprise in surprises(outcome)]
    return found


def page(outcomes: list[Outcome], missing: Sequence[Outcome] = ()) -> str:
    """The README's table; `missing`: those that there was nothing to try of this time."""
    titles = ("subject", "attached by", *(o.kernel.line for o in outcomes))
    notes = [*_told(_limits(outcomes)), *map(_ran, outcomes)]
    notes += [f"**{one.kernel.line}: not tried: {one.missing}**" for one in missing]
    notes.append("again: `make test-kernels`")
    return f"{markdown(titles, _rows(outcomes))}\n" + "".join(f"- {note}\n" for note in notes)


def keep(outcome: Outcome, whole: bool) -> None:
    """`whole`: all tests came to an end, else what was known of the others still holds."""
    before = None if whole else _read(outcome.kernel)
    if before and before.release == outcome.release:
        again = {test["test"] for test in outcome.tests}
        others = [test for test in before.tests if test["test"] not in again]
        seconds = before.seconds + outcome.seconds
        outcome = replace(outcome, tests=[*others, *outcome.tests], seconds=seconds)
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{outcome.kernel.line}.json").write_text(json.dumps(asdict(outcome)))


def kept() -> list[Outcome]:
    """What is known of each kernel of kernels.toml, in its order."""
    return [found for kernel in known() if (found := _read(kernel))]


def _read(kernel: Kernel) -> Outcome | None:
    path = KEPT / f"{kernel.line}.json"
    if not path.exists():
        return None
    return Outcome(**{**json.loads(path.read_text()), "kernel": kernel})


def _rows(outcomes: list[Outcome]) -> list[tuple[str, ...]]:
    pairs = [(subject.name, rung.how) for subject in PROBES for rung in subject.rungs]
    tried = {test["subject"] for o in outcomes for test in o.tests if test.get("rung") == BCC}
    pairs += [(subject.name, BCC) for subject in PROBES if subject.name in tried]
    return [(*pair, *(_cell(o, *pair) for o in outcomes)) for pair in pairs]


def _cell(outcome: Outcome, subject: str, rung: str) -> str:
    """works, tested; degraded, impossible: see the notes; untested: no test of it has run."""
    if outcome.missing:
        return "-"
    tests = [t for t in outcome.tests if (t.get("subject"), t.get("rung")) == (subject, rung)]
    came = {test["outcome"] for test in tests}
    if rung == BCC:  # no rung: whether it works is told by tests alone
        return next((word for how, word in _BY_BCC.items() if how in came), "untested")
    offered = _offered(outcome, subject, rung)
    if offered is None:
        return "?"
    if offered["why"]:
        return "impossible"
    if "failed" in came:
        return "FAILED"
    if "passed" not in came:
        return "untested"
    worse = _is_worse(offered) or offered.get("lacks") or "cannot" in came
    return "degraded" if worse else "works"


def surprises(outcome: Outcome) -> list[str]:
    """What no test says: rungs that are taken or refused unlike kernels.toml, or unlike doctor."""
    refused = {f"{row['subject']} {row['rung']}": row["why"] for row in outcome.rungs if row["why"]}
    found = [
        f"{name} is refused, which kernels.toml does not say: {why}"
        for name, why in refused.items()
        if name not in outcome.kernel.refuses
    ]
    found += [
        f"{name} is taken, though kernels.toml says that it is refused"
        for name in outcome.kernel.refuses
        if outcome.rungs and name not in refused
    ]
    for one in outcome.doctor:
        subject, how = one["subject"], one["attach"].partition(":")[0]
        of = [
            r["rung"] for r in outcome.rungs if r["subject"] == subject and how in (r["rung"], "-")
        ]
        cells = {_cell(outcome, subject, rung) for rung in of} - {"untested", "FAILED"}
        if others := sorted(cells - {one["status"]}):
            found.append(f"doctor says {subject} {one['status']}, tests say {', '.join(others)}")
    return found


def _is_worse(offered: dict[str, Any]) -> bool:
    """As doctor has it: what costs something that a better rung would not."""
    best = {subject.name: subject.rungs[0].how for subject in PROBES}
    return bool(offered["costs"] and offered["rung"] != best[offered["subject"]])


def _offered(outcome: Outcome, subject: str, rung: str) -> dict[str, Any] | None:
    rows = [r for r in outcome.rungs if (r["subject"], r["rung"]) == (subject, rung)]
    return rows[0] if rows else None


def _limits(outcomes: Sequence[Outcome]) -> Iterator[Note]:
    """Why what is not `works` is not, kernel by kernel."""
    for outcome in outcomes:
        for row in outcome.rungs:
            where = f"{row['subject']} by {row['rung']}"
            if row["why"]:
                yield f"{where} is impossible: {row['why']}", outcome.kernel.line
            elif row["costs"]:
                how = "is degraded" if _is_worse(row) else "costs"
                yield f"{where} {how}: {row['costs']}", outcome.kernel.line
            if row.get("lacks"):
                yield f"{where} is degraded: {row['lacks']}", outcome.kernel.line
        for test in _having(outcome, "cannot"):
            if _is_impossible(outcome, test) or _is_lacking(outcome, test):
                continue  # said above
            how = "impossible" if test.get("rung") == BCC else "degraded"
            where = f"{test['subject']} by {test['rung']} is {how}" if "rung" in test else "not"
            yield f"{where}: {test['why']}", outcome.kernel.line


def _is_impossible(outcome: Outcome, test: dict[str, Any]) -> bool:
    """Whether the kernel refuses every way that the test names."""
    rows = [
        row
        for row in outcome.rungs
        if row["subject"] == test.get("subject") and row["rung"] == test.get("rung", row["rung"])
    ]
    return bool(rows) and all(row["why"] for row in rows)


def _is_lacking(outcome: Outcome, test: dict[str, Any]) -> bool:
    """Whether the way that the test names does not tell all there."""
    row = _offered(outcome, test.get("subject", ""), test.get("rung", ""))
    return bool(row and row.get("lacks"))


def _told(notes: Iterator[Note]) -> list[str]:
    """Each once, with all kernels it is said of."""
    in_order = list(dict.fromkeys(notes))
    first = [text for text, _ in in_order]
    grouped = groupby(sorted(in_order, key=lambda note: first.index(note[0])), lambda n: n[0])
    return [f"{', '.join(line for _, line in group)}: {text}" for text, group in grouped]


def _ran(outcome: Outcome) -> str:
    counts = [f"{len(_having(outcome, name))} {name}" for name in ("passed", "failed", "cannot")]
    told = ", ".join(count for count in counts if not count.startswith("0 "))
    died = f", {outcome.died}" if outcome.died else ""
    return f"{outcome.kernel.line}: Linux {outcome.release}: {told}, {outcome.seconds:.0f} s{died}"


def _having(outcome: Outcome, name: str) -> list[dict[str, Any]]:
    return [test for test in outcome.tests if test["outcome"] == name]


def failed(outcome: Outcome) -> bool:
    """Whether something went wrong there; that nothing was tested is wrong as well.

    Not that there is no such kernel any more: that is told, and no fault of what is tested.
    """
    if outcome.missing:
        return False
    passed = _having(outcome, "passed")
    return bool(outcome.died or _having(outcome, "failed") or surprises(outcome) or not passed)
