"""`tcptrace drops`: what was thrown away, by cause, and that the kernel counted the same."""

from __future__ import annotations

from typing import Any

import click

from tracer.cli import options
from tracer.views.meanings import columns

KEYS = (
    *("reason", "stage", "answer", "listener", "pid", "comm", "cgroup", "container", "netns"),
    *("lport", "laddr", "raddr", "rport", "peer", "family"),
)


@click.command(epilog=columns("drops"))
@options.filters
@options.by("reason and listener", *KEYS)
@click.option("--syn", is_flag=True, help="SYNs and final ACKs that listeners dropped.")
@options.summary
def drops(syn: bool, **given: Any) -> None:
    """Dropped SYNs by cause and owner, beside the kernel's own counters."""
    from tracer.cli import values
    from tracer.cli.setup import Command
    from tracer.views.drops import DropsView, needs_records
    from tracer.views.keys import By

    words, bits = values.keys(given["by"], KEYS)
    by = By(words, bits) if words else None
    # counts are enough to show what they tell; records let a replay narrow them down
    stream = bool(given.get("keep")) or (by is not None and needs_records(by))
    command = Command(given, stream=stream, kinds=frozenset({"syn_drop"}), reconcile=True)
    if not syn:
        command.notices.say("packets other than SYNs and final ACKs are not looked at: --syn")
    command.run(DropsView(command.output, command.notices, command.look, by))
