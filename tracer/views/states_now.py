"""`states --now`: sockets by state and process, and nothing of what became of them."""

from __future__ import annotations

from collections.abc import Sequence

from tracer.views.states import Row, StatesView
from tracer.views.summary import Document
from tracer.views.tables import Column

SEEN_ALONE_WHILE_TRACING = ("OPENED", "CLOSED", "FAILED")


class StatesNowView(StatesView):
    """What each process has."""

    command = "states --now"
    needs: tuple[str, ...] = ("sockets",)
    counts_transitions = False
    counts_looks = True

    def how(self) -> str:
        """Nothing is attached."""
        return "nothing traced"

    def shown(self) -> Sequence[Column[Row]]:
        """Whose, then what there is."""
        columns = super().shown()
        return [column for column in columns if column.title not in SEEN_ALONE_WHILE_TRACING]

    def _document(self, row: Row) -> Document:
        unknown = dict.fromkeys(name.lower() for name in SEEN_ALONE_WHILE_TRACING)
        return super()._document(row) | unknown
