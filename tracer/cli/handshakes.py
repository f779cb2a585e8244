"""`tcptrace handshakes`: latency and outcome of every attempt to connect."""

from __future__ import annotations

from typing import Any

import click

from tracer.cli import options
from tracer.views.meanings import columns

KEYS = (
    *("role", "peer", "raddr", "rport", "laddr", "lport", "pid", "comm", "cgroup", "container"),
    *("netns", "family"),
)


@click.command(epilog=columns("handshakes"))
@options.filters
@options.ends
@options.by("role,peer", *KEYS)
@options.summary
def handshakes(**given: Any) -> None:
    """Latency and outcome of every attempt to connect, active and passive, and pending ones.

    With --failed or --slower, those attempts one by one.
    """
    from tracer.cli import values
    from tracer.cli.setup import Command
    from tracer.errors import UsageError
    from tracer.views.attempts import AttemptsView
    from tracer.views.handshakes import HandshakesView
    from tracer.views.keys import By

    command = Command(
        given, stream=True, kinds=frozenset({"handshake"}), snapshots=True, reconcile=True
    )
    words, bits = values.keys(given["by"], KEYS)
    words = words or ("peer",)
    by = By(("role", *(word for word in words if word != "role")), bits)
    if given["slower"] is None and not given["failed"]:
        show = HandshakesView(command.output, command.notices, command.look, by)
        command.run(show)
        return
    which = "--failed" if given["failed"] else "--slower"
    for name in ("by", "interval", "limit", "sort"):
        if given[name]:
            raise UsageError(
                f"{which} shows single attempts, which --{name} says nothing about",
                f"leave out --{name} or {which}",
            )
    show_each = AttemptsView(command.output, command.notices, command.look, color=command.color)
    command.run(show_each)
