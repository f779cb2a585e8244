"""How the line is read: filters and options may stand before or after the command.

click would give what stands before a command to the group, and lose it; here the command's name is
found first and the rest is read as one line of that command.
"""

from __future__ import annotations

import difflib
import platform
from pathlib import Path
from typing import Any

import click

from tracer.cli import options
from tracer.cli.accepts import accepts
from tracer.cli.advise import advise
from tracer.cli.connections import connections
from tracer.cli.counters import counters
from tracer.cli.doctor import doctor
from tracer.cli.drops import drops
from tracer.cli.events import events
from tracer.cli.explain import explain
from tracer.cli.handshakes import handshakes
from tracer.cli.listeners import listeners
from tracer.cli.ports import ports
from tracer.cli.record import record
from tracer.cli.resets import resets
from tracer.cli.retransmits import retransmits
from tracer.cli.schema import schema
from tracer.cli.states import states
from tracer.cli.top import top
from tracer.cli.values import nearest
from tracer.errors import UsageError

VERSION = "0.1.0"
BARE = "live"  # what runs without a command's name
PROGRAM = "[-- PROGRAM ARGS…]"
HELP = """Show what TCP connections do: states, owners, accepts, live and correct.

Without a command all of it on one screen, the worst first (`?` lists its keys); into a pipe, or
where the terminal cannot show that, events line by line. Ctrl-C ends any command, and it shows what
it has gathered.
"""
EPILOG = """Numbers take lists (--port 80,443). See the README for examples.

-- PROGRAM ARGS… runs a program and traces it and all it starts, to the last of them, beside the
processes of --pid, if any are given. It runs as whoever called sudo and keeps stdin, stdout and
stderr: results go to stderr, or to -o FILE (-o - is stdout). -d and -c end the tracing, not the
program. The exit status is the program's: 126 not executable, 127 not found, 128+n by signal n.
Signals are passed on to it; Ctrl-C twice ends tcptrace at once.
"""


class Line(click.Group):
    """A group whose commands take every option, wherever it stands."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Bring the command's name to the front."""
        at = self._find_command(args)
        if at is None:
            return super().parse_args(ctx, [BARE, *args])
        name = args[at]
        rest = args[:at] + args[at + 1 :]
        if name == "help":
            return super().parse_args(ctx, [*rest[:1], "--help"])
        if name not in self.commands or name == BARE:
            raise _unknown(name, [n for n in self.commands if n != BARE])
        return super().parse_args(ctx, [name, *rest])

    def _find_command(self, args: list[str]) -> int | None:
        takes = self._options()
        skip = False
        for i, arg in enumerate(args):
            if skip:
                skip = False
                continue
            if not arg.startswith("-") or arg == "-":
                return i
            name = arg.split("=")[0]
            if not arg.startswith("--") and len(arg) > 2:
                # a bundle, -qj, or a value joined on, -d5: the first that takes one ends it
                for j, letter in enumerate(arg[1:], 2):
                    if takes.get(f"-{letter}"):
                        skip = j == len(arg)
                        break
            elif name not in takes:
                raise _no_option(name, list(takes))
            else:
                skip = takes[name] and "=" not in arg
        return None

    def _options(self) -> dict[str, bool]:
        """Every option of every command, and whether it takes a value."""
        found = {"-h": False, "--help": False, "-V": False, "--version": False}
        for command in self.commands.values():
            for parameter in command.params:
                if isinstance(parameter, click.Option):
                    for name in (*parameter.opts, *parameter.secondary_opts):
                        found[name] = not parameter.is_flag
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each with all that its help says first."""
        found = {name: one for name, one in self.commands.items() if not one.hidden}
        rows = [
            (name, " ".join((found[name].help or "").split("\n\n")[0].split()))
            for name in sorted(found)
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Commands first, then filters and options, which all commands share."""
        self.format_commands(ctx, formatter)
        rows = []
        for parameter in self.commands[BARE].get_params(ctx):
            row = parameter.get_help_record(ctx)
            if row:
                rows.append(row)
        with formatter.section("Filters and options, before or after the command"):
            formatter.write_dl(rows)


