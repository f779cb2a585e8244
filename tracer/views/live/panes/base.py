"""What a pane is: a numbered table of the screen, whose rows are made as they come into view.

A pane of few rows lists them (`Listed`); one of tens of thousands keeps columns and makes cells for
those that are drawn alone. Sorting and searching give arrays either way: nothing here is done once
a row in Python, but by `Listed`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from tracer.flows.sockets import Owner
from tracer.views.live.picture import Picture
from tracer.views.tables import Heading

Row = TypeVar("Row")
Indices = NDArray[np.intp]
Name = int | str  # of a row: what lasts from picture to picture
Keys = NDArray[Any]  # names of rows, of one axis


class Table(ABC):
    """The rows of a pane in one picture, in the order of trouble; told of by their place in it."""

    def __len__(self) -> int:
        return len(self.keys)

    @property
    @abstractmethod
    def keys(self) -> Keys:
        """What each row is known by from picture to picture."""

    @abstractmethod
    def places(self, keys: Keys) -> Indices:
        """Where the rows of these keys are; -1 for those that have gone."""

    @abstractmethod
    def order(self, column: int) -> Indices | None:
        """Places by a column, numbers from the biggest, words from A; None: it cannot be sorted."""

    @abstractmethod
    def cells(self, places: Sequence[int]) -> list[list[str]]:
        """Texts of these rows, one for each column; safe to show."""

    @abstractmethod
    def wrong(self, place: int) -> bool:
        """Whether the row is marked."""

    @abstractmethod
    def having(self, text: str) -> NDArray[np.bool_]:
        """Which rows have this text in them; case does not matter."""

    def missing(self) -> frozenset[int]:
        """Columns of which nothing is known in this picture: they are left out."""
        return frozenset()

    def spares(self) -> dict[int, int]:
        """Which columns leave sooner or later than their headings say, where there is no room."""
        return {}

    def owner(self, place: int) -> Owner | None:
        """The process that the row belongs to: what `o` narrows the screen to."""
        return None

    def term(self, place: int) -> str:
        """The name in the row that most wants to be explained, if any does."""
        return ""

    def kept(self, keys: Keys) -> Indices:
        """Places in the order these keys had; rows that have come since are the last."""
        found = self.places(keys)
        found = found[found >= 0]
        new = np.ones(len(self), np.bool_)
        new[found] = False
        return np.concatenate([found, np.flatnonzero(new)])


@dataclass(frozen=True)
class Pane:
    """One pane. `number` is its key; `attaches` are the subjects it cannot do without.

    Subjects that are attached anyway need not be named. `below` gives lines about the row
    that is selected, if any is, at most so many of this width: they stand under the table.
    """

    number: int
    name: str
    headings: Sequence[Heading]
    table: Callable[[Picture], Table]
    attaches: tuple[str, ...] = ()
    below: Callable[[Picture, Name | None, int, int], list[str]] | None = None
    short: str = ""  # the name where there is no room for all of them
    order: str = "trouble"  # by what its rows are sorted, if not by a column
    share: float = 1 / 3  # of the room, that the rows may have before the lines below


@dataclass(frozen=True)
class Column(Generic[Row]):
    """Of a pane that lists its rows: a heading, its cells, and what to sort by."""

    heading: Heading
    cell: Callable[[Row], str]
    key: Callable[[Row], float | str] | None = None


class Listed(Table, Generic[Row]):
    """Rows as a list of objects: for some hundreds of them."""

    def __init__(
        self,
        columns: Sequence[Column[Row]],
        rows: Sequence[tuple[Name, Row]],
        is_wrong: Callable[[Row], bool],
        owner: Callable[[Row], Owner | None] = lambda row: None,
        term: Callable[[Row], str] = lambda row: "",
    ) -> None:
        self._columns, self._rows = columns, rows
        self._is_wrong, self._owner, self._term = is_wrong, owner, term

    @cached_property
    def keys(self) -> Keys:
        """What each row is known by."""
        return np.array([key for key, _ in self._rows], object)

    @cached_property
    def _places(self) -> dict[Name, int]:
        return {key: place for place, (key, _) in enumerate(self._rows)}

    def places(self, keys: Keys) -> Indices:
        """Where the rows of these keys are."""
        return np.array([self._places.get(key, -1) for key in keys], np.intp)

    def order(self, column: int) -> Indices | None:
        """Places by a column."""
        key = self._columns[column].key
        if key is None:
            return None
        values: list[Any] = [key(row) for _, row in self._rows]
        if values and isinstance(values[0], str):
            return np.array(sorted(range(len(values)), key=values.__getitem__), np.intp)
        return np.argsort(-np.array(values, np.float64), kind="stable")

    def has(self, column: int) -> bool:
        """Whether any row has a number other than 0 in a column."""
        key = self._columns[column].key
        return key is not None and any(key(row) for _, row in self._rows)

    def cells(self, places: Sequence[int]) -> list[list[str]]:
        """Texts of these rows."""
        return [[column.cell(self._rows[at][1]) for column in self._columns] for at in places]

    def wrong(self, place: int) -> bool:
        """Whether the row is marked."""
        return self._is_wrong(self._rows[place][1])

    def having(self, text: str) -> NDArray[np.bool_]:
        """Which rows have this text in one of their cells."""
        text = text.lower()
        return np.array(
            [any(text in cell.lower() for cell in cells) for cells in self.cells(range(len(self)))],
            np.bool_,
        )

    def owner(self, place: int) -> Owner | None:
        """The process that the row belongs to."""
        return self._owner(self._rows[place][1])

    def term(self, place: int) -> str:
        """The name in the row that most wants to be explained."""
        return self._term(self._rows[place][1])


def absent(picture: Picture, kind: str, what: str) -> str:
    """What to say where there are no records of a kind at all; nothing where there are."""
    if picture.attached.get(kind, "off") != "off":
        return ""
    if picture.recorded:
        return f"{what}: not in this recording"
    return f"{what}: not traced: left out by --kind, or impossible here (d)"


def share(value: float | None) -> str:
    """In percent; `-` where it is not known."""
    return "-" if value is None else f"{value:.0%}"


def rate(value: float | None) -> str:
    """A second; `-` before an interval has passed."""
    return "-" if value is None else f"{value:.0f}"
