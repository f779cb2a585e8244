"""`tcptrace listeners`: the queues of every listening socket."""

from __future__ import annotations

from typing import Any

import click

from tracer.cli import options
from tracer.views.meanings import columns


@click.command(epilog=columns("listeners"))
@options.filters
@options.summary
def listeners(**given: Any) -> None:
    """Queues of listening sockets: depth, peak, limit, time at full, SYNs dropped by cause."""
    from tracer.cli.setup import Command
    from tracer.views.listeners import ListenersView

    command = Command(
        given,
        stream=False,
        kinds=frozenset({"accept", "syn_drop"}),
        listen_stats=True,
        reconcile=True,
    )
    command.run(ListenersView(command.output, command.notices, command.look))
