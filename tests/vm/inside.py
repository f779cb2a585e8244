"""In the guest: what each rung meets there, then the tests, each told of as it ends.

Two processes do it, one a CPU: each takes the next file of tests until none is left.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tracer.kernel.features import why_not
from tracer.probes import PROBES

SHARED = Path(os.environ.get("TCPTRACE_GUEST", "."))
CLAIMS = Path("/tmp/tcptrace-claims")
# that tests failed is told by their own lines; what was asked for may leave out all of a file
FINE = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)


def tell_rungs() -> None:
    """Whether the kernel takes each rung of each subject."""
    with (SHARED / "rungs.jsonl").open("w") as file:
        for subject in PROBES:
            for rung in subject.rungs:
                row = {"subject": subject.name, "rung": rung.how, "costs": rung.costs}
                row["why"] = why_not(rung)
                file.write(json.dumps(row) + "\n")


class Told:
    """Writes a line for each test; those that cannot pass here have to fail."""

    def __init__(self, cannot: dict[str, str], told: Path) -> None:
        self._cannot, self._told = cannot, told

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            for mark in item.iter_markers("guest"):
                item.user_properties += zip(("subject", "rung"), mark.args, strict=False)
            name = item.nodeid.rpartition("/")[2]
            why = self._cannot.get(name, self._cannot.get(name.partition("[")[0]))
            if why:
                item.add_marker(pytest.mark.xfail(reason=why, strict=True))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.outcome == "passed":
            return
        row: dict[str, Any] = {
            "test": report.nodeid,
            "outcome": "cannot" if hasattr(report, "wasxfail") else report.outcome,
            "seconds": round(report.duration, 1),
            "why": _why(report),
            **dict(report.user_properties),
        }
        with self._told.open("a") as file:
            file.write(json.dumps(row) + "\n")


def _why(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail)
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
        # all of a file's tests may be left out by what was asked for
        fine = (
            pytest.ExitCode.OK,
            pytest.ExitCode.TESTS_FAILED,
            pytest.ExitCode.NO_TESTS_COLLECTED,
        )
        worst = worst if status in fine else int(status)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
