"""Moving through a pane's rows: what is sorted by, which row is selected, what is in view."""

from __future__ import annotations

import numpy as np

from tracer.views.live.panes.base import Indices, Keys, Name, Pane, Table


class Browser:
    """One pane's rows as they are shown. While a row is selected none of them changes places."""

    def __init__(self, pane: Pane) -> None:
        self.pane = pane
        self.column: int | None = None  # None: by trouble
        self.reversed = False
        self.selected: Name | None = None
        self.table: Table | None = None
        self._order: Indices = np.zeros(0, np.intp)
        self._held: Keys | None = None
        self._top = 0
        self.first = self.last = 0  # of those in view, from 1

    def take(self, table: Table) -> None:
        """Show the rows of another picture."""
        self.table = table
        if self._held is not None and self.selected is not None:
            self._order = table.kept(self._held)
            if self.at() < 0:
                self.let_go()
        else:
            self._sort()
        self._held = table.keys[self._order]

    def _sort(self) -> None:
        if self.table is None:
            return
        order = self.table.order(self.column) if self.column is not None else None
        self._order = np.arange(len(self.table)) if order is None else order
        if self.reversed:
            self._order = self._order[::-1]
        self._held = self.table.keys[self._order]

    def at(self) -> int:
        """Where in the order the selected row is; -1: none is selected, or it has gone."""
        if self.selected is None or self._held is None:
            return -1
        found = np.flatnonzero(self._held == self.selected)
        return int(found[0]) if len(found) else -1

    def in_view(self, room: int) -> list[int]:
        """Places of the rows there is room for, the selected one among them."""
        at = self.at()
        if at >= 0:
            self._top = min(max(self._top, at - room + 1), at)
        self._top = max(0, min(self._top, len(self._order) - room))
        found: list[int] = self._order[self._top : self._top + room].tolist()
        self.first = self._top + 1 if found else 0
        self.last = self._top + len(found)
        return found

    def place(self) -> int:
        """The selected row's place in the table; -1: none."""
        at = self.at()
        return int(self._order[at]) if at >= 0 else -1

    # --- keys -----------------------------------------------------------------

    def move(self, step: int) -> None:
        """Select the row so many further on."""
        if not len(self._order) or self._held is None:
            return
        at = self.at()
        if at < 0:  # the first in view, or as far from there as it is asked for
            at = self._top - 1 if step > 0 else self._top
        self.selected = self._held[max(0, min(len(self._order) - 1, at + step))]

    def let_go(self) -> None:
        """No row is selected: rows may change places again."""
        self.selected = None
        self._sort()

    def sort_next(self) -> None:
        """Sort by the next column that can be sorted by; after the last, by trouble."""
        if self.table is None:
            return
        first = 0 if self.column is None else self.column + 1
        self.column = None
        for column in range(first, len(self.pane.headings)):
            if self.table.order(column) is not None:
                self.column = column
                break
        self._sort()

    def reverse(self) -> None:
        """The other way round."""
        self.reversed = not self.reversed
        self._sort()

    def find(self, text: str, step: int) -> bool:
        """Select the next row (step 1), or the one before (-1), that has this text in it."""
        if self.table is None or self._held is None or not len(self._order):
            return False
        hits = np.flatnonzero(self.table.having(text)[self._order])
        if not len(hits):
            return False
        at = self.at()
        if step > 0:
            further = hits[hits > at]
            found = further[0] if len(further) else hits[0]
        else:
            before = hits[hits < at] if at >= 0 else hits[:0]
            found = before[-1] if len(before) else hits[-1]
        self.selected = self._held[int(found)]
        return True

    def sorted_by(self) -> str:
        """In words."""
        name = self.pane.order if self.column is None else self.pane.headings[self.column].title
        return name + (" reversed" if self.reversed else "")
