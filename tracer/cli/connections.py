"""`tcptrace connections`: those that ended, one row each; with --open what there is now."""

from __future__ import annotations

from typing import Any

import click

from tracer.cli import options
from tracer.views.meanings import columns


@click.command(epilog=columns("connections"))
@options.filters
@options.ends
@click.option("--open", "open_", is_flag=True, help="Those open now, with rates under -i.")
@click.option("--slowest", is_flag=True, help="The longest first, at the end of the session.")
@options.summary
def connections(open_: bool, slowest: bool, **given: Any) -> None:
    """Connections that ended, a row each as they end: how long, how much, who ended it and how.

    With --slowest, --sort, --limit or -i, a table of them at the end, or at each interval's.
    """
    if open_:
        _look(slowest, given)
    else:
        _trace(slowest, given)


def _trace(slowest: bool, given: dict[str, Any]) -> None:
    from tracer.cli.setup import Command
    from tracer.views.ended import EndedLines, EndedView

    command = Command(given, stream=True, kinds=frozenset({"connection"}))
    look = command.look
    if slowest or look.sort or look.limit is not None or command.limits.interval:
        command.run(EndedView(command.output, command.notices, look, slowest))
    else:
        command.run(EndedLines(command.output, command.notices, look, color=command.color))


def _look(slowest: bool, given: dict[str, Any]) -> None:
    from tracer.cli.looking import look, refuse_tracing
    from tracer.cli.setup import Command
    from tracer.cli.values import STATES
    from tracer.errors import UsageError
    from tracer.views.connections import OpenConnectionsView

    for name, value in (("slowest", slowest), ("failed", given["failed"])):
        if value:
            raise UsageError(
                f"--{name} is of connections that ended, --open of those that have not",
                f"leave out one of them (the oldest: --sort age), or see: connections --{name}",
            )
    if given["slower"]:
        raise UsageError(
            "--slower is of what has ended, --open of what has not", "leave out one of them"
        )
    refuse_tracing(given, "connections --open")
    command = Command(given)
    states = command.filters.states
    if STATES["LISTEN"] in states:
        raise UsageError(
            "--state listen: a listening socket is no connection", "see: tcptrace listeners"
        )
    rates = bool(command.limits.interval or command.limits.seconds)
    show = OpenConnectionsView(
        command.output,
        command.notices,
        command.look,
        rates=rates,
        timewaits=STATES["TIME_WAIT"] in states,
    )
    look(command, show)
