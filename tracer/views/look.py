"""How results are to look: form, order, columns, rows, header; as the options ask for it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tracer.errors import UsageError
from tracer.views.tables import Column, Row, plain

MOST_ON_TERMINAL = 20
TABLES = ("table", "md")  # the forms made of columns with titles


@dataclass(frozen=True)
class Look:
    """What --format, --limit, --sort, --columns, --no-header, --names, --delta and
    --stack ask for.

    `sort` is a column, its biggest first, `-` in front for its smallest; `limit` 0 is all rows,
    None all but on a terminal.
    """

    form: str = "table"
    limit: int | None = None
    sort: str = ""
    columns: tuple[str, ...] = ()
    header: bool = True
    names: bool = False
    delta: bool = False
    stacks: bool = False

    def check(self, shown: Sequence[Column[Any]], members: Sequence[str]) -> None:
        """Refuse columns that there are not: of a table, or members of a record in CSV.

        Errors: UsageError.
        """
        titles = [column.key for column in shown]
        if self.sort:
            _known(plain(self.sort.removeprefix("-")), titles, "--sort")
        if self.columns and self.form == "json":
            raise UsageError(
                "--columns chooses those of a table or of CSV, and JSON has members",
                "choose them with jq, or leave out --columns or --json",
            )
        for name in self.columns:
            if self.form in TABLES:
                _known(plain(name), titles, "--columns")
            else:
                _known(name, members, "--columns")
        for name, given in (("--names", self.names), ("--delta", self.delta)):
            if given and self.form not in TABLES:
                raise UsageError(
                    f"{name} has no use with --format {self.form}: its records keep the numbers",
                    f"leave {name} out",
                )
        if self.delta and self.columns and "time" not in map(plain, self.columns):
            raise UsageError(
                "--delta changes the column TIME, which --columns leaves out", "name it there too"
            )
        if not self.header and self.form in ("json", "md"):
            what = "JSON has no header" if self.form == "json" else "Markdown has no table without"
            raise UsageError(
                f"--no-header has no use with --format {self.form}: {what}", "leave it out"
            )

    def rows(
        self, shown: Sequence[Column[Row]], found: Sequence[Row], on_terminal: bool
    ) -> tuple[list[Row], list[str]]:
        """Those that are shown, in their order, and a line that says how many are left out."""
        rows = found
        if self.sort:
            wanted = plain(self.sort.removeprefix("-"))
            column = next(column for column in shown if column.key == wanted)
            known = [row for row in found if column.value(row) is not None]
            known.sort(key=column.value, reverse=not self.sort.startswith("-"))
            rows = known + [row for row in found if column.value(row) is None]
        limit = self.most_rows(on_terminal)
        if not limit or len(rows) <= limit:
            return list(rows), []
        return list(rows[:limit]), [f"... {len(rows) - limit} more (--limit 0)"]

    def most_rows(self, on_terminal: bool) -> int:
        """How many rows are shown; 0: all."""
        if self.limit is None:
            return MOST_ON_TERMINAL if on_terminal and self.form == "table" else 0
        return self.limit

    def choose(self, shown: Sequence[Column[Row]]) -> list[Column[Row]]:
        """The columns asked for, in the order given."""
        if not self.columns:
            return list(shown)
        by_name = {column.key: column for column in shown}
        return [by_name[plain(name)] for name in self.columns]


def _known(name: str, known: Sequence[str], option: str) -> None:
    if name in known:
        return
    close = difflib.get_close_matches(name, known, 1, 0.6)
    hint = f"did you mean {close[0]}? " if close else ""
    raise UsageError(
        f"{option}: there is no column {name!r} here", f"{hint}one of: {', '.join(known)}"
    )
