"""From options to a session: what every tracing command does before and after its own part."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tracer.cli import values
from tracer.cli.asked import read_filters
from tracer.cli.means import read_attach, read_backend, read_pages, read_sockets, read_transport
from tracer.cli.moments import moment
from tracer.cli.program import Program
from tracer.cli.signals import NoSignals, PassedSignals, Signals
from tracer.errors import TracerError, UsageError
from tracer.kernel.settings import Settings
from tracer.limits import Limits
from tracer.player import Player
from tracer.views.base import View
from tracer.views.look import Look
from tracer.views.output import Notices, Output
from tracer.wire.recording import Writer
from tracer.wire.window import Moment, Window

if TYPE_CHECKING:
    from tracer.session import Replay

FORMS = ("table", "json", "csv", "md")
# how to trace, and where to keep it
TRACING = (
    *("keep", "transport", "buffer_pages", "sockets", "attach", "backend"),
    *("no_accept_hook", "kernel_cost"),
)
# of no use with a recording: what is in it was decided when it was made
LIVE_ONLY = ("duration", "interval", "ready_file", "program", *TRACING)


def read_form(given: dict[str, Any]) -> str:
    """The output's form. Errors: UsageError."""
    form: str = given.get("form", "table")
    if form not in FORMS:
        raise UsageError(f"--format {form!r} is not known", values.nearest(form, list(FORMS)))
    if given.get("as_json") and form not in ("table", "json"):
        raise UsageError(f"--json and --format {form} ask for two things", "give one of them")
    return "json" if given.get("as_json") else form


def read_look(given: dict[str, Any], form: str) -> Look:
    """How results are to look. Errors: UsageError."""
    limit, columns = given.get("limit"), given.get("columns")
    if given.get("names") and given.get("numeric"):
        raise UsageError("--names and --numeric contradict each other", "give one of them")
    return Look(
        form=form,
        limit=values.limit(limit) if limit is not None else None,
        sort=given.get("sort") or "",
        columns=values.columns(columns) if columns is not None else (),
        header=not given.get("no_header"),
        names=bool(given.get("names")),
        delta=bool(given.get("delta")),
        stacks=bool(given.get("stack")),
    )


def read_part(given: dict[str, Any]) -> tuple[Moment | None, Moment | None]:
    """Which part of a recording to show. Errors: UsageError."""
    texts = {name: given.get(name) for name in ("since", "until")}
    for name, text in texts.items():
        if text is not None and given.get("source") is None:
            raise UsageError(
                f"--{name} chooses a part of a recording, and this session is live",
                f"give a recording with -r FILE, or leave --{name} out",
            )
    return tuple(  # type: ignore[return-value]
        moment(text, f"--{name}") if text is not None else None for name, text in texts.items()
    )


def read_color(given: dict[str, Any], output: Output) -> bool:
    """Whether to use colours. Errors: UsageError."""
    when = given.get("color", "auto")
    if when not in ("auto", "always", "never"):
        raise UsageError(f"--color {when!r} is not known", "one of: auto, always, never")
    if when == "auto":
        return output.is_terminal and "NO_COLOR" not in os.environ
    return bool(when == "always")


