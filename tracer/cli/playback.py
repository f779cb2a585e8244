"""A recording on the whole screen: played from its begin to whatever moment is asked for."""

from __future__ import annotations

import queue
from collections.abc import Callable

import numpy as np

from tracer.cli.setup import Command
from tracer.errors import TracerError, UsageError
from tracer.player import Player
from tracer.views.live.gather import LiveView
from tracer.views.live.narrow import Narrowing
from tracer.views.live.picture import Picture
from tracer.wire.recording import read


class Playback:
    """`run` shows the end, then every moment that `seek` asks for, until the command stops."""

    def __init__(self, command: Command) -> None:
        self._command = command
        self._path = str(command.given["source"])
        self._asked: queue.Queue[int] = queue.Queue()
        self._narrowing = Narrowing()
        self._whole_ns = self._queues_ns = 0
        self._view: LiveView

    def run(self, show: Callable[[Picture], None]) -> None:
        """Play; ends with the command. Errors: TracerError."""
        self._command.refuse_live_options()
        if self._path == "-":
            raise UsageError("the screen's keys come from standard input", "give a file to -r")
        self._whole_ns = self._play(show, None)
        while not self._command.limits.stop:
            try:
                span_ns = self._asked.get(timeout=0.1)
                self._play(show, span_ns if span_ns < self._whole_ns else None)
            except queue.Empty:
                continue

    def seek(self, span_ns: int) -> None:
        """Show it as it was so long after its begin."""
        self._asked.put(span_ns)

    def narrow(self, narrowing: Narrowing) -> Picture:
        """Show these sockets and events alone."""
        self._narrowing = narrowing
        return self._view.narrow(narrowing)

    def _play(self, show: Callable[[Picture], None], until_ns: int | None) -> int:
        """From the begin; returns how long it is, as far as it was played."""
        view = LiveView(show, True, self._whole_ns, self._queues_ns)
        view.narrow_to(self._narrowing)
        given = self._command.given
        player = Player(view, self._command.filters, bool(given.get("utc")))
        try:
            with open(self._path, "rb") as file:
                for frame in read(file, self._path):
                    if until_ns is not None and frame.tag == "TICK":
                        now_ns = int(np.frombuffer(frame.data, np.int64)[0])
                        if now_ns - player.head.started_ns > until_ns:
                            break
                    player.feed(frame)
        except OSError as error:
            raise TracerError(
                f"cannot read {self._path}: {error.strerror}", "give the path of a recording"
            ) from error
        self._view = view
        self._queues_ns = view.queues_ns
        if not player.ended:
            if not hasattr(player, "head"):
                player.cut(self._path)  # which says why there is nothing to show
            if until_ns is None:
                view.notice(f"{self._path} ends early: who made it was killed, or it was cut")
            view.hold(player.tally)
        return view.span_ns
