"""A recording of an earlier version: what it keeps is shown, what it knows nothing of is not.

tests/golden/older.rec.gz was made before there were records of kind `connection`, and stays so.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tracer.cli import run
from tracer.wire.head import Head
from tracer.wire.recording import read

OLDER = Path(__file__).resolve().parents[1] / "golden" / "older.rec.gz"


@pytest.fixture
def older(tmp_path: Path) -> Path:
    path = tmp_path / "older.rec"
    path.write_bytes(gzip.decompress(OLDER.read_bytes()))
    with path.open("rb") as file:
        head = Head.from_bytes(bytes(next(read(file, "older")).data))
    assert "CONNECTION" not in head.layout.enums["kind"]
    return path


@pytest.mark.parametrize(
    "command", ["events", "states", "handshakes", "accepts", "listeners", "advise"]
)
def test_a_recording_of_before_a_kind_was_known_is_shown(
    older: Path, command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "-r", str(older), "--utc"]) == 0
    shown, told = capfd.readouterr()
    assert shown.count("\n") > 1
    assert " matched, 0 lost in 2.42s" in shown + told
