"""JSON Schema of `term`: what a name means."""

from __future__ import annotations

from tracer.views.schema_words import Schema, of, one_of, text
from tracer.words.topics import TOPICS


def _texts(says: str) -> Schema:
    return of("array", says, items={"type": "string"})


TERM: dict[str, Schema] = {
    "topic": one_of("what the name is one of", *TOPICS),
    "name": text("as it is printed"),
    "number": of(["integer", "null"], "the kernel's number of a state or errno; null: none"),
    "also": _texts("other spellings of the name"),
    "where": _texts("tables, records or members that have it"),
    "meaning": text("in a sentence; a line each where places differ"),
    "cause": text("what usually makes it; null: nothing to say", null=True),
    "look": text("what to look at next; null: nothing to say", null=True),
    "commands": _texts("commands to type"),
    "source": text("where the fact is told; null: it is ours", null=True),
    "here": text("of a setting: what it stands at in this network namespace", null=True),
}
