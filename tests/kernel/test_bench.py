"""The bench in its two-round form: that it measures everything and that nothing is lost.

Never a ratio or a time: those belong to a quiet machine, see `make bench`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness import ROOT

pytestmark = pytest.mark.kernel

ROWS = [
    "floor-keeps",
    "states-keeps",
    "states-lost",
    "record-keeps",
    "record-lost",
    "record-perf-keeps",
    "record-perf-lost",
    "idle-pid-keeps",
    "idle-pid-lost",
    "accepts-keeps",
    "accepts-lost",
    "handshakes-keeps",
    "handshakes-lost",
    "listeners-keeps",
    "listeners-lost",
    "connections-keeps",
    "connections-lost",
    "calls-extra",
    "bulk-keeps",
    "bulk-drops-keeps",
    "bulk-ends-keeps",
    "counting-ns",
    "counting-ratio",
    "streaming-ns",
    "streaming-ratio",
    "streaming-perf-ns",
    "streaming-perf-ratio",
    "cpu-ns",
    "start",
    "help",
    "end",
    "resident",
    "idle-cpu",
]
# no SYN is dropped and nothing accepted: a count of 0 is right there
UNEVENTFUL = ("floor", "calls", "bulk", "bulk-drops", "bulk-ends")


def _told(part: Any) -> list[dict[str, int]]:
    """Every closing line among the rounds."""
    if isinstance(part, list):
        return [told for one in part for told in _told(one)]
    if not isinstance(part, dict):
        return []
    if "lost" in part:
        return [part]
    return [told for one in part.values() for told in _told(one)]


def measure(folder: Path, *only: str) -> tuple[str, Any]:
    """The table it prints, and what it keeps."""
    command = [sys.executable, "-m", "tests.bench", "--quick", "--output", str(folder), *only]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads((folder / "rounds.json").read_text())


def lost(rounds: dict[str, Any]) -> list[str]:
    """Where something was."""
    return [name for name, part in rounds.items() if any(one["lost"] for one in _told(part))]


def test_the_bench_measures_every_row_and_loses_no_event(tmp_path: Path) -> None:
    printed, kept = measure(tmp_path)
    assert [row["name"] for row in kept["rows"]] == ROWS
    table = (tmp_path / "table.md").read_text()
    assert printed == table
    assert all(f"| {row['what']} | " in table for row in kept["rows"])
    told = _told(kept["rounds"])
    assert len(told) == 35
    eventful = [rounds for name, rounds in kept["rounds"].items() if name not in UNEVENTFUL]
    assert all(one["seen"] > 0 for one in _told(eventful))
    # a machine that stands still for half a second in the worst storm loses some: not twice
    if again := lost(kept["rounds"]):
        _, kept = measure(tmp_path, "--only", ",".join(again))
    assert lost(kept["rounds"]) == []
