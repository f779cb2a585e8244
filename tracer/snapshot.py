"""What is there now, without tracing: passes over the sockets, a player and its view.

Nothing is attached. A player is fed as by a session, so filters and views are the same; it is the
one that finds owners and filters, as for a recording.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tracer.attribution import cgroups, descriptors
from tracer.errors import TracerError
from tracer.kernel import sysctls
from tracer.kernel.snapshot import Looked, SnapshotSource
from tracer.limits import Limits
from tracer.player import Player
from tracer.rounds import Rounds
from tracer.views.base import View
from tracer.wire.filters import Filters
from tracer.wire.head import Head
from tracer.wire.layout import Records
from tracer.wire.recording import Frame

KEEPS = ("sockets", "connections", "holders")
KEEPS_OF_QUEUES = ("listeners", "holders")


@dataclass
class Snapshots:
    """One pass, or one every `limits.interval` until a limit is reached."""

    filters: Filters
    show: View
    source: Callable[[], SnapshotSource]
    utc: bool = False
    ready: Callable[[], None] = lambda: None
    notice: Callable[[str], None] = lambda text: None
    wake_fd: int | None = None
    limits: Limits = field(default_factory=Limits)

    def run(self) -> Player:
        """Look, and show; nothing is left behind when this returns. Errors: TracerError."""
        player = Player(self.show, self.filters, self.utc)
        source = self.source()
        try:
            for frame in self._frames(source):
                player.feed(frame)
        finally:
            source.close()
        return player

    def _frames(self, source: SnapshotSource) -> Iterator[Frame]:
        limits, began = self.limits, time.monotonic_ns()
        now = began
        looked = source.look(self.filters.netns)
        self._check_pids(looked)
        self.ready()
        yield Frame("HEAD", self._describe(source, began).to_bytes())
        yield from self._pass(source, looked, now)
        rounds = Rounds(limits, began, self.wake_fd)
        for now in rounds:
            looked = source.look(self.filters.netns)
            yield from self._pass(source, looked, now)
            if rounds.close_block():
                yield Frame("MARK", np.array([now], np.int64))
            self._look_for_an_end(looked)
        for text in source.notices:
            self.notice(text)
        last = {"mono_ns": now if now > began else looked.mono_ns, "ended_by": limits.stop}
        yield Frame("LAST", json.dumps(last).encode())

    def _look_for_an_end(self, looked: Looked) -> None:
        limits = self.limits
        living = set(looked.tasks["local_pid"][looked.tasks["ended"] == 0].tolist())
        if self.filters.pids and not limits.stop and not self._alive(living):
            limits.stop = "gone"
            self.notice("the processes of --pid have ended")

    def _alive(self, living: set[int]) -> set[int]:
        # a kernel may hide one from iterators, though /proc shows it
        hidden = set(self.filters.pids) - living
        return living & set(self.filters.pids) | {pid for pid in hidden if _runs(pid)}

    def _pass(self, source: SnapshotSource, looked: Looked, now_ns: int) -> Iterator[Frame]:
        offset = time.time_ns() - time.monotonic_ns()
        yield Frame("TICK", np.array([now_ns, offset], np.int64))
        yield Frame("TASK", looked.tasks)
        yield Frame("HOLD", looked.holders)
        yield self._groups()
        if self.show.wants_sysctls:
            found = sysctls.read(set(self.filters.netns) or None)
            yield Frame("SYSC", json.dumps(found).encode())
        if self.show.wants_descriptors and source.initial_pids:
            asked = np.isin(looked.holders["state"], source.asked_for_descriptors)
            found_of = descriptors.of_all(_processes(looked.holders[asked]))
            yield Frame("FDSC", json.dumps(found_of).encode())
        yield Frame("LSTN" if self.show.wants_queues else "OPEN", looked.sockets)

    def _groups(self) -> Frame:
        mount = cgroups.find_mount()
        found = cgroups.walk(mount) if mount else {}
        return Frame("CGRP", json.dumps({str(key): path for key, path in found.items()}).encode())

    def _check_pids(self, looked: Looked) -> None:
        gone = sorted(set(self.filters.pids) - self._alive(set(looked.tasks["local_pid"].tolist())))
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
            keeps=KEEPS_OF_QUEUES if self.show.wants_queues else KEEPS,
            attached={"listeners" if self.show.wants_queues else "connections": "iter"},
            netns=tuple(sorted(self.filters.netns)),
        )


def _processes(rows: Records) -> set[tuple[int, int]]:
    return set(zip(rows["pid"].tolist(), rows["start"].tolist(), strict=True))


def _runs(pid: int) -> bool:
    """Whether /proc shows it, and not as one that has ended and is not waited for."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return "\nState:\tZ" not in status
