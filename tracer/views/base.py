"""What a view is told. A view overrides what it wants to know of."""

from __future__ import annotations

from tracer.flows.tally import Lost, Outcome, Tally
from tracer.views.columns import Facts
from tracer.wire.batch import Batch
from tracer.wire.layout import Records


class View:
    """Shows a session, live or recorded. Every call is about a whole batch, never one event.

    One that looks at no records sets `wants_records` to False, and none are sorted for it; one
    that has nothing to show without them sets `needs_records`. One that is about some kinds alone
    names them in `kinds`: it is given no others, and the tally counts no others.
    """

    wants_records = True
    needs_records = False
    kinds: frozenset[str] = frozenset()

    def begin(self, facts: Facts, head: dict[str, object]) -> None:
        """The session begins; `facts` grow while it goes on."""

    def batch(self, batch: Batch) -> None:
        """Records in time order."""

    def lost(self, lost: list[Lost]) -> None:
        """Records that did not come."""

    def counts(self, keys: Records, values: Records) -> None:
        """The kernel's counts by owner, from the session's begin."""

    def sockets(self, rows: Records) -> None:
        """A pass over the sockets."""

    def listeners(self, rows: Records) -> None:
        """Listening sockets as they stand, and those closed since the last time."""

    def mark(self, now_ns: int, tally: Tally) -> None:
        """An interval ends, or an interim summary is asked for."""

    def notice(self, text: str) -> None:
        """Something to tell beside the results."""

    def end(self, outcome: Outcome) -> None:
        """The session is over."""