def _unknown(name: str, known: list[str]) -> UsageError:
    if name.replace(",", "").isdecimal():
        return UsageError(f"{name!r} is no command", f"did you mean --pid {name}?")
    if name.removesuffix(".gz").endswith((".pcap", ".pcapng", ".cap", ".dmp")):
        return UsageError(
            f"{name!r} looks like a packet capture, which this tcptrace does not read",
            "the pcap analyser of the same name is Debian's package tcptrace",
        )
    return UsageError(f"{name!r} is no command", nearest(name, known))


def _no_option(name: str, known: list[str]) -> UsageError:
    close = difflib.get_close_matches(name, sorted(known), 1, 0.6)
    hint = f"did you mean {close[0]}?" if close else "see: tcptrace --help"
    return UsageError(f"no such option: {name}", hint)


class Strict(click.Command):
    """A command that names its own the moment it meets an option it cannot use."""

    def _traces(self) -> bool:
        return any(parameter.name == "pid" for parameter in self.params)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """What may follow it on the line."""
        program = [PROGRAM] if self._traces() else []
        return [*super().collect_usage_pieces(ctx), *program]

    def invoke(self, ctx: click.Context) -> Any:
        """Run it, with the program that is to be traced, if there is one. Errors: UsageError."""
        if ctx.obj is not None:
            if not self._traces():
                told = f"`{ctx.obj.describe()}`"
                raise UsageError(
                    f"tcptrace {ctx.info_name} cannot use {told}: it traces nothing",
                    f"see: tcptrace {ctx.info_name} --help",
                )
            ctx.params["program"] = ctx.obj
        return super().invoke(ctx)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own options, and those every command has."""
        return [*super().get_params(ctx), _version()]

    def get_help(self, ctx: click.Context) -> str:
        """Help for this command; for what runs without a name, help for all."""
        if ctx.info_name == BARE and ctx.parent:
            return ctx.parent.get_help()
        return super().get_help(ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options. Errors: UsageError."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            parent = ctx.parent.command if ctx.parent else None
            known = parent._options() if isinstance(parent, Line) else {}
            who = "tcptrace" if ctx.info_name == BARE else f"tcptrace {ctx.info_name}"
            own = [name for p in self.params for name in p.opts if name.startswith("-")]
            if error.option_name in known:
                raise UsageError(
                    f"{who} cannot use {error.option_name}", f"see: {who} --help"
                ) from None
            raise _no_option(error.option_name, own) from None
        except click.UsageError as error:
            raise UsageError(error.format_message().rstrip("."), "see: tcptrace --help") from None


def _show_version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if not value:
        return
    from tracer.kernel.libbpf import version

    try:
        libbpf = version()
    except Exception as error:
        libbpf = f"not usable ({error})"
    where = Path(__file__).resolve().parent.parent
    click.echo(f"tcptrace {VERSION} ({where}), Linux {platform.release()}, libbpf {libbpf}")
    ctx.exit()


def _version() -> click.Option:
    return click.Option(
        ["-V", "--version"],
        is_flag=True,
        callback=_show_version,
        expose_value=False,
        is_eager=True,
        help="Version, path, kernel and libbpf.",
    )


def _live(**given: Any) -> None:
    """The whole screen where there is one, else event lines."""
    from tracer.cli.screen import is_for_screen, show

    if is_for_screen(given):
        show(given)
    elif events.callback:
        events.callback(**given)


def build() -> Line:
    """The whole command line."""
    settings: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
    line = Line(
        "tcptrace",
        help=HELP,
        context_settings=settings,
        epilog=EPILOG,
        subcommand_metavar=f"[COMMAND] [FILTERS] [OPTIONS] {PROGRAM}",
        options_metavar="[FILTERS] [OPTIONS]",
        params=[_version()],
    )
    live = click.Command(BARE, params=list(events.params), callback=_live, hidden=True)
    for command in (
        live,
        events,
        states,
        accepts,
        handshakes,
        listeners,
        ports,
        advise,
        connections,
        drops,
        top,
        counters,
        resets,
        retransmits,
        record,
        explain,
        schema,
        doctor,
    ):
        command.__class__ = Strict
        line.add_command(command)
    return line


__all__ = ["BARE", "VERSION", "build", "options"]
