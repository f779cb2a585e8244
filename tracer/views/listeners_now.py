"""`listeners --now`: the queues as they stand, and nothing of what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracer.flows.tally import Outcome
from tracer.views.listener_groups import Group, ListenerGroupsView
from tracer.views.listeners import ListenersView, Row
from tracer.views.summary import Block, Document, SummaryView
from tracer.views.tables import Column

COUNTED = ("finished", "accepts", "reset_in_queue", "never_accepted", "overflows", "cookies_sent")
# of columns and of members: what only those know who watched
SEEN_ALONE_WHILE_TRACING = ("peak", "synq_peak", "full", "acc/s", "overfl", "drops")
UNKNOWN = (*COUNTED, "accept_queue_peak", "syn_queue_peak", "full_us", "syn_drops")


class _Now(ListenersView):
    """What both tables share: nothing is attached, and nothing was counted."""

    command = "listeners --now"
    wants_queues = True
    counts_looks = True

    def how(self) -> str:
        """Nothing is attached."""
        return "nothing traced"

    def shown(self) -> Sequence[Column[Any]]:
        """Whose, then what waits."""
        return [one for one in super().shown() if one.key not in SEEN_ALONE_WHILE_TRACING]

    def proof(self, block: Block) -> tuple[list[str], list[Document]]:
        """One look moves no counter."""
        return [], []

    def afterwards(self, outcome: Outcome) -> list[str]:
        """With nothing left, which filter took it."""
        return SummaryView.afterwards(self, outcome)

    def cells(self, document: Document) -> Document:
        """As they are."""
        return document


class ListenersNowView(_Now):
    """Each socket, those whose queue is full first."""

    def rows(self, block: Block) -> list[Row]:
        """All of them."""
        return sorted(super().rows(block), key=_waiting)

    def _document(self, found: Row) -> Document:
        return super()._document(found) | dict.fromkeys(UNKNOWN)


class ListenerGroupsNowView(_Now, ListenerGroupsView):
    """Put together by what --by asks for, those with most in their queues first."""

    def _group_document(self, group: Group) -> Document:
        return super()._group_document(group) | dict.fromkeys(UNKNOWN)


def _waiting(row: Row) -> tuple[bool, int, int]:
    waits = int(row.one.row["accept_queue"])
    return waits <= row.limit(), -waits, int(row.one.row["port"])
