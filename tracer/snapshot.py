"""What is there now, without tracing: passes over the sockets, a player and its view.

Nothing is attached. A player is fed as by a session, so filters and views are the same; it is the
one that finds owners and filters, as for a recording.
"""

from __future__ import annotations

import json
import os
import platform
import select
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from tracer.attribution import cgroups
from tracer.errors import TracerError
from tracer.kernel.snapshot import Looked, SnapshotSource
from tracer.player import Player
from tracer.session import Limits
from tracer.views.base import View
from tracer.wire.filters import Filters
from tracer.wire.head import Head
from tracer.wire.recording import Frame

KEEPS = ("sockets", "connections", "holders")


@dataclass
class Snapshots:
    """One pass, or one every `limits.interval` until a limit is reached."""

    filters: Filters
    show: View
    utc: bool = False
    ready: Callable[[], None] = lambda: None
    notice: Callable[[str], None] = lambda text: None
    wake_fd: int | None = None
    limits: Limits = field(default_factory=Limits)

    def run(self) -> Player:
        """Look, and show; nothing is left behind when this returns. Errors: TracerError."""
        player = Player(self.show, self.filters, self.utc)
        source = SnapshotSource()
        try:
            for frame in self._frames(source):
                player.feed(frame)
        finally:
            source.close()
        return player

    def _frames(self, source: SnapshotSource) -> Iterator[Frame]:
        limits, began = self.limits, time.monotonic_ns()
        looked = source.look(self.filters.netns)
        self._check_pids(looked)
        self.ready()
        yield Frame("HEAD", self._describe(source, began).to_bytes())
        yield from self._pass(looked, began)
        seconds = limits.interval or limits.seconds
        marked, rounds = False, 0
        while seconds and not limits.stop:
            rounds += 1
            due = began + round(rounds * seconds * 1e9)
            end = began + round(limits.seconds * 1e9) if limits.seconds else None
            self._wait(due if end is None else min(due, end))
            now = time.monotonic_ns()
            yield from self._pass(source.look(self.filters.netns), now)
            if limits.interval:
                marked = True
                yield Frame("MARK", np.array([now], np.int64))
            if end is not None and now >= end:
                limits.stop = limits.stop or "duration"
            while began + round((rounds + 1) * seconds * 1e9) <= time.monotonic_ns():
                rounds += 1  # one that was missed is not made up for
        for text in source.notices:
            self.notice(text)
        yield self._last(time.monotonic_ns() if not marked else now)

    def _wait(self, due_ns: int) -> None:
        """Sleep until then, or until a signal comes."""
        left = max(0.0, (due_ns - time.monotonic_ns()) / 1e9)
        fds = [self.wake_fd] if self.wake_fd is not None else []
        if not self.limits.stop and select.select(fds, [], [], left)[0] and fds:
            os.read(fds[0], 4096)

    def _last(self, now_ns: int) -> Frame:
        return Frame("LAST", json.dumps({"mono_ns": now_ns, "ended_by": self.limits.stop}).encode())

    def _pass(self, looked: Looked, now_ns: int) -> Iterator[Frame]:
        offset = time.time_ns() - time.monotonic_ns()
        yield Frame("TICK", np.array([now_ns, offset], np.int64))
        yield Frame("TASK", looked.tasks)
        yield Frame("HOLD", looked.holders)
        yield self._groups()
        yield Frame("OPEN", looked.sockets)

    def _groups(self) -> Frame:
        mount = cgroups.find_mount()
        found = cgroups.walk(mount) if mount else {}
        return Frame("CGRP", json.dumps({str(key): path for key, path in found.items()}).encode())

    def _check_pids(self, looked: Looked) -> None:
        missing = set(self.filters.pids) - set(looked.tasks["local_pid"].tolist())
        # a kernel may hide one from iterators, though /proc shows it
        gone = sorted(pid for pid in missing if not os.path.exists(f"/proc/{pid}"))
        if gone:
            raise TracerError(f"no process has the PID {gone[0]}", "look it up: pgrep -a NAME")

    def _describe(self, source: SnapshotSource, began: int) -> Head:
        return Head(
            layout=source.layout,
            encoding={},
            started_ns=began,
            offset_ns=time.time_ns() - time.monotonic_ns(),
            initial_pids=source.initial_pids,
            host=platform.node(),
            kernel=os.uname().release,
            kinds=(),
            filters=self.filters.describe(),
            keeps=KEEPS,
            attached={"connections": "iter"},
            netns=tuple(sorted(self.filters.netns)),
        )
