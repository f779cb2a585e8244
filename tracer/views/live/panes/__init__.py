"""The panes, one a module, by their numbers: the one list of them."""

from __future__ import annotations

from tracer.views.live.panes.advice import ADVICE_PANE
from tracer.views.live.panes.base import Pane, Table
from tracer.views.live.panes.connections import CONNECTIONS
from tracer.views.live.panes.counters import COUNTERS
from tracer.views.live.panes.drops import DROPS
from tracer.views.live.panes.handshakes import HANDSHAKES
from tracer.views.live.panes.listeners import LISTENERS
from tracer.views.live.panes.processes import PROCESSES
from tracer.views.live.panes.resets import RESETS

PANES: tuple[Pane, ...] = (
    *(PROCESSES, CONNECTIONS, LISTENERS, HANDSHAKES, DROPS, RESETS, COUNTERS),
    ADVICE_PANE,
)

__all__ = ["PANES", "Pane", "Table"]
