"""Measure, print the table, keep it and the rounds: `python -m tests.bench --help`."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.bench import machine, programs
from tests.bench.effort import FULL, QUICK, Effort
from tests.bench.suite import SUITE
from tests.bench.table import Result, page
from tests.bench.traced import COMMAND


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = sorted(set(names) - set(SUITE))
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(SUITE)}")
    return [name for name in SUITE if name in names]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two rounds of each, for the tests")
    parser.add_argument(
        "--pairs", type=int, metavar="N", help="at most so many pairs of rounds (60)"
    )
    parser.add_argument(
        "--only", type=_names, default=list(SUITE), metavar="NAME,…", help=", ".join(SUITE)
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=programs.BUILD / "bench",
        metavar="DIR",
        help="where rounds.json and table.md go (tests/build/bench)",
    )
    return parser.parse_args()


def _measure(names: list[str], effort: Effort) -> dict[str, Result]:
    results = {}
    for number, name in enumerate(names, 1):
        print(f"{number} of {len(names)}: {name}", file=sys.stderr, flush=True)
        results[name] = SUITE[name](effort)
        for row in results[name].rows:
            print(f"  {', '.join(row.cells())}", file=sys.stderr, flush=True)
    return results


def main() -> None:
    """Run the bench."""
    given = _parse()
    if os.geteuid() or not Path(COMMAND).exists():
        sys.exit("the bench needs root and a working .venv/bin/tcptrace: make setup")
    command = shlex.join(["python", "-m", "tests.bench", *sys.argv[1:]])
    facts = [machine.describe(), f"again: `{command}`"]
    effort = QUICK if given.quick else FULL
    if given.pairs:
        effort = replace(effort, most_pairs=given.pairs)
    results = _measure(given.only, effort)
    rows = [row.raw() for result in results.values() for row in result.rows]
    rounds = {name: result.rounds for name, result in results.items()}
    kept: dict[str, Any] = {"facts": facts, "rows": rows, "rounds": rounds}
    text = page("What tracing costs", facts, results.values())
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "rounds.json").write_text(json.dumps(kept, indent=1) + "\n")
    (given.output / "table.md").write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
