"""Terms as text, wrapped to a width."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable

from tracer.explain.glossary import OF_TABLES
from tracer.explain.term import Term
from tracer.words.topics import TOPICS

Here = Callable[[Term], str | None]  # what a setting stands at on this machine
MOST_TABLES = 4
IN_FULL = 2  # so many that are meant are told in full; of more, a sentence each
LABEL = 8
HINT = "tcptrace explain TOPIC lists them, tcptrace explain TERM tells of one"


def _wrapped(begin: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=begin,
        subsequent_indent=" " * len(begin),
        break_long_words=False,
        break_on_hyphens=False,
    )


def topics(terms: list[Term], width: int) -> list[str]:
    """What there is to ask for."""
    counts = Counter(term.topic for term in terms)
    wide = max(map(len, TOPICS))
    lines = [f"{'TOPIC':{wide}} TERMS WHAT THEY ARE"]
    for topic, about in TOPICS.items():
        lines += _wrapped(f"{topic:{wide}} {counts[topic]:5} ", about, width)
    return [*lines, *_wrapped("", HINT, width)]


def listed(terms: list[Term], width: int) -> list[str]:
    """A name and its sentence, each."""
    wide = min(max(len(term.name) for term in terms), width // 3)
    lines = []
    for term in terms:
        name = f"{term.name:{wide}}  "
        if len(term.name) > wide:
            lines.append(term.name)
            name = " " * (wide + 2)
        for line in term.entry.meaning.splitlines():
            lines += _wrapped(name, line, width)
            name = " " * (wide + 2)
    return lines


def told(terms: list[Term], width: int, here: Here) -> list[str]:
    """All that is said of one or two; of more a sentence each, and how to see more."""
    own = [term for term in terms if term.topic not in OF_TABLES] or terms
    full = own if len(own) <= IN_FULL else []
    brief = [term for term in terms if term not in full]
    lines: list[str] = []
    for term in full:
        lines += [""] if lines else []
        lines += _in_full(term, width, here(term))
    for term in brief:
        begin = "also " if full else ""
        lines += [""] if full and term is brief[0] else []
        lines += _wrapped(begin, f"{term.name} ({_kinds(term)}): {_line(term)}", width)
    if brief:
        first = brief[0]
        lines += _wrapped("", f"more of one: tcptrace explain {first.topic} {_word(first)}", width)
    return lines


def _line(term: Term) -> str:
    return "; ".join(term.entry.meaning.splitlines())


def _kinds(term: Term) -> str:
    """Its topic, and where it is met with: tables, or the member that has it."""
    if term.topic == "columns":
        more = ", ..." if len(term.where) > MOST_TABLES else ""
        return f"{term.topic} of {', '.join(term.where[:MOST_TABLES])}{more}"
    if term.topic == "members" or not term.where:
        return term.topic
    return f"{term.topic}, {term.where[0]}={term.name}"


def _word(term: Term) -> str:
    name = term.name
    return f"'{name}'" if set(name) & set(" <>:") else name


def _in_full(term: Term, width: int, here: str | None) -> list[str]:
    entry = term.entry
    head = _kinds(term)
    head += f", {term.number}" if term.number is not None else ""
    head += f"; also {', '.join(entry.also)}" if entry.also else ""
    lines = _wrapped("", f"{term.name}  ({head})", width)
    for i, line in enumerate(entry.meaning.splitlines()):
        lines += _wrapped(f"  {'' if i else 'means':{LABEL}}", line, width)
    # nothing causes a setting: there are times in which it is changed
    cause = "when" if term.topic == "sysctls" else "cause"
    for label, text in ((cause, entry.cause), ("next", entry.look), ("here", here or "")):
        lines += _wrapped(f"  {label:{LABEL}}", text, width)
    for i, command in enumerate(entry.commands):
        lines.append(f"  {'' if i else 'type':{LABEL}}{command}")
    return lines + _wrapped(f"  {'source':{LABEL}}", entry.source, width)
