"""`tcptrace advise`: findings with evidence, what they mean and what helps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tracer.cli import options
from tracer.errors import UsageError

if TYPE_CHECKING:
    from tracer.cli.setup import Command

DURATION = "10"
MET = 3  # the exit status, where --fail-on is
LEVELS = ("warn", "crit")


@click.command()
@options.filters
@click.option("--now", is_flag=True, help="From one look, with nothing traced; ends at once.")
@click.option(
    "--fail-on",
    metavar="LEVEL",
    help="End with 3 if there is a finding as bad as warn, or crit.",
)
@options.made
@options.duration
@options.shown
def advise(now: bool, fail_on: str | None, **given: Any) -> None:
    """Findings: what is wrong, by which numbers, what helps, and what that costs. Changes nothing.

    It watches for 10 s, or as long as -d says. Rules: connections that the peer has closed and the
    program does not (close-wait-leak); accept queues and SYN queues that are full
    (accept-queue-full, syn-queue-full); descriptors that run out (descriptors); data that nobody
    reads, that may not be sent, or that a small receive buffer lets in slowly (not-reading,
    held-back, receive-buffer); silent connections without keepalive probes, dead peers, and idle
    timeouts of others (keepalive, idle-timeout); closed connections that do not end (fin-wait2);
    ports without a listener for a while (listener-gap); ephemeral ports that run out
    (ephemeral-ports); attempts to connect that fail (failed-connects); connections in use that are
    reset (resets); data sent again (retransmits); packets lost by devices, refused by rules of
    nftables or iptables, and thrown away by this host (lost-before, packet-filter, dropped-here);
    tables of TIME_WAIT and of connection tracking that are full (time-wait, conntrack). The last
    lines say which of them found nothing wrong, and what could not be looked at. --stack tells
    where leaked sockets were made.
    """
    if now:
        from tracer.cli import early

        source = early.begin()
    from tracer.cli.setup import Command
    from tracer.views.advise import AdviseView

    if fail_on is not None and fail_on not in LEVELS:
        raise UsageError(f"--fail-on {fail_on!r} is no level", f"one of: {', '.join(LEVELS)}")
    show: AdviseView
    if now:
        from tracer.cli.looking import look, refuse_tracing
        from tracer.views.advise_now import AdviseNowView

        refuse_tracing(given, "advise --now", "duration", "stack")
        command = _read(Command(given))
        show = AdviseNowView(command.output, command.notices, command.look)
        look(command, show, source)
    else:
        if not given["source"] and not given.get("program"):
            given["duration"] = given["duration"] or DURATION
        command = _read(
            Command(
                given,
                stream=True,
                kinds=frozenset({"accept", "handshake", "syn_drop", "drop", "reset", "error"}),
                snapshots=True,
                connections=True,
                listen_stats=True,
                sysctls=True,
                devices=True,
                packet_filters=True,
                reconcile=True,
                descriptors=True,
                makes=True,
            )
        )
        show = AdviseView(command.output, command.notices, command.look)
        command.run(show)
    if fail_on is not None and show.fails(fail_on):
        raise click.exceptions.Exit(MET)


def _read(command: Command) -> Command:
    if command.filters.excluded.states:
        raise UsageError("--exclude state=: rules look at sockets of all states", "leave it out")
    return command


# findings are no table, and rules look at sockets of all states
advise.params = [
    each for each in advise.params if each.name not in ("state", "columns", "no_header")
]
