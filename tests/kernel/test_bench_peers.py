"""The comparison with others' tools in its two-round form: every tool has its rows, ours no gap.

Never a ratio or a time: those belong to a quiet machine, see `make bench-peers`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.bench.peers.comparison import Measured
from tests.bench.peers.running import Running, UnableError
from tests.bench.peers.tools import PORT as STORM_PORT
from tests.bench.peers.tools import TOOLS, Tool
from tests.bench.peers.truth import CONNECTIONS, PORT, SYNS
from tests.harness import ROOT
from tests.hidden import hidden_events

pytestmark = pytest.mark.kernel

OURS = [tool for tool in TOOLS if tool.ours]
BPFTRACE = next(tool for tool in TOOLS if tool.package == "bpftrace")


def test_every_tool_that_is_installed_is_measured_and_ours_misses_nothing(tmp_path: Path) -> None:
    with hidden_events(STORM_PORT) as hidden_in_storms, hidden_events(PORT) as hidden:
        kept = _compare(tmp_path)
    found = {one["name"]: one for one in kept["tools"]}
    assert list(found) == [tool.name for tool in TOOLS]
    for tool in TOOLS:
        one = found[tool.name]
        assert bool(one["why"]) == (not shutil.which(tool.command[0])), one
        assert bool(one["costs"]) == (not one["why"]), one
        if tool.shows and not one["why"]:
            _is_right(tool, one["truth"], hidden.steps.total())
    for turn in kept["rounds"]["storms"]:
        unseen = hidden_in_storms.steps.total()
        for tool in OURS:
            one = turn[tool.name]
            # lines of text may come too fast for who prints them: then they are said to be lost
            assert 0 <= one["happened"] - one["told"] - one["told_lost"] <= unseen, (tool.name, one)
            assert not one["told_lost"] or tool.name.endswith(" events"), (tool.name, one)


def _compare(path: Path) -> dict[str, Any]:
    """The raw result; what was printed is the table that was kept, with a row for every tool."""
    command = [sys.executable, "-m", "tests.bench.peers", "--quick", "--output", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (path / "peers.md").read_text()
    rows = [line.split(" | ")[0].removeprefix("| ") for line in done.stdout.splitlines()]
    assert {tool.name for tool in TOOLS} <= set(rows)
    kept: dict[str, Any] = json.loads((path / "peers.json").read_text())
    return kept


def _is_right(tool: Tool, said: dict[str, int], hidden: int) -> None:
    """Ours tells each line, SYN and process; the others may miss lines, and tell of no SYN."""
    assert said["due"] == tool.happened(CONNECTIONS)
    assert said["dropped"] == SYNS
    assert 0 < said["lines"] <= said["due"]
    if tool.ours:
        assert said["due"] - said["lines"] <= hidden
        assert (said["right"], said["drops_told"]) == (said["lines"], said["dropped"])
    else:
        assert said["drops_told"] == 0


def test_a_tool_that_is_not_installed_is_a_row_that_says_why() -> None:
    absent = replace(BPFTRACE, command=["no-such-tool"])
    assert absent.missing() == "not installed: apt-get install bpftrace"
    row = Measured(absent, absent.missing()).cost_cells()
    assert row[:2] == [absent.name, "not measured: not installed: apt-get install bpftrace"]
    assert set(row[2:]) == {"-"}


def test_a_tool_that_cannot_attach_here_is_a_row_that_says_what_it_said() -> None:
    refused = replace(BPFTRACE, command=["bpftrace", "-e", "tracepoint:sock:no_such_event { }"])
    with pytest.raises(UnableError, match="no_such_event"), Running(refused):
        pass
