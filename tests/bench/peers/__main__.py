"""Measure others' tools beside ours and print the tables: `python -m tests.bench.peers --help`."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.bench import machine, programs
from tests.bench.effort import FULL, QUICK, Effort
from tests.bench.estimates import of_mean
from tests.bench.peers.comparison import Measured, page
from tests.bench.peers.running import Running, UnableError
from tests.bench.peers.starts import starts
from tests.bench.peers.storms import costs, kernel_rounds, turns
from tests.bench.peers.tools import TOOLS
from tests.bench.peers.truth import truth
from tests.bench.traced import COMMAND

TURNS = 13


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.bench.peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two short turns, for the tests")
    parser.add_argument(
        "--turns", type=int, default=TURNS, metavar="N", help=f"of the storm ({TURNS})"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=programs.BUILD / "bench",
        metavar="DIR",
        help="where peers.json and peers.md go (tests/build/bench)",
    )
    return parser.parse_args()


def _try() -> list[Measured]:
    """Every tool, with why it cannot run here where it cannot."""
    tried = [Measured(tool, tool.missing()) for tool in TOOLS]
    for one in tried:
        if not one.why:
            try:
                with Running(one.tool) as running:
                    running.end()
            except UnableError as error:
                one.why = str(error).replace("|", "/")
    return tried


def _measure(tried: list[Measured], effort: Effort, count: int) -> dict[str, list[Any]]:
    """Fill in what was measured; the raw rounds."""
    able = [one for one in tried if not one.why]
    tools = [one.tool for one in able]
    for one in able:
        one.truth = truth(one.tool) if one.tool.shows else None
    _say("what they say: done; the storm")
    stormed = turns(tools, effort, count)
    _say("the storm: done; kernel time")
    kernel = kernel_rounds(tools, effort)
    _say("kernel time: done; starts")
    started = starts(tools, effort)
    for one in able:
        name = one.tool.name
        one.costs = costs(one.tool, stormed)
        one.kernel_ns = of_mean([found[name]["ns"] for found in kernel])
        if one.tool.shows:
            one.start_s = of_mean([found[name] for found in started])
    return {"storms": stormed, "kernel": kernel, "starts": started}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Run the comparison."""
    given = _parse()
    if os.geteuid() or not Path(COMMAND).exists():
        sys.exit("the bench needs root and a working .venv/bin/tcptrace: make setup")
    # a shell's background job ignores Ctrl-C, and so would the tools it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)
    effort, count = (QUICK, 2) if given.quick else (FULL, given.turns)
    if given.quick:
        effort = replace(effort, round_s=0.3)
    command = shlex.join(["python", "-m", "tests.bench.peers", *sys.argv[1:]])
    facts = [machine.describe(), f"again: `{command}`"]
    tried = _try()
    facts += sorted({one.tool.version() for one in tried if one.tool.package and not one.why})
    rounds = _measure(tried, effort, count)
    kept = {"facts": facts, "tools": [one.raw() for one in tried], "rounds": rounds}
    text = page(facts, tried, rounds["storms"])
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "peers.json").write_text(json.dumps(kept, indent=1) + "\n")
    (given.output / "peers.md").write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
