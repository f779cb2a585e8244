"""Bare `tcptrace` on a terminal: the session on the whole screen."""

from __future__ import annotations

import codecs
import locale
import os
import sys
from typing import Any

from tracer.cli.setup import Command

SMALLEST = (80, 24)
EVERY_S = 1.0


def is_for_screen(given: dict[str, Any]) -> bool:
    """Whether there is a terminal that can show it, and nothing asks for lines."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    asks_for_lines = given.get("as_json") or given.get("form") != "table" or given.get("output")
    asks_for_lines = asks_for_lines or given.get("columns") or given.get("no_header")
    if asks_for_lines or given.get("count") or given.get("source"):
        return False
    if os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        return False
    size = os.get_terminal_size()
    return size.columns >= SMALLEST[0] and size.lines >= SMALLEST[1]


def show(given: dict[str, Any]) -> None:
    """Trace until `q` or a limit; a summary stays in the scrollback."""
    from tracer.views.live import draw
    from tracer.views.live.app import LiveApp
    from tracer.views.live.gather import LiveView

    command = Command(
        given,
        stream=True,
        snapshots=True,
        listen_stats=True,
        reconcile=True,
        sparing=True,
        later=frozenset({"syn_drop"}),
    )
    command.limits.interval = EVERY_S

    def trace(take: Any) -> None:
        view = LiveView(take)
        command.notices.say = view.notice  # type: ignore[method-assign]
        command.run(view)
        if command.limits.stop == "SIGHUP":
            # everything is detached; whatever is still to be drawn would wait for ever
            os._exit(0)

    command.take_signals()
    utf8 = codecs.lookup(locale.getpreferredencoding(False)).name == "utf-8"
    glyphs = draw.UTF8 if utf8 else draw.ASCII
    app = LiveApp(trace, lambda: command.stop("quit"), glyphs, command.want)
    app.run()
    if app.error is not None:
        raise app.error
    if app.picture is not None:
        print("\n".join(draw.summary(app.picture)))
