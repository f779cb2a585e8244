"""JSON Schema of ephemeral ports."""

from __future__ import annotations

from tracer.views.schema_words import Schema, count, flag, number, text

PORT_USE: Schema = {
    "laddr": text("source address; null: not known, of what found no port", null=True),
    "raddr": text("where connections go"),
    "rport": {"type": "integer", "minimum": 0, "maximum": 65535, "description": "to which port"},
    "netns": count("inode of the network namespace"),
    "pid": count("who has the most of these ports; null: nobody, or not known", null=True),
    "comm": text("its name", null=True),
    "in_use": count(
        "ports of the range with a connection, or an attempt; null: no look", null=True
    ),
    "time_wait": count("those that nothing but a TIME_WAIT keeps; null: no look", null=True),
    "free": count("the rest; null: the range is not known, or no look", null=True),
    "range": text("ip_local_port_range; null: not known", null=True),
    "ports": count("of that, without reserved ones and those listened on", null=True),
    "time_wait_reused": flag("whether connect() takes one in TIME_WAIT for more than 1 s"),
    "opens": count("ports taken in the span; null: not traced", null=True),
    "opens_per_s": number("ports taken a second", null=True),
    "most_per_s": number("so many can go on where each leaves a TIME_WAIT", null=True),
    "exhausted_in_s": number(
        "until none is free if it goes on as in the span; null: it will not come to that, or it"
        " is not known",
        null=True,
    ),
    "failures": count("connect() that found none: EADDRNOTAVAIL; null: not traced", null=True),
}
