"""`tcptrace counters`: the kernel's own counters, how fast they move, what they mean."""

from __future__ import annotations

from typing import Any

import click

from tracer.cli import options
from tracer.views.meanings import columns

KEYS = ("name", "netns", "dev", "queue", "cpu")


@click.command(epilog=columns("counters"))
@options.netns
@click.option("--dev", multiple=True, metavar="DEV,…", help="These devices, and nothing else.")
@options.by("name,netns,dev,queue,cpu", *KEYS)
@click.option("--all", "everything", is_flag=True, help="Those too that did not move.")
@options.read
def counters(dev: tuple[str, ...], everything: bool, **given: Any) -> None:
    """The kernel's own counters: which moved, how fast, and what each means.

    Of TCP, IP, ICMP and UDP, devices and their queues, CPUs' backlogs and connection tracking, in
    every network namespace. With -d or -i how far they moved; without, as they stand.

    Nothing is loaded or attached, and the own namespace takes no privileges.
    """
    from tracer.cli import values
    from tracer.cli.looking import count
    from tracer.cli.setup import Command
    from tracer.views.counters import CountersView

    by, _ = values.keys(given["by"], KEYS)
    command = Command(given)
    devices = frozenset(values.split(dev))
    show = CountersView(command.output, command.notices, command.look, by, devices, everything)
    count(command, show, devices)
