"""JSON Schema of what tells how much a second: counters, and who makes traffic."""

from __future__ import annotations

from tracer.views.schema_words import Schema, count, flag, number, of, one_of, text
from tracer.wire.counter import SOURCES

COUNTER: dict[str, Schema] = {
    "source": one_of("where it is read", *SOURCES),
    "netns": count("inode of the network namespace; null: of the machine, or no key", null=True),
    "dev": text("the device; null: of none, or no key of --by", null=True),
    "queue": text("the device's queue, rx-0; null: of none, or no key of --by", null=True),
    "cpu": count("the CPU; null: of none, or no key of --by", null=True),
    "name": text("as nstat, ip -s link or ethtool -S call it"),
    "delta": count("how far it moved in the span; null: not known, or a gauge", null=True),
    "rate": number("a second, over the time between its two readings", null=True),
    "value": of(["integer", "null"], "what it stands at; null: its namespace has gone"),
    "gauge": flag("whether it goes down as well as up"),
    "trouble": flag("whether it grew, and does so only where something is wrong"),
    "meaning": text("in a sentence; null: a name not known here", null=True),
}
