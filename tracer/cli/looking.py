"""Commands that look at what there is and trace nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tracer.cli.setup import TRACING, Command, touch
from tracer.cli.signals import NoSignals, PassedSignals, Signals
from tracer.cli.values import STATES
from tracer.errors import UsageError
from tracer.player import Player
from tracer.snapshot import Snapshots
from tracer.views.base import View

if TYPE_CHECKING:
    from tracer.kernel.snapshot import SnapshotSource
    from tracer.views.counters import CountersView


def refuse_tracing(given: dict[str, Any], command: str, *more: str) -> None:
    """Refuse options that a look has no use for, and those of `more`. Errors: UsageError."""
    if given.get("source"):
        raise UsageError(
            f"{command} looks at this machine now; a recording keeps no queues, bytes or round"
            " trips",
            "sockets by state and process, as they were at its end: tcptrace states -r FILE",
        )
    if given.get("program"):
        raise UsageError(
            f"{command} looks at what is there already: -- PROGRAM has no use",
            "start it yourself and give its PID: --pid $!",
        )
    for option in (*TRACING, *more):
        if given.get(option):
            name = "--" + option.replace("_", "-")
            raise UsageError(f"{command} traces nothing: {name} has no use", f"leave {name} out")


def _ready(command: Command, signals: Signals | PassedSignals | NoSignals) -> None:
    signals.attached()
    command.output.open()
    path = command.given.get("ready_file")
    if path is not None:
        touch(path)


def look(command: Command, show: View, source: Callable[[], SnapshotSource]) -> Player:
    """Look as often as asked for, and show it; `source` is what `early.begin` gave."""
    signals = command.take_signals()
    given = command.given

    filters = command.filters
    if STATES["SYN_RECV"] in filters.states:
        # half-open ones are called so by everybody but the kernel
        half_open = filters.states | {STATES["NEW_SYN_RECV"]}
        filters = replace(filters, states=half_open)
    try:
        return Snapshots(
            filters,
            show,
            source,
            utc=bool(given.get("utc")),
            ready=lambda: _ready(command, signals),
            notice=command.notices.say,
            wake_fd=signals.fd,
            limits=command.limits,
        ).run()
    finally:
        command.output.close()


def count(command: Command, show: CountersView, devices: frozenset[str]) -> None:
    """Read the kernel's counters as often as asked for, and show them."""
    from tracer.counting import Counting

    if "" in devices:
        raise UsageError("--dev '' is no device", "give one like eth0; see: ip link")
    signals = command.take_signals()
    filters = command.filters.describe()
    if devices:
        filters["DEV"] = f"--dev {','.join(sorted(devices))}"
    try:
        Counting(
            command.filters.netns,
            devices,
            filters,
            show,
            utc=bool(command.given.get("utc")),
            ready=lambda: _ready(command, signals),
            notice=command.notices.say,
            wake_fd=signals.fd,
            limits=command.limits,
        ).run()
    finally:
        command.output.close()
