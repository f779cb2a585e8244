"""Plain tables: one header line in capitals, one row a line, numbers to the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Row = TypeVar("Row")


@dataclass(frozen=True)
class Heading:
    """A column: its title, and whether it holds words (left) or numbers (right).

    `spare` says what is left out where the terminal is too narrow: the highest first, 0 never.
    """

    title: str
    words: bool = False
    spare: int = 0


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


def limited(rows: list[Row], limit: int) -> tuple[list[Row], list[str]]:
    """The first rows, 0 for all, and a line that says how many are left out."""
    if not limit or len(rows) <= limit:
        return rows, []
    return rows[:limit], [f"... {len(rows) - limit} more (--limit 0)"]
