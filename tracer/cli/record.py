"""`tcptrace record FILE`: keep a session, show it later with -r."""

from __future__ import annotations

from typing import Any

import click

from tracer.cli import options


@click.command()
@click.argument("file", metavar="FILE")
@options.filters
@options.kind
@options.duration
@options.force
@options.tracing
@options.common
@click.option("--max-size", default="20G", metavar="SIZE", help="End at this size (20G).")
def record(file: str, max_size: str, **given: Any) -> None:
    """Keep a session in FILE; every tracing command shows it again with -r FILE."""
    from tracer.cli import values
    from tracer.cli.setup import Command
    from tracer.views.recorder import RecordView

    command = Command({**given, "keep": file})
    command.limits.most_bytes = values.size(max_size, "--max-size")
    command.snapshots = True
    command.listen_stats = "syn_drop" in command.filters.kinds
    command.run(RecordView(command.notices, file))
