"""In the guest: what each rung meets there, then the tests, each told of as it ends.

Two processes do it, one a CPU: each takes the next file of tests until none is left.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tracer.diagnosis import diagnose
from tracer.kernel.features import lacking, why_not
from tracer.probes import PROBES

SHARED = Path(os.environ.get("TCPTRACE_GUEST", "."))
CLAIMS = Path("/tmp/tcptrace-claims")
# that tests failed is told by their own lines; what was asked for may leave out all of a file
FINE = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)


def tell_rungs() -> None:
    """Whether the kernel takes each rung of each subject, and what doctor makes of that."""
    with (SHARED / "rungs.jsonl").open("w") as file:
        for subject in PROBES:
            for rung in subject.rungs:
                row = {"subject": subject.name, "rung": rung.how, "costs": rung.costs}
                row["why"] = why_not(rung)
                row["lacks"] = "" if row["why"] else lacking(rung)
                file.write(json.dumps(row) + "\n")
    with (SHARED / "doctor.jsonl").open("w") as file:
        for found in diagnose().probes:
            file.write(json.dumps(asdict(found)) + "\n")


def is_refused(mark: pytest.Mark) -> bool:
    """Whether the kernel takes none of the ways that it names: subject, or subject and rung."""
    rungs = [
        rung
        for subject in PROBES
        for rung in subject.rungs
        if mark.args in ((subject.name,), (subject.name, rung.how))
    ]
    return bool(rungs) and all(map(why_not, rungs))


class Told:
    """Writes a line for each test; those that cannot pass here have to fail.

    Not run are those of what this kernel refuses: they would wait for what cannot come.
    """

    def __init__(self, cannot: dict[str, str], told: Path) -> None:
        self._cannot, self._told = cannot, told

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            marks = list(item.iter_markers("guest"))
            for mark in marks:
                item.user_properties += zip(("subject", "rung"), mark.args, strict=False)
            why = self._why_not(item.nodeid)
            if why:
                run = not any(map(is_refused, marks))
                item.add_marker(pytest.mark.xfail(reason=why, strict=True, run=run))

    def _why_not(self, test: str) -> str:
        """Why it cannot pass here; empty if it should."""
        name = test.rpartition("/")[2]
        # a file's, if all of them are of one thing
        names = (name, name.partition("[")[0], name.partition("::")[0])
        return next((self._cannot[one] for one in names if one in self._cannot), "")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.outcome == "passed":
            return
        outcome, why = str(report.outcome), _why(report)
        if hasattr(report, "wasxfail"):
            outcome = "cannot"
        elif outcome == "skipped":  # what is skipped has to be listed
            listed = self._why_not(report.nodeid)
            outcome, why = ("cannot", listed) if listed else ("failed", f"skipped: {why}")
        row: dict[str, Any] = {
            "test": report.nodeid,
            "outcome": outcome,
            "seconds": round(report.duration, 1),
            "why": why,
            **dict(report.user_properties),
        }
        with self._told.open("a") as file:
            file.write(json.dumps(row) + "\n")


def _why(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail).removeprefix("reason: ").removeprefix("[NOTRUN] ")
    if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    lines = report.longreprtext.strip().splitlines()
    errors = [line.removeprefix("E").strip() for line in lines if line.startswith("E ")]
    return (errors or lines or [""])[0]


def claim(number: int) -> bool:
    """Whether this process is the first to want it."""
    try:
        (CLAIMS / str(number)).mkdir(parents=True)
    except FileExistsError:
        return False
    return True


def main(worker: str) -> int:
    """Returns the exit status."""
    if worker == "0":
        tell_rungs()
    job = json.loads((SHARED / "job.json").read_text())
    # no plugin loads itself here: those of some stayed behind
    plugins = ["-p", "no:cacheprovider", "-p", "pytest_rerunfailures"]
    options = ["-q", *plugins, "-m", "guest", *job["arguments"]]
    told = Told(job["cannot"], SHARED / f"tests-{worker}.jsonl")
    worst = 0
    for number, file in enumerate(job["files"]):
        if not claim(number):
            continue
        status = pytest.main([*options, file], plugins=[told])
        worst = worst if status in FINE else int(status)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
