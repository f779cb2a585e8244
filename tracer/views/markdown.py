"""Tables in Markdown as GitHub shows it; what a process or a peer chose cannot mean anything there.

A cell that could be read as markup, as a link or as somebody's name becomes a code span.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# letters, digits and what means nothing alone; no `_` or `*` that could begin emphasis
_PLAIN = re.compile(r"\*?(?:[A-Za-z0-9 .:/()\[\],+>=%!-]|(?<=[A-Za-z0-9])_(?=[A-Za-z0-9]))*")
# what GitHub makes a link or a picture of
_LINK = re.compile(r"www\.|://|\]\(|\]\[|mailto:|xmpp:|\bGH-\d|:[a-z0-9_+-]+:", re.IGNORECASE)


def cell(text: str) -> str:
    """The text of a cell; one that is not plain is shown as code, every character as it is."""
    if _PLAIN.fullmatch(text) and not _LINK.search(text):
        return text
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    padded = f" {text} " if longest or (text.startswith(" ") and text.endswith(" ")) else text
    # a table's rows are cut at `|` before code spans are looked for
    return f"{fence}{padded}{fence}".replace("|", "\\|")


def table(titles: Sequence[tuple[str, bool]], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table; `titles` come with whether the column holds words (left)."""
    lines = [[cell(title) for title, _ in titles], ["---" if w else "--:" for _, w in titles]]
    lines += [[cell(text) for text in row] for row in rows]
    return [row(line) for line in lines]


def row(cells: Sequence[str]) -> str:
    """One line of a table."""
    return f"| {' | '.join(cells)} |"


def preformatted(text: str) -> str:
    """A line that is shown as it is: four spaces in front make it code."""
    return f"    {text}"
