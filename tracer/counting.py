"""The kernel's counters, read once or again and again, and shown: nothing is loaded or attached."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tracer.attribution.processes import ProcessTable
from tracer.errors import TracerError
from tracer.kernel import preflight
from tracer.kernel.counters import Counters
from tracer.limits import Limits
from tracer.rounds import Rounds
from tracer.views.columns import Facts
from tracer.views.counters import CountersView
from tracer.views.text import Clock
from tracer.wire.btf import Btf
from tracer.wire.head import Head
from tracer.wire.layout import Layout, derive

OBJECT = Path(__file__).resolve().parent / "_bpf" / "tcptrace.bpf.o"


@dataclass
class Counting:
    """One reading, or one at each `limits.interval` and one at the end."""

    netns: frozenset[int]
    devices: frozenset[str]
    filters: dict[str, str]
    show: CountersView
    utc: bool = False
    ready: Callable[[], None] = lambda: None
    notice: Callable[[str], None] = lambda text: None
    wake_fd: int | None = None
    limits: Limits = field(default_factory=Limits)

    def run(self) -> None:
        """Read and show, until a limit is reached. Errors: TracerError."""
        show = self.show
        counters = Counters(self.netns)
        reading = counters.read()
        began = now = reading.began_ns
        if self.netns - set(reading.moments):
            raise TracerError("--netns: that namespace has ended", "see: lsns -t net")
        there = {device for _, device in reading.ids}
        for device in sorted(self.devices - there):
            raise TracerError(f"--dev {device}: no device is called so", "see: ip link")
        self.ready()
        if counters.unseen:
            self.notice(
                "other network namespaces are not looked at:"
                f" this needs {preflight.named(counters.unseen)}"
            )
        layout = derive(Btf.load(OBJECT))
        offset = time.time_ns() - time.monotonic_ns()
        facts = Facts(layout, ProcessTable(0, 0), Clock(offset, self.utc))
        show.begin(facts, self._head(layout, began, offset))
        show.reading(reading)
        rounds = Rounds(self.limits, began, self.wake_fd)
        for _ in rounds:
            show.reading(reading := counters.read())
            now = reading.began_ns
            if rounds.close_block():
                show.show(now, total=False)
        show.show(now, total=True)

    def _head(self, layout: Layout, began: int, offset: int) -> Head:
        return Head(
            layout=layout,
            encoding={},
            started_ns=began,
            offset_ns=offset,
            initial_pids=True,
            host=platform.node(),
            kernel=os.uname().release,
            kinds=(),
            filters=self.filters,
            keeps=(),
            attached={},
            netns=tuple(sorted(self.netns)),
        )
