"""`tcptrace connections --open`: what there is now, one row a connection."""

from __future__ import annotations

from typing import Any

import click

from tracer.cli import options
from tracer.views.meanings import columns


@click.command(epilog=columns("connections"))
@options.filters
@click.option("--open", "open_", is_flag=True, help="Those open now, with rates under -i.")
@options.summary
def connections(open_: bool, **given: Any) -> None:
    """Open connections: owner, age, queues, bytes, round trips; rates under -i."""
    from tracer.cli.looking import look, refuse_tracing
    from tracer.cli.setup import Command
    from tracer.cli.values import STATES
    from tracer.errors import UsageError
    from tracer.views.connections import OpenConnectionsView

    if not open_:
        raise UsageError(
            "connections that ended cannot be listed by this version",
            "those open now: tcptrace connections --open; ends as they come: tcptrace events"
            " --state close",
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
