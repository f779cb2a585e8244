"""`tcptrace retransmits`: what was sent again, why, and that the kernel counted the same."""

from __future__ import annotations

from typing import Any

import click

from tracer.cli import options
from tracer.views.meanings import columns

KEYS = (
    *("type", "state", "peer", "raddr", "rport", "laddr", "lport", "pid", "comm", "cgroup"),
    *("container", "netns", "family"),
)


@click.command(epilog=columns("retransmits"))
@options.filters
@options.by("type,pid,comm,peer", *KEYS)
@options.summary
def retransmits(**given: Any) -> None:
    """Segments sent again by kind, owner and peer, beside the kernel's own counters.

    One by one: tcptrace events --kind retransmit.
    """
    from tracer.cli import values
    from tracer.cli.setup import Command
    from tracer.views.keys import By
    from tracer.views.retransmits import RetransmitsView

    words, bits = values.keys(given["by"], KEYS)
    by = By(words, bits) if words else None
    command = Command(given, stream=True, kinds=frozenset({"retransmit"}), reconcile=True)
    command.run(RetransmitsView(command.output, command.notices, command.look, by))
