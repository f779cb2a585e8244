"""`tcptrace handshakes`: latency and outcome of every attempt to connect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tracer.cli import options
from tracer.views.meanings import columns

if TYPE_CHECKING:
    from tracer.views.handshake_keys import By


@click.command(epilog=columns("handshakes"))
@options.filters
@click.option(
    "--by",
    multiple=True,
    metavar="KEY,…",
    help="Group by role, peer, peer/N, raddr, rport, lport, pid, comm, netns (role,peer).",
)
@click.option("--slower", metavar="TIME", help="Single attempts that took this long or longer.")
@click.option("--failed", is_flag=True, help="Single attempts that failed.")
@options.summary
def handshakes(**given: Any) -> None:
    """Latency and outcome of every attempt to connect, active and passive, and pending ones."""
    from tracer.cli import values
    from tracer.cli.setup import Command
    from tracer.errors import UsageError
    from tracer.views.attempts import AttemptsView
    from tracer.views.handshakes import HandshakesView

    command = Command(
        given, stream=True, kinds=frozenset({"handshake"}), snapshots=True, reconcile=True
    )
    by = _by(given["by"])
    slower = given["slower"]
    if slower is None and not given["failed"]:
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
    slower_ns = round(values.duration(slower, "--slower") * 1e9) if slower is not None else None
    command.run(
        AttemptsView(
            command.output, command.notices, command.look, given["failed"], slower_ns, command.color
        )
    )


def _by(texts: tuple[str, ...]) -> By:
    """`peer/24,comm`: what attempts are grouped by. Errors: UsageError."""
    from tracer.cli.values import nearest
    from tracer.errors import UsageError
    from tracer.views.handshake_keys import NEEDS, WORDS, By

    words: dict[str, None] = {}
    bits = None
    for part in (part.strip() for text in texts for part in text.split(",")):
        word, slash, number = part.partition("/")
        if word not in NEEDS or (slash and word != "peer"):
            raise UsageError(f"--by {part!r} is no key here", nearest(part, WORDS))
        if slash:
            if not number.isdecimal() or not 0 < int(number) <= 128:
                raise UsageError(f"--by {part!r} is no network", "give one like peer/24")
            bits = int(number)
        words[word] = None
    return By(tuple(words), bits) if words else By()
