"""`tcptrace listeners`: the queues of every listening socket."""

from __future__ import annotations

from typing import Any

import click

from tracer.cli import options
from tracer.views.meanings import columns

KEYS = ("listener", "pid", "comm", "cgroup", "container", "netns", "laddr", "lport")
DEFAULT = "each socket"


@click.command(epilog=columns("listeners"))
@options.filters
@options.by(DEFAULT, *KEYS)
@options.summary
def listeners(**given: Any) -> None:
    """Queues of listening sockets: depth, peak, limit, time at full, SYNs dropped by cause.

    With --by, sums over the sockets of a group; peaks and FULL are those of its worst one. A
    `listener` is an address and port: sockets that share it (SO_REUSEPORT) are one row.
    """
    from tracer.cli import values
    from tracer.cli.setup import Command
    from tracer.views.keys import By
    from tracer.views.listener_groups import ListenerGroupsView
    from tracer.views.listeners import ListenersView

    command = Command(
        given,
        stream=False,
        kinds=frozenset({"accept", "syn_drop"}),
        listen_stats=True,
        reconcile=True,
    )
    words, bits = values.keys(given["by"], KEYS)
    out = (command.output, command.notices, command.look)
    command.run(ListenerGroupsView(*out, By(words, bits)) if words else ListenersView(*out))
