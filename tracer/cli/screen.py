"""Bare `tcptrace` on a terminal: the session, or a recording of one, on the whole screen."""

from __future__ import annotations

import codecs
import locale
import os
import shlex
from typing import Any

import click

from tracer.cli import options
from tracer.cli.asked import read_filters
from tracer.cli.setup import Command
from tracer.errors import TracerError, UsageError
from tracer.wire.filters import Filters

SMALLEST = (80, 24)
EVERY_S = 1.0


def is_for_screen(given: dict[str, Any]) -> bool:
    """Whether there is a terminal that can show it, and nothing asks for lines."""
    # Textual draws on standard error
    if given.get("program") or not all(os.isatty(fd) for fd in (0, 1, 2)):
        return False
    asks_for_lines = given.get("as_json") or given.get("form") != "table" or given.get("output")
    only_lines = ("columns", "no_header", "names", "delta", "since", "until")
    asks_for_lines = asks_for_lines or any(given.get(name) for name in only_lines)
    asks_for_ends = given.get("failed") or given.get("slower")  # which sockets that are there lack
    if asks_for_lines or asks_for_ends or given.get("count"):
        return False
    if os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        return False
    size = os.get_terminal_size()
    return size.columns >= SMALLEST[0] and size.lines >= SMALLEST[1]


def show(given: dict[str, Any]) -> None:
    """Trace until `q` or a limit; a summary stays in the scrollback."""
    from tracer.views.live import draw
    from tracer.views.live.app import LiveApp

    command = Command(
        given,
        stream=True,
        snapshots=True,
        listen_stats=True,
        reconcile=True,
        sparing=True,
        connections=True,
        later=frozenset({"syn_drop"}),
    )
    utf8 = codecs.lookup(locale.getpreferredencoding(False)).name == "utf-8"
    glyphs = draw.UTF8 if utf8 else draw.ASCII
    source = given.get("source")
    app = LiveApp(_recorded(command) if source is not None else _live(command), glyphs)
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)  # the terminal knows its size, and that it has changed
    app.run()
    app.wait()
    if app.error is not None:
        raise app.error
    if app.picture is not None:
        width = min(100, os.get_terminal_size().columns - 1)
        print("\n".join(draw.summary(app.picture, width)))


def _live(command: Command) -> Any:
    from tracer.views.live.app import Remote
    from tracer.views.live.gather import LiveView

    command.limits.interval = EVERY_S
    view = LiveView(lambda picture: take[0](picture))
    take: list[Any] = []

    def run(show: Any) -> None:
        take.append(show)
        command.notices.say = view.notice  # type: ignore[method-assign]
        command.run(view)
        if command.limits.stop == "SIGHUP":
            # everything is detached; whatever is still to be drawn would wait for ever
            os._exit(0)

    command.take_signals()
    return Remote(
        run=run,
        end=lambda: command.stop("quit"),
        narrow=view.narrow,
        read_filters=read_words,
        zero_peaks=view.zero_peaks,
        set_interval=lambda seconds: setattr(command.limits, "interval", seconds),
        doctor=_doctor,
        want=command.want,
    )


def _recorded(command: Command) -> Any:
    """A recording as it stood at its end; `seek` shows it as it stood before."""
    from tracer.cli.playback import Playback
    from tracer.views.live.app import Remote

    playback = Playback(command)
    command.take_signals().attached()
    return Remote(
        run=playback.run,
        end=lambda: command.stop("quit"),
        narrow=playback.narrow,
        read_filters=read_words,
        zero_peaks=lambda: None,
        set_interval=lambda seconds: None,
        doctor=_doctor,
        want=lambda subjects: None,
        seek=playback.seek,
        recorded=True,
    )


@click.command(add_help_option=False)
@options.filters
def _words(**given: Any) -> None:
    """What `f` understands: the filters of the command line."""


def read_words(text: str) -> Filters:
    """Filters as they are typed on the screen: `lport=443` or `--lport 443`.

    Errors: TracerError.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{text!r} cannot be read", str(error)) from None
    words = [word if word.startswith("-") or "=" not in word else f"--{word}" for word in words]
    try:
        with _words.make_context("f", words) as context:
            return read_filters(context.params)
    except click.UsageError as error:
        raise UsageError(
            error.format_message().rstrip("."), "such as: lport=443 state=close-wait"
        ) from None


def _doctor() -> str:
    from tracer.diagnosis import diagnose
    from tracer.views import doctor

    try:
        return "\n".join(doctor.lines(diagnose()))
    except TracerError as error:
        return f"{error.message}\n{error.hint}"
