"""Time order over CPUs: out of order as it comes, in order as it is shown, nothing late."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.bench.programs import storm
from tests.harness import Tracer, namespace
from tracer.flows.tally import Outcome
from tracer.player import Player
from tracer.views.base import View
from tracer.views.columns import Facts
from tracer.wire.batch import Batch
from tracer.wire.head import Head
from tracer.wire.layout import Layout
from tracer.wire.recording import Frame, read

pytestmark = pytest.mark.kernel


class _Times(View):
    """A view that keeps the times of what it is shown, over all kinds, in the order shown."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.layout: Layout
        self.late = -1

    def begin(self, facts: Facts, head: Head) -> None:
        self.layout = facts.layout

    def batch(self, batch: Batch) -> None:
        times = {kind: records["mono_ns"].tolist() for kind, records in batch.kinds.items()}
        self.times += [times[kind][i] for kind, i in batch.order()]

    def end(self, outcome: Outcome) -> None:
        self.late = outcome.tally.late


def _recorded(path: Path, transport: str) -> list[Frame]:
    arguments = ("record", str(path), "--transport", transport)
    with namespace() as space, Tracer(*arguments, "--netns", space.name, json=False):
        subprocess.run([*space.enter, str(storm()), "0.5"], check=True)
    with path.open("rb") as file:
        return list(read(file, str(path)))


def _raw_times(frames: list[Frame], player: Player) -> Any:
    """Times of the state records as the buffers gave them, CPU after CPU, drain after drain."""
    offset, stride = player.head.encoding["SMAL"]
    parts = []
    for frame in frames:
        if frame.tag == "SMAL":
            samples = np.frombuffer(frame.data, np.uint8).reshape(-1, stride)
            parts.append(samples[:, offset : offset + 8].copy().view(np.uint64)[:, 0])
    return np.concatenate(parts)


@pytest.mark.parametrize("transport", ["perf", "ring"])
def test_raw_batches_hold_inversions_and_the_output_none(tmp_path: Path, transport: str) -> None:
    frames = _recorded(tmp_path / "storm", transport)
    show = _Times()
    player = Player(show)
    for frame in frames:
        player.feed(frame)
    raw = _raw_times(frames, player)
    assert len(raw) > 10_000
    assert int((raw[1:] < raw[:-1]).sum()) > 0
    shown = np.array(show.times)
    assert len(shown) >= len(raw)
    assert int((shown[1:] < shown[:-1]).sum()) == 0
    assert show.late == 0