@dataclass
class Command:
    """One run of a tracing command, live or from a recording."""

    given: dict[str, Any]
    stream: bool = True
    count_by_owner: bool = False
    snapshots: bool = False
    kinds: frozenset[str] = Settings.kinds
    listen_stats: bool = False
    reconcile: bool = False
    connections: bool = False
    sparing: bool = False
    listens: bool = False
    most_answers: int = 0
    count_resets: bool = False
    sysctls: bool = False
    devices: bool = False
    packet_filters: bool = False
    descriptors: bool = False
    makes: bool = False  # --stack is of where sockets are made, not of dropped packets
    later: frozenset[str] = frozenset()
    limits: Limits = field(default_factory=Limits)
    without_signals: bool = False  # they are another session's
    loading: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        given = self.given
        self._signals: Signals | PassedSignals | NoSignals | None = None
        self.filters = read_filters(given)
        self.form = read_form(given)
        self.pages = read_pages(given)
        self.transport = read_transport(given)
        self.sockets = read_sockets(given)
        for name, attribute in (("duration", "seconds"), ("interval", "interval")):
            if given.get(name) is not None:
                setattr(self.limits, attribute, values.duration(given[name], f"--{name}"))
        self.limits.priced = bool(given.get("kernel_cost"))
        self.attach = read_attach(given)
        self.by_bcc = read_backend(given)
        self.look = read_look(given, self.form)
        self.since, self.until = read_part(given)
        if given.get("keep") == "-" and "form" in given:
            raise UsageError(
                "-w - would mix a recording with the results",
                "give a FILE; to standard output alone: tcptrace record -",
            )
        self._check_stack()
        self.notices = Notices(bool(given.get("quiet")))
        self.program: Program | None = given.get("program")
        if self.program and given.get("keep") == "-":
            raise UsageError(
                "a recording and the program would both write to standard output",
                "give a FILE: tcptrace record FILE -- PROGRAM",
            )
        path = given.get("output")
        # the program's own output stays as it is
        fd = 2 if self.program and path is None else 1
        file = Path(path) if path and path != "-" else None
        self.output = Output(file, bool(given.get("force")), fd)
        self.notices.shows_progress &= self.program is None
        self.color = read_color(given, self.output)

    def _check_stack(self) -> None:
        if self.makes:
            return
        kinds = self.filters.kinds
        if self.given.get("source") is None:
            kinds = (kinds or self.kinds) - self.filters.excluded.kinds
        if self.given.get("stack") and kinds and "drop" not in kinds:
            raise UsageError(
                "--stack is of dropped packets, and no drop records are asked for",
                "add --kind drop, or sum them up: tcptrace drops --stack",
            )

    def take_signals(self) -> Signals | PassedSignals | NoSignals:
        """Handle signals from here on: to be called by the main thread first."""
        if self._signals is None:
            if self.without_signals:  # beside another one, which has frozen what is for good
                self._signals = NoSignals()
                return self._signals
            gc.freeze()  # all that was imported: it is looked through no more
            gc.enable()
            if self.program:
                self._signals = PassedSignals(self.limits, self.program)
            else:
                self._signals = Signals(self.limits)
        return self._signals

    def let_go_of_signals(self) -> None:
        """After the session of one `without_signals`: nothing of it stays open."""
        if isinstance(self._signals, NoSignals):
            self._signals.close()
            self._signals = None

    def stop(self, why: str) -> None:
        """End the session, from whatever thread."""
        self.limits.stop = self.limits.stop or why
        if self._signals is not None:
            self._signals.wake()

    def want(self, subjects: frozenset[str]) -> None:
        """Attach these, of those that `later` names, and let go of others; from whatever thread."""
        new = subjects - self.limits.wanted
        self.limits.wanted = subjects
        # what is only looked at needs no time to be attached
        self.limits.interim = self.limits.interim or bool(new - self.later)
        if self._signals is not None:
            self._signals.wake()

    def price(self) -> bool:
        """Have the kernel measure what the programs take, or no more: from whatever thread."""
        self.limits.priced = not self.limits.priced
        if self._signals is not None:
            self._signals.wake()
        return self.limits.priced

    def enough(self) -> None:
        """End as after a duration: --count is reached."""
        self.limits.stop = self.limits.stop or "count"

    def run(self, show: View) -> Player:
        """Trace, or replay with -r, until the end."""
        source = self.given.get("source")
        try:
            return self._live(show) if source is None else self._replay(source, show)
        finally:
            self.output.close()

    def refuse_live_options(self) -> None:
        """Errors: UsageError for what a recording has decided already."""
        for option in LIVE_ONLY:
            if self.given.get(option):
                name = "--" + option.replace("_", "-")
                name = "-- PROGRAM" if option == "program" else name
                raise UsageError(f"{name} has no use with a recording", f"leave {name} out")

    def replay(self, source: str, wake_fd: int = -1) -> Replay:
        """The recording, and what of it is asked for. Errors: UsageError."""
        from tracer.session import Replay

        utc = bool(self.given.get("utc"))
        if source == "-" and sys.stdin.isatty():
            raise UsageError(
                "-r - reads a recording from a pipe, and standard input is a terminal",
                "such as: tcptrace record - | tcptrace -r - states",
            )
        window = Window(self.since, self.until, utc) if self.since or self.until else None
        return Replay(source, self.filters, utc, window, wake_fd)

    def _replay(self, source: str, show: View) -> Player:
        self.refuse_live_options()
        signals = self.take_signals()
        signals.attached()
        try:
            player = self.replay(source, signals.fd).show(show, self.limits)
        except OSError as error:
            raise TracerError(
                f"cannot read {source}: {error.strerror}", "give the path of a recording"
            ) from error
        self.output.open()
        return player

    def _fork_program(self, program: Program) -> None:
        program.fork()
        pids = (*self.filters.pids, program.pid)
        self.filters = replace(self.filters, pids=pids, program=program.describe())

    def _live(self, show: View) -> Player:
        from tracer.kernel.memory import give_back_at_once
        from tracer.session import Session

        given, program = self.given, self.program
        if not given.get("keep"):  # what records hands on what it reads, and as fast as it goes
            give_back_at_once()
        if program:
            self._fork_program(program)
        signals = self.take_signals()
        settings = Settings(
            filters=self.filters,
            stream=self.stream,
            count_by_owner=self.count_by_owner,
            snapshots=self.snapshots,
            kinds=self.kinds,
            later=self.later,
            listen_stats=self.listen_stats,
            connections=self.connections,
            sparing=self.sparing,
            listens=self.listens,
            # what is kept is summed up later
            most_answers=0 if given.get("keep") else self.most_answers,
            count_resets=self.count_resets or bool(given.get("keep")),
            sysctls=self.sysctls or (self.snapshots and bool(given.get("keep"))),
            devices=self.devices,
            packet_filters=self.packet_filters,
            stacks=bool(given.get("stack")) and not self.makes,
            made=bool(given.get("stack")) and self.makes,
            descriptors=self.descriptors,
            reconcile=self.reconcile or bool(given.get("keep")),
            tell_forks=self.stream and bool(given.get("keep")),
            keep_uids=bool(given.get("keep")),
            attach=self.attach,
            by_bcc=self.by_bcc,
            accept_hook=not given.get("no_accept_hook"),
            buffer_pages=self.pages,
            transport=self.transport,
            kernel_cost=bool(given.get("kernel_cost")),
            sockets=self.sockets,
        )
        if self.by_bcc:
            from tracer.kernel.bcc_ladder import narrow

            settings, off = narrow(settings)
            for text in off:
                self.notices.say(text)
        keep, ready_file = given.get("keep"), given.get("ready_file")
        force = bool(given.get("force"))

        def ready() -> None:
            signals.attached()
            if program:
                program.check()
            # no file is made, or emptied, for a session that could not start
            self.output.open()
            if keep is not None:
                session.record = Writer(None if keep == "-" else Path(keep), force)
            if ready_file is not None:
                touch(ready_file)
            if program:
                program.start(signals.wake)

        session = Session(
            settings,
            show,
            utc=bool(given.get("utc")),
            loading=self.loading,
            ready=ready,
            notice=self.notices.say,
            progress=self.notices.progress,
            shows_progress=self.notices.shows_progress,
            wake_fd=signals.fd,
            limits=self.limits,
            program_ended=(lambda: program.has_ended) if program else None,
        )
        try:
            player = session.run()
        except BaseException:
            if session.record:
                with suppress(OSError):
                    session.record.close()
            raise
        if session.record:
            _finish(session.record)
        if program and not program.has_ended:
            self.notices.say(
                f"tracing has ended; `{program.describe()}` goes on, and is waited for"
            )
        return player


def touch(path: str) -> None:
    """Make --ready-file. Errors: TracerError."""
    try:
        Path(path).touch()
    except OSError as error:
        raise TracerError(
            f"cannot make --ready-file {path}: {error.strerror}", "give another place"
        ) from error


def _finish(record: Writer) -> None:
    try:
        record.close()
    except OSError as error:
        raise TracerError(
            f"cannot write to {record.name}: {error.strerror}",
            "what was written before can be shown: give more room or another place",
        ) from error
