"""Plain tables: one header line in capitals, one row a line, numbers to the right.

A column says once what it is called, what of a row it shows, how that is written and what it is
sorted by; every form of every table is made of that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tracer.views import markdown

Row = TypeVar("Row")


@dataclass(frozen=True)
class Heading:
    """A column: its title, and whether it holds words (left) or numbers (right).

    `spare` says what is left out where the terminal is too narrow: the highest first, 0 never.
    """

    title: str
    words: bool = False
    spare: int = 0


@dataclass(frozen=True)
class Column(Generic[Row]):
    """What a table shows of a row.

    It is sorted by `value`, None if unknown, which `show` writes with its unit; `text` writes the
    cell where that takes more of the row. `name` is what --sort and --columns call it, if its title
    is not the only one of its kind; `width` is that of rows which are shown one by one.
    """

    title: str
    value: Callable[[Row], Any]
    show: Callable[[Any], str] = str
    words: bool = False
    spare: int = 0
    text: Callable[[Row], str] | None = None
    name: str = ""
    width: int = 0

    def cell(self, row: Row) -> str:
        """As it is written; `-` for what is unknown."""
        if self.text is not None:
            return self.text(row)
        value = self.value(row)
        return "-" if value is None else self.show(value)

    @property
    def is_number(self) -> bool:
        """Whether it stands to the right."""
        return not self.words

    @property
    def key(self) -> str:
        """What options call it."""
        return plain(self.name or self.title)


def plain(name: str) -> str:
    """A column's name whatever its case; a space may be written as `_`, either as `-`."""
    return re.sub(r"[\s-]+", "_", name.strip().lower())


@dataclass(frozen=True)
class Table(Generic[Row]):
    """Rows and what is shown of them; `fits`: columns may be left out on a narrow terminal.

    `below` gives lines that belong to a row; in Markdown they follow the table.
    """

    columns: Sequence[Column[Row]]
    rows: Sequence[Row]
    fits: bool = True
    below: Callable[[Row], list[str]] | None = None

    def cells(self) -> list[list[str]]:
        """Every row's cells."""
        return [[column.cell(row) for column in self.columns] for row in self.rows]

    def headings(self) -> list[Heading]:
        """The columns without what they show."""
        return [Heading(column.title, column.words, column.spare) for column in self.columns]


Part = str | Table[Any]  # of a block: a line, or a table


def render(parts: Sequence[Part], form: str, width: int = 0, header: bool = True) -> list[str]:
    """Lines of a block as a plain table or in Markdown, in which what is no table is preformatted.

    With a `width`, columns are left out until the lines fit, or until none can be spared.
    """
    lines: list[str] = []
    before: type | None = None
    for part in parts:
        if isinstance(part, str):
            if form == "md" and before is Table:
                lines.append("")
            lines.append(markdown.preformatted(part) if form == "md" else part)
        elif form == "md":
            lines += [""] if before else []
            titles = [(heading.title, heading.words) for heading in part.headings()]
            lines += markdown.table(titles, part.cells())
            lines += _noted(part)
        else:
            head, *made = table(part.headings(), part.cells(), width if part.fits else 0)
            lines += [head] if header else []
            for line, row in zip(made, part.rows, strict=True):
                lines += [line, *(part.below(row) if part.below else ())]
        before = str if isinstance(part, str) else Table
    return lines


def _noted(part: Table[Any]) -> list[str]:
    """In Markdown: lines below each row, after its first cells, as they are."""
    lines: list[str] = []
    for row, cells in zip(part.rows, part.cells(), strict=True):
        found = part.below(row) if part.below else []
        if found:
            lines += ["", *map(markdown.preformatted, [" ".join(cells), *found])]
    return lines


def table(headings: Sequence[Heading], rows: Sequence[Sequence[str]], width: int = 0) -> list[str]:
    """Lines of a table; every row complete, nothing shortened.

    With a `width`, columns are left out until the lines fit, or until none can be spared.
    """
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(headings)
    widths = [
        max([len(heading.title), *(len(cell) for cell in cells)])
        for heading, cells in zip(headings, columns, strict=True)
    ]
    shown = list(range(len(headings)))
    while width and sum(widths[i] + 1 for i in shown) - 1 > width:
        spare = max(shown, key=lambda i: headings[i].spare)
        if not headings[spare].spare:
            break
        shown.remove(spare)

    def line(cells: Sequence[str]) -> str:
        padded = [
            cells[i].ljust(widths[i]) if headings[i].words else cells[i].rjust(widths[i])
            for i in shown
        ]
        return " ".join(padded).rstrip()

    return [line([heading.title for heading in headings]), *(line(row) for row in rows)]
