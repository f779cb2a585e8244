"""`tcptrace resets`: RSTs by what they came from, and whose they were."""

from __future__ import annotations

from typing import Any

import click

from tracer.cli import options
from tracer.views.meanings import columns

KEYS = (
    *("direction", "by", "reason", "errno", "state", "answers", "local", "peer", "raddr", "rport"),
    *("laddr", "lport", "pid", "comm", "cgroup", "container", "netns", "family"),
)


@click.command(epilog=columns("resets"))
@options.filters
@options.by("direction,by,reason,pid,comm,peer", *KEYS)
@options.summary
def resets(**given: Any) -> None:
    """RSTs sent and received: why, whose, how long it had been silent; ports nobody heard."""
    from tracer.cli import values
    from tracer.cli.setup import Command
    from tracer.flows.resets import MOST_ANSWERS
    from tracer.views.keys import By
    from tracer.views.reset_groups import needs_records
    from tracer.views.resets import ResetsView

    words, bits = values.keys(given["by"], KEYS)
    command = Command(
        given,
        kinds=frozenset({"reset", "error"}),
        listens=True,
        reconcile=True,
        count_resets=True,
        # what counts do not tell is summed up from all records that find room
        most_answers=0 if words and needs_records(words) else MOST_ANSWERS,
    )
    by = By(words, bits) if words else None
    command.run(ResetsView(command.output, command.notices, command.look, by))
