"""How soon: from the command to its first event, to its help, from Ctrl-C to its end."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

from tests.bench.effort import Effort
from tests.bench.estimates import of_mean
from tests.bench.table import Result, Row
from tests.bench.traced import COMMAND, Traced
from tests.bench.tracer_cost import COMMANDS
from tests.bench.traffic import trickle

TRICKLE_PAUSE_US = 2000


def start(effort: Effort) -> Result:
    """From the command to the first event that is shown, by the event's own time."""
    with trickle(TRICKLE_PAUSE_US):
        rounds = [_first_event() for _ in range(effort.starts)]
    first = of_mean([one["event_s"] for one in rounds])
    shown = of_mean([one["shown_s"] for one in rounds])
    row = Row("start", "`events`, command to first event", first, "s", 0.4, digits=3)
    note = f"the first event is on standard output {shown.mean:.3f} s after the command"
    return Result([row], rounds, [note])


def _first_event() -> dict[str, Any]:
    begin = time.monotonic_ns()
    process = subprocess.Popen(
        [COMMAND, "events", "-q", "-j"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    assert process.stdout
    try:
        record = json.loads(process.stdout.readline())
        shown = time.monotonic_ns()
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
    return {"event_s": (record["mono_ns"] - begin) / 1e9, "shown_s": (shown - begin) / 1e9}


def usage(effort: Effort) -> Result:
    """How long `--help` takes."""
    rounds = []
    for _ in range(effort.starts):
        begin = time.monotonic()
        subprocess.run([COMMAND, "--help"], check=True, stdout=subprocess.DEVNULL)
        rounds.append({"help_s": time.monotonic() - begin})
    took = of_mean([one["help_s"] for one in rounds])
    return Result([Row("help", "`--help`", took, "s", 0.15, digits=3)], rounds)


def end(effort: Effort) -> Result:
    """From Ctrl-C until the process is gone; of the command that takes longest."""
    with trickle(TRICKLE_PAUSE_US):
        rounds = [_ending(command) for _ in range(effort.starts) for command in COMMANDS]
    by_command = {
        command: of_mean([one["end_s"] for one in rounds if one["command"] == command])
        for command in COMMANDS
    }
    command = max(by_command, key=lambda key: by_command[key].mean)
    what = f"`{command}`, Ctrl-C to gone"
    return Result([Row("end", what, by_command[command], "s", 0.2, digits=3)], rounds)


def _ending(command: str) -> dict[str, Any]:
    with Traced(*COMMANDS[command], "-q") as tracer:
        tracer.run_for(0.2)  # several drains: it is in the middle of its work
        tracer.end()
    return {"command": command, "end_s": tracer.ending_s}
