"""`tcptrace accepts`: how long finished connections waited for accept()."""

from __future__ import annotations

from typing import Any

import click

from tracer.cli import options
from tracer.views.meanings import columns

KEYS = ("listener", "pid", "comm", "peer", "netns", "lport", "laddr", "cgroup", "container")


@click.command(epilog=columns("accepts"))
@options.filters
@options.ends
@options.by("listener,pid", *KEYS)
@options.summary
def accepts(**given: Any) -> None:
    """How long finished connections waited for accept(), and accepts that failed."""
    from tracer.cli import values
    from tracer.cli.setup import Command
    from tracer.errors import UsageError
    from tracer.views.accept_rows import By
    from tracer.views.accepts import AcceptsView

    if given["no_accept_hook"]:
        raise UsageError(
            "accepts has nothing to show without the accept hook", "leave --no-accept-hook out"
        )
    words, bits = values.keys(given["by"], KEYS)
    command = Command(
        given,
        stream=True,
        kinds=frozenset({"accept"}),
        snapshots=True,
        listen_stats=True,
    )
    show = AcceptsView(
        command.output,
        command.notices,
        command.look,
        By.of(words, bits) if words else By(),
        command.filters,
    )
    command.run(show)
