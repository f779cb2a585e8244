"""The terminal as Textual has it, but for what becomes of it when it or the process goes away."""

from __future__ import annotations

import select
import threading
from typing import Any

from textual.drivers.linux_driver import LinuxDriver

LOOK_MS = 1000  # not every terminal that hangs up wakes those that wait for nothing else


class Terminal(LinuxDriver):
    """Goes on after SIGSTOP as after Ctrl-Z; tells the app when it has hung up.

    SIGHUP alone does not: it may be ignored (nohup), or go to another group. Textual would read the
    end of the file for ever.
    """

    def __init__(self, app: Any, **options: Any) -> None:
        super().__init__(app, **options)
        self._watching = False

    def start_application_mode(self) -> None:
        """Begin to draw, and to watch."""
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if not self._watching:
            self._watching = True
            threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        poll = select.poll()
        poll.register(self.fileno, 0)  # a hang-up and errors are told in any case
        while not poll.poll(LOOK_MS):
            pass
        self._app.hung_up()  # type: ignore[attr-defined]

    def _sigcont_application(self, *_: object) -> None:
        # Textual begins anew whatever stopped it, and SIGSTOP cannot be handled: its threads would
        # run twice, and the first ones never end
        if not self._must_signal_resume:
            self.suspend_application_mode()
            self._must_signal_resume = True
        super()._sigcont_application()
