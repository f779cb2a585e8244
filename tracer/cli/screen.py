"""Bare `tcptrace` on a terminal: the session, or a recording of one, on the whole screen."""

from __future__ import annotations

import codecs
import locale
import os
import shlex
import signal
import threading
import time
from typing import Any

import click

from tracer.cli import options
from tracer.cli.asked import read_filters
from tracer.cli.keeping import Keeping
from tracer.cli.setup import Command
from tracer.errors import TracerError, UsageError
from tracer.wire.filters import Filters

SMALLEST = (80, 24)
EVERY_S = 1.0
END_S = 3.0


def is_for_screen(given: dict[str, Any]) -> bool:
    """Whether there is a terminal that can show it, and nothing asks for lines."""
    # Textual draws on standard error
    if given.get("program") or not all(os.isatty(fd) for fd in (0, 1, 2)):
        return False
    asks_for_lines = given.get("as_json") or given.get("form") != "table" or given.get("output")
    only_lines = ("columns", "no_header", "names", "delta", "since", "until", "stack")
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
    command = Command(
        given,
        stream=True,
        snapshots=True,
        listen_stats=True,
        reconcile=True,
        sparing=True,
        connections=True,
        sysctls=True,
        devices=True,
        packet_filters=True,
        later=frozenset({"syn_drop", "drop"}),
    )
    keeping = Keeping(given)
    remote = _recorded(command) if given.get("source") is not None else _live(command, keeping)
    from tracer.views.live import draw
    from tracer.views.live.app import LiveApp

    utf8 = codecs.lookup(locale.getpreferredencoding(False)).name == "utf-8"
    app = LiveApp(remote, draw.UTF8 if utf8 else draw.ASCII)
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)  # the terminal knows its size, and that it has changed
    app.run()
    app.wait()
    keeping.end()
    if app.error is not None:
        raise app.error
    if app.picture is not None:
        width = min(100, os.get_terminal_size().columns - 1)
        print("\n".join([*draw.summary(app.picture, width), *keeping.lines]))


def _live(command: Command, keeping: Keeping) -> Any:
    from tracer.views.live.gather import LiveView

    command.limits.interval = EVERY_S
    command.take_signals()
    drawn = Drawn()
    view = LiveView(drawn.show)
    command.notices.say = keeping.told = view.notice  # type: ignore[method-assign]
    tracing = Tracing(lambda: command.run(view))
    command.loading = tracing.give_way
    # what draws takes as long to import as the kernel to check the programs: side by side, but
    # not before, as Python runs one of the two at a time
    tracing.begin()
    from tracer.views.live.app import Remote

    def run(show: Any) -> None:
        drawn.begin(show)
        tracing.result()
        if command.limits.stop == "SIGHUP":
            keeping.end()
            # everything is detached; whatever is still to be drawn would wait for ever
            os._exit(0)

    def want(subjects: frozenset[str]) -> None:
        view.want(subjects)
        command.want(subjects)

    def hang_up() -> None:
        command.stop("SIGHUP")
        # a picture that nobody draws holds the session up; the kernel detaches what is left
        time.sleep(END_S)
        keeping.end()
        os._exit(0)

    return Remote(
        run=run,
        end=lambda: command.stop("quit"),
        hang_up=hang_up,
        narrow=view.narrow,
        read_filters=read_words,
        zero_peaks=view.zero_peaks,
        set_interval=lambda seconds: setattr(command.limits, "interval", seconds),
        doctor=_doctor,
        explain=_explain,
        want=want,
        price=command.price,
        tell=view.notice,
        record=keeping.turn,
        recording=lambda: keeping.path,
    )


class Drawn:
    """Pictures wait until there is a screen."""

    def __init__(self) -> None:
        self._there = threading.Event()
        self._take: Any = None

    def begin(self, take: Any) -> None:
        """There is one: `take` draws."""
        self._take = take
        self._there.set()

    def show(self, picture: Any) -> None:
        """Draw it."""
        self._there.wait()
        self._take(picture)


class Tracing:
    """A session on a thread of its own; it does not keep a program from ending."""

    def __init__(self, work: Any) -> None:
        self._work = work
        self._error: BaseException | None = None
        self._way = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def begin(self) -> None:
        """Let it run, alone until it gives way, ends or fails."""
        self._thread.start()
        self._way.wait()

    def give_way(self) -> None:
        """It has to wait for the kernel from here on."""
        self._way.set()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._error = error
        finally:
            self._way.set()

    def result(self) -> None:
        """Wait for its end. Errors: those of the session."""
        self._thread.join()
        if self._error is not None:
            raise self._error


def _recorded(command: Command) -> Any:
    """A recording as it stood at its end; `seek` shows it as it stood before."""
    from tracer.cli.playback import Playback
    from tracer.views.live.app import Remote

    playback = Playback(command)
    command.take_signals().attached()
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        # nothing is attached; whatever is still to be drawn would wait for ever
        signal.signal(signal.SIGHUP, lambda number, frame: os._exit(0))
    return Remote(
        run=playback.run,
        end=lambda: command.stop("quit"),
        hang_up=lambda: os._exit(0),
        narrow=playback.narrow,
        read_filters=read_words,
        zero_peaks=lambda: None,
        set_interval=lambda seconds: None,
        doctor=_doctor,
        explain=_explain,
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


def _explain(name: str) -> str:
    from tracer.cli.explain import told

    return "\n".join(told(name, SMALLEST[0] - 4))


def _doctor() -> str:
    from tracer.diagnosis import diagnose
    from tracer.views import doctor

    try:
        return "\n".join(doctor.lines(diagnose()))
    except TracerError as error:
        return f"{error.message}\n{error.hint}"
