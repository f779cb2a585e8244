"""`ports --now`: the ports that are in use, and nothing of how they came and went."""

from __future__ import annotations

from collections.abc import Sequence

from tracer.views.port_rows import Row
from tracer.views.ports import PortsView
from tracer.views.tables import Column

SEEN_ALONE_WHILE_TRACING = ("OPEN/s", "OUT IN", "FAILED")


class PortsNowView(PortsView):
    """One look."""

    command = "ports --now"
    needs: tuple[str, ...] = ("sockets",)
    kinds: frozenset[str] = frozenset()
    traces = False
    counts_looks = True

    def how(self) -> str:
        """Nothing is attached."""
        return "nothing traced"

    def shown(self) -> Sequence[Column[Row]]:
        """From where to where, then how many."""
        return [one for one in super().shown() if one.title not in SEEN_ALONE_WHILE_TRACING]
