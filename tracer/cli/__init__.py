"""The command line: `tcptrace [FILTERS] [OPTIONS] [COMMAND] [FILTERS] [OPTIONS] [-- PROGRAM …]`.

The only place that catches TracerError. Heavy modules are imported by the commands, when run.
"""

from __future__ import annotations

import signal

# Until a session has its own handlers, Ctrl-C just ends the process: the imports below are most
# of a start, and a traceback out of them helps nobody.
_on_interrupt = signal.signal(signal.SIGINT, signal.SIG_DFL)

import gc

# what is imported stays: to look through it for garbage, again and again, is a tenth of a start;
# Command.take_signals() enables it again
gc.disable()

import sys
import traceback
from typing import TYPE_CHECKING

import click

from tracer.cli.grammar import build
from tracer.errors import TracerError, UsageError

if TYPE_CHECKING:
    from tracer.cli.program import Program


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with its status."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: list[str]) -> int:
    """Run one command line; returns the exit status: with `-- PROGRAM`, the program's."""
    line, words = _split(arguments)
    if words is None:
        return _run(line, None)
    if not words:
        return fail(UsageError("no program stands after --", "such as: tcptrace -- curl URL"))
    from tracer.cli.program import Program

    ignored = _on_interrupt == signal.SIG_IGN
    program = Program(words, signal.SIG_IGN if ignored else signal.SIG_DFL)
    return program.finish(_run(line, program))


def _run(line: list[str], program: Program | None) -> int:
    try:
        status = build().main(line, prog_name="tcptrace", standalone_mode=False, obj=program)
    except TracerError as error:
        if _verbose(line):
            traceback.print_exc()
        return fail(error)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.Abort:
        return 130
    except click.ClickException as error:
        return fail(UsageError(error.format_message(), "see: tcptrace --help"))
    except BrokenPipeError:
        return 0
    except Exception as error:
        from tracer.views.output import PipeClosed, forget

        if isinstance(error, PipeClosed):
            # results may go to either
            forget(1, 2) if program else forget(1)
            return 0
        if _verbose(line):
            raise
        return fail(
            TracerError(f"{type(error).__name__}: {error}", "run it again with -v, report it")
        )
    return status if isinstance(status, int) else 0  # of click's Exit


def _split(arguments: list[str]) -> tuple[list[str], list[str] | None]:
    """At the first `--`, before anything is parsed: what follows is a program's."""
    if "--" not in arguments:
        return arguments, None
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def _verbose(arguments: list[str]) -> bool:
    return "-v" in arguments or "--verbose" in arguments


def fail(error: TracerError) -> int:
    """One line of cause, one of what to do; returns the exit status."""
    try:
        print(f"tcptrace: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
    except OSError:
        from tracer.views.output import forget

        forget(2)
    return error.exit_code
