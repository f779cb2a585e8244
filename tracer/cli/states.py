"""`tcptrace states`: sockets by state and process, transitions, time in each state."""

from __future__ import annotations

from typing import Any

import click

from tracer.cli import options
from tracer.views.meanings import columns


@click.command(epilog=columns("states"))
@options.filters
@options.summary
def states(**given: Any) -> None:
    """Sockets by state and process now, transitions, and the time spent in each state."""
    from tracer.cli.setup import Command
    from tracer.views.states import StatesView

    command = Command(
        given,
        stream=False,
        count_by_owner=True,
        snapshots=True,
        kinds=frozenset({"state", "accept"}),
    )
    show = StatesView(command.output, command.notices, command.look)
    command.run(show)
