"""Plain tables: one header line in capitals, one row a line, numbers to the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    """A column: its title, and whether it holds words (left) or numbers (right)."""

    title: str
    words: bool = False


def table(headings: Sequence[Heading], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table; every row complete, nothing shortened."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(headings)
    widths = [
        max([len(heading.title), *(len(cell) for cell in cells)])
        for heading, cells in zip(headings, columns, strict=True)
    ]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if heading.words else cell.rjust(width)
            for cell, width, heading in zip(cells, widths, headings, strict=True)
        ]
        return " ".join(padded).rstrip()

    return [line([heading.title for heading in headings]), *(line(row) for row in rows)]
