"""While a summary gathers, a terminal is told how far it is; nobody else is."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT

pytestmark = pytest.mark.kernel
LINE = "Ctrl-C ends it and shows them"


def notices(tmp_path: Path, *arguments: str) -> str:
    """Standard error of a session, as the terminal got it that it was connected to."""
    ours, theirs = os.openpty()
    try:
        with (tmp_path / "out").open("w") as out:
            subprocess.run(
                [*COMMAND, *arguments, "-d", "2200ms"],
                check=True,
                stdout=out,
                stderr=theirs,
                cwd=ROOT,
                timeout=30,
            )
        os.set_blocking(ours, False)
        try:
            return os.read(ours, 65536).decode()
        except BlockingIOError:
            return ""  # it was told nothing
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("command", ["states", "listeners"])
def test_a_terminal_is_told_how_far_a_summary_is_and_the_line_goes_away(
    tmp_path: Path, command: str
) -> None:
    text = notices(tmp_path, command, "--port", "9")
    assert re.search(rf"\d+ s: \d+ seen, 0 matched, \d+ lost; {LINE}", text)
    assert text.rindex(LINE) < text.rindex("\r\x1b[K")
    assert LINE not in (tmp_path / "out").read_text()


@pytest.mark.parametrize("arguments", [["events"], ["states", "-q"]])
def test_what_shows_results_at_once_or_is_quiet_tells_no_progress(
    tmp_path: Path, arguments: list[str]
) -> None:
    assert LINE not in notices(tmp_path, *arguments, "--port", "9")
