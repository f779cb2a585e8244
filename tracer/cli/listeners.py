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
@click.option("--now", is_flag=True, help="Queues alone, as they stand now; ends at once.")
@options.by(DEFAULT, *KEYS)
@options.summary
def listeners(now: bool, **given: Any) -> None:
    """Queues of listening sockets: depth, peak, limit, time at full, SYNs dropped by cause.

    With --by, sums over the sockets of a group; peaks and FULL are those of its worst one. A
    `listener` is an address and port: sockets that share it (SO_REUSEPORT) are one row.
    """
    if now:
        from tracer.cli import early

        source = early.begin(queues=True)
    from tracer.cli import values
    from tracer.cli.setup import Command
    from tracer.views.keys import By

    words, bits = values.keys(given["by"], KEYS)
    if now:
        from tracer.cli.looking import look, refuse_tracing
        from tracer.views.listeners_now import ListenerGroupsNowView, ListenersNowView

        refuse_tracing(given, "listeners --now", "duration", "interval")
        command = Command(given)
        out = (command.output, command.notices, command.look)
        by = By(words, bits)
        show = ListenerGroupsNowView(*out, by) if words else ListenersNowView(*out)
        look(command, show, source)
        return
    from tracer.views.listener_groups import ListenerGroupsView
    from tracer.views.listeners import ListenersView

    command = Command(
        given,
        stream=False,
        kinds=frozenset({"accept", "syn_drop"}),
        listen_stats=True,
        reconcile=True,
    )
    out = (command.output, command.notices, command.look)
    command.run(ListenerGroupsView(*out, By(words, bits)) if words else ListenersView(*out))
