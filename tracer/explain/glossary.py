"""All terms by topic, and which of them somebody means."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from functools import cache

from tracer.explain import kernels, ours
from tracer.explain.term import Ask, Kernel, Term
from tracer.words.topics import TOPICS

# what a table or a record says of itself, not a name that is looked up for its own sake
OF_TABLES = ("columns", "members", "member-values")
MOST_NEAR = 8


def no_kernel() -> Kernel:
    """Where nobody is to be asked."""
    return Kernel()


@cache
def _known(kernel: Kernel) -> tuple[Term, ...]:
    order = list(TOPICS)
    found = (
        *kernels.states(),
        *kernels.errnos(),
        *kernels.drop_reasons(kernel),
        *kernels.reset_reasons(kernel),
        *kernels.resent(),
        *kernels.counter_names(),
        *kernels.netstat_lines(),
        *kernels.settings(),
        *ours.words(),
        *ours.columns(),
        *ours.members(),
        *ours.steps(),
    )
    return tuple(sorted(found, key=lambda term: order.index(term.topic)))


def terms(topic: str | None = None, ask: Ask = no_kernel) -> list[Term]:
    """All of them, or those of a topic; the running kernel's reasons among them."""
    return [term for term in _known(ask()) if topic in (None, term.topic)]


def plain(text: str) -> str:
    """A name whatever its case, spaces, dots, dashes and underscores."""
    return re.sub(r"[^a-z0-9/<>=]", "", text.lower())


def _spellings(term: Term) -> Iterable[str]:
    yield from (term.name, *term.entry.also, *term.keys)
    if term.number is not None:
        yield str(term.number)


@cache
def _index(kernel: Kernel) -> dict[str, tuple[Term, ...]]:
    found: dict[str, dict[Term, None]] = {}
    for term in _known(kernel):
        for spelling in _spellings(term):
            if spelling:
                found.setdefault(plain(spelling), {})[term] = None
    return {key: tuple(named) for key, named in found.items()}


def lookup(text: str, topic: str | None = None, ask: Ask = no_kernel) -> list[Term]:
    """The terms that a name may mean, whatever its spelling; none if it is not known.

    The running kernel is asked only for what is not known otherwise.
    """
    for tried in _tries(text):
        for kernel in (no_kernel, ask):
            found = _index(kernel()).get(plain(tried), ())
            if topic is not None:
                found = tuple(term for term in found if term.topic == topic)
            if found:
                return list(found)
    other = kernels.of_other_protocols(text.strip())
    return [other] if other and topic in (None, other.topic) else []


def _tries(text: str) -> list[str]:
    """As it stands, without the numbers of a line of netstat's, and its last part."""
    parts = re.split(r"[./=:\s]+", text.strip())
    return [text, re.sub(r"\b\d+\b", "", text), parts[-1]] if plain(text) else []


def nearest(text: str, topic: str | None = None, ask: Ask = no_kernel) -> list[str]:
    """Names that are like it: those it is a part of first, then those that look alike."""
    asked = plain(text)
    index = {
        key: found
        for key, named in _index(ask()).items()
        if (found := [term for term in named if topic in (None, term.topic)])
    }
    within = [key for key in index if len(asked) > 2 and asked in key]
    alike = difflib.get_close_matches(asked, index, MOST_NEAR, 0.6)
    keys = [*sorted(within, key=lambda key: (len(key), key))[: MOST_NEAR // 2], *alike]
    return list(dict.fromkeys(index[key][0].name for key in keys))[:MOST_NEAR]
