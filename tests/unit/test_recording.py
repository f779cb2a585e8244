"""Recordings: whole, cut short, damaged, or something else."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from tracer.errors import TracerError
from tracer.wire.recording import MAGIC, Frame, Writer, read

FRAMES = [
    Frame("HEAD", b"{}"),
    Frame("SMAL", np.arange(100, dtype=np.uint8)),
    Frame("MARK", b""),
    Frame("TICK", np.array([1, 2], np.int64)),
]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "recording"
    writer = Writer(path)
    for frame in FRAMES:
        writer.write(frame)
    assert writer.size > 100
    writer.close()
    assert writer.size == path.stat().st_size
    return path


def _bytes(frame: Frame) -> tuple[str, bytes]:
    data = frame.data
    return frame.tag, data if isinstance(data, bytes) else data.tobytes()


def test_frames_come_back_as_they_went(recording: Path) -> None:
    with recording.open("rb") as file:
        assert [_bytes(f) for f in read(file, "x")] == [_bytes(f) for f in FRAMES]


def test_a_recording_cut_anywhere_gives_the_frames_before_the_cut(recording: Path) -> None:
    whole = recording.read_bytes()
    most = 0
    for cut in range(len(MAGIC), len(whole)):
        got = [_bytes(f) for f in read(io.BytesIO(whole[:cut]), "x")]
        assert got == [_bytes(f) for f in FRAMES[: len(got)]]
        assert len(got) < len(FRAMES)
        most = max(most, len(got))
    assert most == len(FRAMES) - 1


def test_a_file_that_is_no_recording_is_refused() -> None:
    with pytest.raises(TracerError, match="is not a recording"):
        list(read(io.BytesIO(b"\xd4\xc3\xb2\xa1 a packet capture"), "x"))


def test_a_recording_is_private_and_not_written_over(recording: Path) -> None:
    assert recording.stat().st_mode & 0o777 == 0o600
    with pytest.raises(TracerError, match="exists"):
        Writer(recording)
    Writer(recording, force=True).close()
    assert recording.read_bytes() == MAGIC
