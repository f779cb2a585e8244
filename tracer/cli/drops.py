"""`tcptrace drops`: what was thrown away, by cause and reason, and what the kernel counted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tracer.cli import options
from tracer.views.meanings import columns

if TYPE_CHECKING:
    from tracer.views.captured import Captured

KEYS = (
    *("reason", "layer", "location", "direction", "dev", "rxq", "stage", "answer", "listener"),
    *("owner_from", "pid", "comm", "cgroup", "container", "netns"),
    *("lport", "laddr", "raddr", "rport", "peer", "family"),
)


@click.command(epilog=columns("drops"))
@options.filters
@options.by("reason, place and owner", *KEYS)
@click.option("--syn", is_flag=True, help="SYNs and final ACKs that listeners dropped, alone.")
@click.option("--packets", is_flag=True, help="Packets by the kernel's reason, alone.")
@click.option("--all", "all_", is_flag=True, help="Expected ones too, with which nothing is lost.")
@options.stack
@options.summary
def drops(syn: bool, packets: bool, all_: bool, **given: Any) -> None:
    """Dropped SYNs by cause, other packets by the kernel's reason; whose they were, and where.

    One by one, as they are dropped: tcptrace events --kind syn_drop,drop. With -w FILE.pcapng the
    headers of dropped packets are kept for Wireshark, why, where and whose in a comment of each;
    of SYNs and final ACKs that listeners drop by queue there are counts alone.
    """
    from tracer.cli import values
    from tracer.cli.setup import Command
    from tracer.errors import UsageError
    from tracer.views.drop_groups import needs_records
    from tracer.views.drops import BOTH, PACKETS, SYN, DropsView
    from tracer.views.keys import By

    if all_ and syn and not packets:
        raise UsageError(
            "--all is of packets: no SYN that a listener dropped is an expected one",
            "leave out --all or --syn",
        )
    if given["stack"] and syn and not packets:
        raise UsageError(
            "--stack is of packets: a SYN that a listener dropped is told of by the listener",
            "leave out --stack or --syn",
        )
    words, bits = values.keys(given["by"], KEYS)
    by = By(words, bits) if words else None
    parts = BOTH if syn == packets else frozenset({SYN if syn else PACKETS})
    # counts are enough to show what they tell; records let a replay narrow them down
    stream = bool(given.get("keep")) or (by is not None and needs_records(by))
    captured = _captured(given, all_) if PACKETS in parts else None
    command = Command(given, stream=stream, kinds=parts, reconcile=True)
    look = command.look
    command.run(DropsView(command.output, command.notices, look, by, parts, all_, captured))


def _captured(given: dict[str, Any], expected: bool) -> Captured | None:
    """Of -w FILE.pcapng: a capture, and no recording."""
    from tracer.views.captured import Captured

    path = given["keep"]
    if path is None or not path.endswith(".pcapng"):
        return None
    given["keep"] = None
    return Captured(Path(path), bool(given["force"]), expected)
