"""`tcptrace record FILE`: keep a session, show it later with -r."""

from __future__ import annotations

from typing import Any

import click

from tracer.cli import options


@click.command()
@click.argument("file", metavar="FILE")
@options.filters
@options.ends
@options.kind
@options.stack
@options.duration
@options.force
@options.tracing
@options.common
@click.option("--max-size", metavar="SIZE", help="End at this size (20G; a pipe has none).")
def record(file: str, max_size: str | None, **given: Any) -> None:
    """Keep a session in FILE; every tracing command shows it again with -r FILE.

    FILE - is standard output, for a pipe into `tcptrace -r -`.
    """
    import sys

    from tracer.cli import values
    from tracer.cli.setup import Command
    from tracer.errors import UsageError
    from tracer.views.recorder import RecordView

    if file == "-" and sys.stdout.isatty():
        raise UsageError(
            "a recording is not for a terminal",
            "give a FILE, or a pipe: tcptrace record - | tcptrace -r - states",
        )
    if file == "-" and given["force"]:
        raise UsageError("--force has no use with standard output", "leave --force out")
    command = Command({**given, "keep": file})
    if max_size is not None or file != "-":
        command.limits.most_bytes = values.size(max_size or "20G", "--max-size")
    command.snapshots = True
    command.listen_stats = "syn_drop" in command.filters.kinds
    command.run(RecordView(command.notices, None if file == "-" else file))
