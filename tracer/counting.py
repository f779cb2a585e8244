"""The kernel's counters, read once or again and again, and shown: nothing is loaded or attached."""

from __future__ import annotations

import os
import platform
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tracer.attribution.processes import ProcessTable
from tracer.errors import TracerError
from tracer.kernel import preflight
from tracer.kernel.counters import Counters
from tracer.limits import Limits
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
        limits, show = self.limits, self.show
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
        going = bool(limits.interval or limits.seconds)
        while going:
            self._wait(self._next(began, now))
            show.reading(reading := counters.read())
            now = reading.began_ns
            if limits.seconds and now >= began + round(limits.seconds * 1e9):
                limits.stop = limits.stop or "duration"
            if limits.interval or limits.interim:
                limits.interim = False
                show.show(now, total=False)
            going = not limits.stop
        show.show(now, total=True)

    def _next(self, began: int, now: int) -> int:
        """When to read again; an interval that was missed is not made up for."""
        moments = []
        if self.limits.interval:
            every = round(self.limits.interval * 1e9)
            moments.append(now + every - (now - began) % every)
        if self.limits.seconds:
            moments.append(began + round(self.limits.seconds * 1e9))
        return min(moments)

    def _wait(self, due_ns: int) -> None:
        """Sleep until then, or until a signal comes."""
        left = max(0.0, (due_ns - time.monotonic_ns()) / 1e9)
        fds = [self.wake_fd] if self.wake_fd is not None else []
        if select.select(fds, [], [], left)[0] and fds:
            os.read(fds[0], 4096)

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
