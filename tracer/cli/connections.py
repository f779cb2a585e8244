"""`tcptrace connections`: those that ended, one row each; with --open what there is now."""

from __future__ import annotations

from typing import Any

import click

from tracer.cli import options
from tracer.errors import UsageError
from tracer.views.meanings import columns

KEYS = (
    *("pid", "comm", "cgroup", "container", "state", "role", "peer", "raddr", "rport"),
    *("laddr", "lport", "netns", "family", "uid", "age", "rate"),
)


@click.command(epilog=columns("connections"))
@options.filters
@options.ends
@click.option("--open", "open_", is_flag=True, help="Those open now, with rates under -i.")
@click.option("--slowest", is_flag=True, help="The longest first, at the end of the session.")
@options.by("with --open; each connection", *KEYS)
@options.summary
def connections(open_: bool, slowest: bool, **given: Any) -> None:
    """Connections that ended, a row each as they end: how long, how much, who ended it and how.

    With --slowest, --sort, --limit or -i, a table of them at the end, or at each interval's.

    With --open --by, sums over those that share a key. By `age`: <1s, 1-10s, 10-60s, 1-10m,
    10m-1h, >1h; where only a lower bound is known >=0s, >=1s, >=10s, >=1m, >=10m. By `rate`
    (with -i or -d; bytes a second, both ways): 0, <1k/s, 1-10k/s, 10-100k/s, 0.1-1M/s, 1-10M/s,
    >10M/s.
    """
    if open_:
        _look(slowest, given)
    else:
        if given["by"]:
            raise UsageError(
                "--by puts together what is open, and these have ended",
                "see: connections --open --by " + ",".join(given["by"]),
            )
        _trace(slowest, given)


def _trace(slowest: bool, given: dict[str, Any]) -> None:
    from tracer.cli.setup import Command
    from tracer.views.ended import EndedLines, EndedView

    command = Command(given, stream=True, kinds=frozenset({"connection"}))
    look = command.look
    if slowest or look.sort or look.limit is not None or command.limits.interval:
        command.run(EndedView(command.output, command.notices, look, slowest))
    else:
        command.run(EndedLines(command.output, command.notices, look, color=command.color))


def _look(slowest: bool, given: dict[str, Any]) -> None:
    from tracer.cli import early

    source = early.begin(inodes=True)
    from tracer.cli.looking import look, refuse_tracing
    from tracer.cli.setup import Command
    from tracer.cli.values import STATES, keys
    from tracer.views.connection_groups import ConnectionGroupsView
    from tracer.views.connections import OpenConnectionsView
    from tracer.views.keys import By

    for name, value in (("slowest", slowest), ("failed", given["failed"])):
        if value:
            raise UsageError(
                f"--{name} is of connections that ended, --open of those that have not",
                f"leave out one of them (the oldest: --sort age), or see: connections --{name}",
            )
    if given["slower"]:
        raise UsageError(
            "--slower is of what has ended, --open of what has not", "leave out one of them"
        )
    refuse_tracing(given, "connections --open")
    command = Command(given)
    states = command.filters.states
    if STATES["LISTEN"] in states:
        raise UsageError(
            "--state listen: a listening socket is no connection", "see: tcptrace listeners"
        )
    rates = bool(command.limits.interval or command.limits.seconds)
    words, bits = keys(given["by"], KEYS)
    if "rate" in words and not rates:
        raise UsageError(
            "--by rate: a single look knows no rates", "give it time: -d 5, or -i 1 for blocks"
        )
    out, timewaits = (command.output, command.notices, command.look), STATES["TIME_WAIT"] in states
    if words:
        by = By(words, bits)
        look(command, ConnectionGroupsView(*out, by, rates=rates, timewaits=timewaits), source)
    else:
        look(command, OpenConnectionsView(*out, rates=rates, timewaits=timewaits), source)
