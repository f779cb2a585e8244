"""`tcptrace states`: sockets by state and process, transitions, time in each state."""

from __future__ import annotations

from typing import Any

import click

from tracer.cli import options
from tracer.views.meanings import columns

KEYS = (
    *("pid", "comm", "cgroup", "container", "netns", "laddr", "lport", "raddr", "rport"),
    *("peer", "family"),
)


@click.command(epilog=columns("states"))
@options.filters
@options.ends
@options.by("pid", *KEYS)
@click.option("--now", is_flag=True, help="Sockets alone, as they are now; ends at once.")
@options.summary
def states(now: bool, **given: Any) -> None:
    """Sockets by state and process now, transitions, and the time spent in each state."""
    if now:
        from tracer.cli import early

        source = early.begin()
    from tracer.cli import values
    from tracer.cli.setup import Command
    from tracer.views.keys import By
    from tracer.views.states import StatesView

    words, bits = values.keys(given["by"], KEYS)
    by = By(words, bits) if words not in ((), ("pid",)) else None
    streams = by is not None and by.needs_records
    if now:
        from tracer.cli.looking import look, refuse_tracing
        from tracer.views.states_now import StatesNowView

        refuse_tracing(given, "states --now", "duration", "interval", "failed", "slower")
        command = Command(given)
        look(command, StatesNowView(command.output, command.notices, command.look, by), source)
        return
    command = Command(
        given,
        stream=streams,
        count_by_owner=not streams,
        snapshots=True,
        kinds=frozenset({"state", "accept"}),
        reconcile=True,
    )
    show = StatesView(command.output, command.notices, command.look, by, command.filters)
    command.run(show)
