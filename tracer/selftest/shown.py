"""The self-test as a line, JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from tracer.selftest.results import Result
from tracer.selftest.trial import Trial


def lines(trial: Trial) -> list[str]:
    """`state 126/126 handshake 28/28 … lost 0`, and a line for each that is not exact."""
    first = " ".join(map(_short, trial.results))
    return [first, *(f"{one.subject}: {one.why}" for one in trial.results if not one.is_exact)]


def _short(result: Result) -> str:
    if result.subject == "lost":
        return f"lost {result.surplus}"
    if not result.tried:
        return f"{result.subject} -/{result.expected}"
    more = f"+{result.surplus}" if result.surplus else ""
    return f"{result.subject} {result.found}{more}/{result.expected}"


def documents(trial: Trial) -> list[dict[str, Any]]:
    """A `probe` record each; what is no subject of its own is attached nowhere."""
    return [
        {
            "kind": "probe",
            "subject": one.subject,
            "attach": trial.attached.get(one.subject, "-"),
            "status": _status(one),
            "why": one.why,
            "costs": "",
            "expected": one.expected,
            "found": one.found,
            "surplus": one.surplus,
        }
        for one in trial.results
    ]


def _status(result: Result) -> str:
    if not result.tried:
        return "unknown"
    if result.is_exact:
        return "works"
    return "degraded" if result.found or not result.expected else "impossible"


def _json_lines(trial: Trial) -> list[str]:
    return [json.dumps(document) for document in documents(trial)]


def _csv_lines(trial: Trial) -> list[str]:
    text = io.StringIO()
    columns = [name for name in documents(trial)[0] if name != "kind"]
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(documents(trial))
    return text.getvalue().splitlines()


FORMS = {"table": lines, "md": lines, "json": _json_lines, "csv": _csv_lines}
