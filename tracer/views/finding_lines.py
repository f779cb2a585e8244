"""A finding as people read it: a line, and under it evidence, meaning, fix, risk and more."""

from __future__ import annotations

import textwrap

from tracer.advice.finding import Finding

WIDTH, INDENT = 100, 12


def title(one: Finding) -> str:
    """The trouble in a line."""
    return f"{one.severity.upper()} {one.id}  {one.where}: {one.title}"


def lines(one: Finding, width: int = WIDTH) -> list[str]:
    """All of it, no line longer than that."""
    return [*wrapped("", title(one), 2, width), *body(one, width)]


def body(one: Finding, width: int = WIDTH) -> list[str]:
    """What stands under the title."""
    found: list[str] = []
    for name in ("evidence", "meaning", "fix", "risk", "see"):
        told = one.shown if name == "evidence" else getattr(one, name)
        label = f"  {name}"
        for text in (told,) if isinstance(told, str) else told:
            found += wrapped(label.ljust(INDENT), text, INDENT, width)
            label = ""
    return found


def wrapped(label: str, text: str, indent: int, width: int = WIDTH) -> list[str]:
    """Lines of a text behind its label; words stay whole, as commands are to be copied."""
    return textwrap.wrap(
        label + text,
        width,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )
