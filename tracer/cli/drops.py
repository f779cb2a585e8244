"""`tcptrace drops`: what was thrown away, by cause, and that the kernel counted the same."""

from __future__ import annotations

from typing import Any

import click

from tracer.cli import options
from tracer.views.meanings import columns


@click.command(epilog=columns("drops"))
@options.filters
@click.option("--syn", is_flag=True, help="SYNs and final ACKs that listeners dropped.")
@options.summary
def drops(syn: bool, **given: Any) -> None:
    """Dropped SYNs by cause and owner, beside the kernel's own counters."""
    from tracer.cli.setup import Command
    from tracer.views.drops import DropsView

    # counts are enough to show; records let a replay narrow them down
    command = Command(
        given, stream=bool(given.get("keep")), kinds=frozenset({"syn_drop"}), reconcile=True
    )
    if not syn:
        command.notices.say("packets other than SYNs and final ACKs are not looked at: --syn")
    command.run(DropsView(command.output, command.notices, command.look))
