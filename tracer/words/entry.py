"""What is said of one name."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """What it means, what usually causes it, what to look at next, and with which commands.

    `source` is where a reader finds the fact itself; `also` are other spellings of the name.
    """

    meaning: str
    cause: str = ""
    look: str = ""
    commands: tuple[str, ...] = ()
    source: str = ""
    also: tuple[str, ...] = ()
