"""`tcptrace events`: every transition and accept, a line each, in time order."""

from __future__ import annotations

from typing import Any

import click

from tracer.cli import options


@click.command()
@options.filters
@options.ends
@options.kind
@options.stack
@options.duration
@options.count
@options.delta
@options.shown
def events(**given: Any) -> None:
    """Show every event, a line each, in time order over all CPUs."""
    from tracer.cli import values
    from tracer.cli.setup import Command
    from tracer.views.events import EventView

    count = values.count(given["count"], "--count") if given["count"] is not None else None
    command = Command(given, most_answers=1000)
    show = EventView(
        command.output, command.notices, command.look, count, command.color, command.enough
    )
    command.run(show)
