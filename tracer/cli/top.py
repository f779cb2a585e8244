"""`tcptrace top`: who has connections, what they carry, what fails."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import click

from tracer.cli import options
from tracer.views.meanings import columns

KEYS = (
    *("pid", "comm", "peer", "cgroup", "container", "netns"),
    *("raddr", "rport", "laddr", "lport", "family"),
)
EVERY_S = 1.0
# of a block that is to fit the screen: rows at least, and lines beside them
LEAST_ROWS, OTHER_LINES = 3, 7


@click.command(epilog=columns("top"))
@options.filters
@options.by("pid", *KEYS)
@options.summary
def top(**given: Any) -> None:
    """Who has connections, opens them, sends and receives; whose fail, and how far off they are.

    With -i a block every so often, on a terminal in the last one's place; without, one at the end;
    on a terminal without -d every second. `q` ends it.

    Bytes are of passes over all open connections, one as it begins and one for each block, and of
    a record for each that ended: what one carried that began and ended between two passes is in
    it too. What is open is of the last pass alone.
    """
    from tracer.cli import values
    from tracer.cli.quitting import quits_by_key
    from tracer.cli.setup import Command
    from tracer.errors import UsageError
    from tracer.views.keys import By
    from tracer.views.top import TopView

    words, bits = values.keys(given["by"], KEYS)
    command = Command(given, stream=True, kinds=frozenset({"connection"}), connections=True)
    if command.filters.excluded.states:
        raise UsageError(
            "--exclude state=: top counts what connections carry, in whatever state they are",
            "leave it out, or see: tcptrace connections --open --state",
        )
    is_live = command.output.is_terminal and command.form == "table" and not given["source"]
    if is_live and not command.limits.seconds and not command.limits.interval:
        command.limits.interval = EVERY_S
    redraws = is_live and bool(command.limits.interval) and _can_redraw()
    look = command.look
    if redraws and look.limit is None:
        look = replace(look, limit=max(LEAST_ROWS, os.get_terminal_size(1).lines - OTHER_LINES))
    by = By(words or ("pid",), bits)
    show = TopView(command.output, command.notices, look, by, redraws)
    with quits_by_key(command.stop, redraws and not given.get("program")):
        command.run(show)


# what they carry is of all their states, and known at looks alone: no part of a recording has it
top.params = [each for each in top.params if each.name not in ("state", "since", "until")]


def _can_redraw() -> bool:
    return os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
