"""JSON Schema of findings."""

from __future__ import annotations

from tracer.views.schema_words import Schema, count, of, one_of, text

_TEXTS = {"type": "array", "items": {"type": "string"}}
FINDING: Schema = {
    "id": text("what kind of trouble it is"),
    "severity": one_of("how bad it is, in rising order", "info", "warn", "crit"),
    "where": text("the process, listener or destination that it is about"),
    "title": text("the trouble in a line"),
    "evidence": of(
        "object",
        "what it stands on: `text` in words, and numbers by name; null: not known",
        properties={"text": text("the evidence in words")},
        required=["text"],
        additionalProperties={"type": ["number", "string", "null"]},
    ),
    "meaning": text("what that means"),
    "fix": _TEXTS | {"description": "what helps: each a command, or a line of code or settings"},
    "risk": text("what that costs, and where a restart is needed"),
    "see": _TEXTS | {"description": "commands that show more"},
    "pid": count("the process; null: none, or not known", null=True),
    "comm": text("its name", null=True),
    "netns": count("inode of the network namespace", null=True),
}
