"""The terminal as Textual has it, but for what becomes of it when the process is stopped."""

from __future__ import annotations

from textual.drivers.linux_driver import LinuxDriver


class Terminal(LinuxDriver):
    """Goes on after SIGSTOP as after Ctrl-Z."""

    def _sigcont_application(self, *_: object) -> None:
        # Textual begins anew whatever stopped it, and SIGSTOP cannot be handled: its threads would
        # run twice, and the first ones never end
        if not self._must_signal_resume:
            self.suspend_application_mode()
            self._must_signal_resume = True
        super()._sigcont_application()
