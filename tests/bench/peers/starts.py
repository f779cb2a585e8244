"""From the command to its first event on a terminal, while connections come all the time."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time

from tests.bench.effort import Effort
from tests.bench.moments import TRICKLE_PAUSE_US
from tests.bench.peers.running import environment, launch
from tests.bench.peers.tools import PORT, Tool
from tests.bench.traced import PATIENCE_S
from tests.bench.traffic import trickle
from tests.harness import ROOT


def starts(tools: list[Tool], effort: Effort) -> list[dict[str, float]]:
    """Turns of the tools that show events as they come; seconds by name."""
    shown = [tool for tool in tools if tool.shows]
    with trickle(TRICKLE_PAUSE_US, PORT):
        return [{tool.name: _first_event_s(tool) for tool in shown} for _ in range(effort.starts)]


def _first_event_s(tool: Tool) -> float:
    ours, its = pty.openpty()
    begin = time.monotonic()
    process = subprocess.Popen(
        launch(tool, tool.command),
        cwd=ROOT,
        env=environment(tool),
        stdin=subprocess.DEVNULL,
        stdout=its,
        stderr=subprocess.DEVNULL,
    )
    os.close(its)
    try:
        _read_until_event(ours, tool)
        return time.monotonic() - begin
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read_until_event(terminal: int, tool: Tool) -> None:
    text = ""
    end = time.monotonic() + PATIENCE_S
    while not any(tool.lines(text, PORT)):
        left = max(0.0, end - time.monotonic())
        assert select.select([terminal], [], [], left)[0], f"{tool.name} shows no event"
        text += os.read(terminal, 65536).decode(errors="replace").replace("\r\n", "\n")
