"""`R` on the screen: a session that is kept in a file, beside the one that is shown.

It is one of its own, with programs of its own: what it keeps begins with the key, and adds up like
any recording.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tracer.cli.setup import Command
from tracer.errors import TracerError
from tracer.views.recorder import RecordView

MOST_BYTES = 20 << 30  # as of `record`
END_S = 10.0
# of the screen's own: when it ends, and what it tells
NOT_KEPT = ("duration", "interval", "ready_file", "kernel_cost", "limit", "sort", "program")


class Keeping:
    """Begins and ends recordings; `told` is called with what there is to say, from any thread."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._given = {name: given[name] for name in given if name not in NOT_KEPT}
        self.told: Callable[[str], None] = lambda text: None
        self._command: Command | None = None
        self._thread: threading.Thread | None = None
        self.lines: list[str] = []  # what the last one came to

    @property
    def path(self) -> str:
        """Where what happens is kept; empty while it is not."""
        running = self._thread is not None and self._thread.is_alive()
        return str(self._given["keep"]) if running else ""

    def turn(self) -> str:
        """Begin, or end what was begun; returns what there is to say."""
        kept = self._given.get("keep")
        if kept and self._command is None:
            return f"-w records it already: {kept}"
        if self._command is not None and self.path:
            self._command.stop("quit")
            return f"{self.path} comes to its end"
        name = time.strftime("tcptrace-%Y%m%d-%H%M%S.tcpt")
        self._given["keep"] = name
        self.lines = []
        command = self._command = Command(self._given, snapshots=True, without_signals=True)
        command.limits.most_bytes = MOST_BYTES
        command.listen_stats = "syn_drop" in command.filters.kinds
        command.notices.say = self.lines.append  # type: ignore[assignment, method-assign]
        command.notices.shows_progress = False
        self._thread = threading.Thread(target=self._run, args=(command,), daemon=True)
        self._thread.start()
        return f"recording to {name} in {Path.cwd()} (R ends it)"

    def _run(self, command: Command) -> None:
        try:
            command.run(RecordView(command.notices, self._given["keep"]))
        except TracerError as error:
            self.lines.append(f"{error.message}: {error.hint}")
        except Exception as error:
            self.lines.append(f"{type(error).__name__}: {error}")
        command.let_go_of_signals()
        self.told("; ".join(self.lines[-2:]))

    def end(self) -> None:
        """End what was begun, and wait for it."""
        if self._command is not None and self._thread is not None:
            self._command.stop("quit")
            self._thread.join(END_S)
            if self._thread.is_alive():
                self.lines.append(f"{self.path} is cut short: it has not ended in {END_S:.0f} s")
