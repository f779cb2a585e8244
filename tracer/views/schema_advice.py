"""JSON Schema of findings."""

from __future__ import annotations

from tracer.advice import dropped_here, failed_connects, lost_before
from tracer.views.schema_words import Schema, count, of, one_of, text
from tracer.words.evidence import NUMBERS
from tracer.words.findings import FINDINGS

_NUMBER = {"type": ["number", "string", "null"]}
_ENDED = {name: f"attempts that ended so: {name}" for name in failed_connects.FAILURES}
_COUNTED = {name: f"the kernel's counter: {told}" for name, (told, _) in dropped_here.WORDS.items()}
_LOST = {
    f"lost_{name}": f"counter {name} of the device, or CPU: {told}"
    for name, (told, _, _) in lost_before.WORDS.items()
}
_NUMBERS = NUMBERS | _ENDED | _COUNTED | _LOST
_TEXTS = {"type": "array", "items": {"type": "string"}}
FINDING: Schema = {
    "id": one_of("what kind of trouble it is", *FINDINGS),
    "severity": one_of("how bad it is, in rising order", "info", "warn", "crit"),
    "where": text("the process, listener or destination that it is about"),
    "title": text("the trouble in a line"),
    "evidence": of(
        "object",
        "what it stands on: `text` in words, and numbers by name; null: not known",
        properties={"text": text("the evidence in words")}
        | {name: _NUMBER | {"description": says} for name, says in _NUMBERS.items()},
        required=["text"],
        additionalProperties=False,
    ),
    "meaning": text("what that means"),
    "fix": _TEXTS | {"description": "what helps: each a command, or a line of code or settings"},
    "risk": text("what that costs, and where a restart is needed"),
    "see": _TEXTS | {"description": "commands that show more"},
    "pid": count("the process; null: none, or not known", null=True),
    "comm": text("its name", null=True),
    "netns": count("inode of the network namespace", null=True),
}
