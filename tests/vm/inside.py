"""In the guest: what each rung meets there, then the tests, each told of as it ends."""

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

    def __init__(self, cannot: dict[str, str]) -> None:
        self._cannot = cannot

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
        with (SHARED / "tests.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")


def _why(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail)
    if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    lines = report.longreprtext.strip().splitlines()
    errors = [line.removeprefix("E").strip() for line in lines if line.startswith("E ")]
    return (errors or lines or [""])[0]


def main() -> int:
    """Returns the exit status: that tests failed is told by their own lines."""
    tell_rungs()
    job = json.loads((SHARED / "job.json").read_text())
    options = ["-q", "-p", "no:cacheprovider", "-m", "guest"]
    status = pytest.main([*options, *job["arguments"]], plugins=[Told(job["cannot"])])
    return 0 if status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) else int(status)


if __name__ == "__main__":
    sys.exit(main())
