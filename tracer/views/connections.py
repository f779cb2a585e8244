"""`connections --open`: one row for each connection that there is now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import overload

import numpy as np

from tracer.flows.connections import OpenConnections, Pass
from tracer.views.columns import rows as as_tuples
from tracer.views.connection_columns import COLUMNS, MEASURES, RATES, Row
from tracer.views.connection_record import COMPARED, CONNECTION, document
from tracer.views.connection_words import notable
from tracer.views.look import Look
from tracer.views.output import Notices, Output
from tracer.views.summary import Block, Document, SummaryView
from tracer.views.tables import Column, Part

UNSHOWN = "TIME_WAIT"  # of many of which only their number matters, if they are not asked for


class OpenConnectionsView(SummaryView):
    """What there is at the end of each block; with `rates`, what moved in it."""

    command = "connections --open"
    kind = "connection"
    needs = ("connections",)
    wants_listeners = False
    counts_looks = True

    def __init__(
        self, output: Output, notices: Notices, look: Look, *, rates: bool, timewaits: bool
    ) -> None:
        self.has_rates, self._timewaits = rates, timewaits
        super().__init__(output, notices, look)

    def start(self) -> None:
        """Begin to look."""
        self._table = OpenConnections(self.facts.layout)
        self._now: Pass | None = None

    def connections(self, rows: np.ndarray, now_ns: int) -> None:
        """Take a pass."""
        self._now = self._table.look(rows, now_ns)

    # --- forms ----------------------------------------------------------------

    def how(self) -> str:
        """Nothing is attached."""
        return "nothing traced"

    def shown(self) -> Sequence[Column[Row]]:
        """Whose and to where, then how it goes."""
        return (*COLUMNS, *(RATES if self.has_rates else ()), *MEASURES)

    def parts(self, block: Block) -> list[Part]:
        """The table, what is left out of it, and what is to be noticed."""
        found = self.latest(block)
        if found is None:
            return []
        shown = self.is_shown(found)
        rows, more = self.chosen(self._rows(found, shown))
        return [
            self.table(rows),
            *more,
            *self.hidden(shown),
            *notable(found.rows[shown], self.facts),
        ]

    def documents(self, block: Block) -> list[Document]:
        """A record for each."""
        found = self.latest(block)
        if found is None:
            return []
        shown = self.is_shown(found)
        for text in self.hidden(shown):
            self.notice(text)
        return [self._document(row) for row in self.chosen(self._rows(found, shown))[0]]

    def columns(self) -> Sequence[str]:
        """The members of a record."""
        return [name for name in (*CONNECTION, *COMPARED) if name not in ("ts", "kind")]

    def cells(self, document: Document) -> Document:
        """Keepalive by its first member, states by the one there is."""
        keepalive, states = document["keepalive"], document["states_us"]
        return document | {
            "keepalive": keepalive and keepalive["idle_s"],
            "states_us": next(iter(states.values()), None),
        }

    def hidden(self, shown: np.ndarray) -> list[str]:
        """How many are not shown for what they are, if any."""
        left = int((~shown).sum())
        return [f"{left} more in {UNSHOWN} (--state time-wait)"] if left else []

    def latest(self, block: Block) -> Pass | None:
        """What the block shows."""
        return self._table.in_all() if block.total else self._now

    def is_shown(self, found: Pass) -> np.ndarray:
        """Which of them have a row."""
        unshown = found.rows["state"] == self.facts.layout.enums["tcp_state"][UNSHOWN]
        return np.ones(len(unshown), np.bool_) if self._timewaits else ~unshown

    def _rows(self, found: Pass, shown: np.ndarray) -> Made:
        """Those with most in their queues first, then the fastest, then those that carried most."""
        rows = found.rows
        carried = rows["rx_bytes"] + rows["tx_bytes"]
        rate = np.nan_to_num(found.rx_per_s) + np.nan_to_num(found.tx_per_s)
        queued = rows["recv_queue"].astype(np.int64) + rows["send_queue"]
        order = np.lexsort((rows["cookie"], -carried.astype(np.float64), -rate, -queued))
        order = order[shown[order]]
        columns = (found.rx_per_s, found.tx_per_s, found.is_new)

        def make(places: np.ndarray) -> list[Row]:
            return [
                Row(socket, self.facts, *compared)
                for socket, *compared in zip(
                    as_tuples(rows[places], "Socket"),
                    *(column[places].tolist() for column in columns),
                    strict=True,
                )
            ]

        return Made(order, make)

    def _document(self, row: Row) -> Document:
        return document(row.socket, self.facts) | {
            "partial": not row.is_new,
            "new": row.is_new if self.has_rates else None,
            "rx_per_s": row.rate("rx"),
            "tx_per_s": row.rate("tx"),
        }


class Made(Sequence[Row]):
    """Rows that are made as they are asked for: of tens of thousands some twenty are shown."""

    def __init__(self, places: np.ndarray, make: Callable[[np.ndarray], list[Row]]) -> None:
        self._places, self._make = places, make

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._make(self._places))

    @overload
    def __getitem__(self, at: int) -> Row: ...

    @overload
    def __getitem__(self, at: slice) -> list[Row]: ...

    def __getitem__(self, at: int | slice) -> Row | list[Row]:
        """One, or those of a slice."""
        found = self._make(self._places[at] if isinstance(at, slice) else self._places[at : at + 1])
        return found if isinstance(at, slice) else found[0]
