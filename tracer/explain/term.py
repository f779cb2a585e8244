"""One name and all that is said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from tracer.words.entry import Entry


class Term(NamedTuple):
    """`where` are the tables or records that have it; `keys` further spellings to find it by."""

    topic: str
    name: str
    entry: Entry
    number: int | None = None
    where: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()


class Kernel(NamedTuple):
    """What the running kernel calls things, as far as it tells."""

    drop_reasons: tuple[str, ...] = ()
    reset_reasons: tuple[str, ...] = ()


Ask = Callable[[], Kernel]  # asked only if it matters
MOST_PLACES = 3
NO_SENTENCE = "the kernel has this name; this version of tcptrace knows no sentence for it"


def document(term: Term, here: str | None = None) -> dict[str, object]:
    """A `term` record; `here`: what a setting stands at on this machine."""
    entry = term.entry
    return {
        "kind": "term",
        "topic": term.topic,
        "name": term.name,
        "number": term.number,
        "also": list(entry.also),
        "where": list(term.where),
        "meaning": entry.meaning,
        "cause": entry.cause or None,
        "look": entry.look or None,
        "commands": list(entry.commands),
        "source": entry.source or None,
        "here": here,
    }


def gathered(told: Iterable[tuple[str, str]]) -> str:
    """What several places say of a name: a line each, with its places in front."""
    places: dict[str, list[str]] = {}
    for place, text in told:
        places.setdefault(text, []).append(place)
    if len(places) == 1:
        return next(iter(places))
    return "\n".join(f"{_named(list(dict.fromkeys(of)))}: {text}" for text, of in places.items())


def _named(places: list[str]) -> str:
    """All of a few; of many the first ones, and how many more."""
    if len(places) <= MOST_PLACES + 1:
        return ", ".join(places)
    return f"{', '.join(places[:MOST_PLACES])} and {len(places) - MOST_PLACES} more"
