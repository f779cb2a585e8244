"""A guest is waited for until it ends, hangs, or one of its CPUs stands still."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.vm import guest


@pytest.mark.parametrize(
    ("command", "told", "limit", "why"),
    [
        ("true", 0, 60, ""),
        ("sleep 60", guest.OFTEN, 60, "a CPU stood still"),
        ("sleep 60", guest.OFTEN - 1, 0.2, "it hung"),
        ("true", -1, 60, "a CPU met a trap"),
    ],
)
def test_it_is_said_why_a_guest_did_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, told: int, limit: float, why: str
) -> None:
    monkeypatch.setattr(guest, "LOOK_S", 0.05)
    stuck, trapped = f"[ 1.0] {guest.STUCK} - CPU#1 stuck for 27s!\n", f"{guest.TRAPPED} 0000\n"
    (tmp_path / "console").write_text(stuck * told if told >= 0 else trapped)
    with subprocess.Popen(command.split()) as process:
        said = guest._await_end(process, tmp_path, limit)
        assert said.startswith(why) if why else not said
        assert (process.poll() is None) == (command != "true")
        process.kill()
