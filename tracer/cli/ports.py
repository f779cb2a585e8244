"""`tcptrace ports`: ephemeral ports, how many are left and for how long."""

from __future__ import annotations

from typing import Any

import click

from tracer.cli import options
from tracer.errors import UsageError
from tracer.views.meanings import columns


@click.command(epilog=columns("ports"))
@options.filters
@click.option("--now", is_flag=True, help="Ports alone, as they are now; ends at once.")
@options.summary
def ports(now: bool, **given: Any) -> None:
    """Ephemeral ports by source and destination: in use, in TIME_WAIT, free, and for how long.

    A row is a source address, a destination and its port: each has the whole range for itself.
    Filters choose rows by who goes there; a row counts all of its ports, whoever has them. Ports
    that a program chose itself with bind() are told where they are used alone, though connect()
    chooses none of them.
    """
    if now:
        from tracer.cli import early

        source = early.begin()
    from tracer.cli.setup import Command
    from tracer.views.ports import PortsView

    if now:
        from tracer.cli.looking import look, refuse_tracing
        from tracer.views.ports_now import PortsNowView

        refuse_tracing(given, "ports --now", "duration", "interval")
        command = Command(given)
        _refuse_states(command)
        look(command, PortsNowView(command.output, command.notices, command.look), source)
        return
    command = Command(
        given, stream=True, kinds=frozenset({"handshake"}), snapshots=True, sysctls=True
    )
    _refuse_states(command)
    command.run(PortsView(command.output, command.notices, command.look))


def _refuse_states(command: Any) -> None:
    if command.filters.excluded.states:
        raise UsageError(
            "--exclude state=: a port is in use whatever state its connection is in",
            "leave it out, or see: tcptrace connections --open --state",
        )


ports.params = [each for each in ports.params if each.name != "state"]
