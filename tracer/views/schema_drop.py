"""JSON Schema of what was thrown away: a packet, and those of one place."""

from __future__ import annotations

from tracer.views.schema_words import Schema, cookie, count, flag, number, one_of, text
from tracer.wire.reasons import LAYERS

_LAYER = one_of("where on its way; null: not known", *LAYERS, None)
_DEV = text("the device it came by, or was to leave by", null=True)
_DIRECTION = one_of("rx: it had come in by a device", "rx", "tx")
_FROM = ("socket", "listener_port", "none")
RXQ = count("the device's queue it came by", null=True)


def _frames(what: str) -> Schema:
    told = f"frames, the innermost first: {what}"
    return {"type": ["array", "null"], "items": {"type": "string"}, "description": told}


_STACK = _frames("the kernel's, as function+0x1f, with --stack; `...`: it goes on; null: not known")
_USER = _frames(
    "with --stack the owner's, if it had called the kernel then, as function+0x1f (file), else"
    " file+0x1f or the address; null: another process ran, or not known"
)

DROP: Schema = {
    "reason": text("the kernel's own, without SKB_DROP_REASON_"),
    "location": text("the kernel's function that let go of it, and where in it", null=True),
    "layer": _LAYER,
    "direction": _DIRECTION,
    "dev": _DEV,
    "rxq": RXQ,
    "cpu": count("where it was dropped"),
    "length": count("bytes, from its IP header on"),
    "tcp_flags": text("such as SYN|ACK; empty for none, or not known"),
    "expected": flag("nothing is lost with it"),
    "owner_from": one_of("how its owner is known", *_FROM),
    "stack": _STACK,
    "user_stack": _USER,
}
DROP_SUMMARY: Schema = {
    "layer": _LAYER,
    "reason": text("why: a listener's cause, in small letters, or the kernel's own reason"),
    "stage": one_of("which packet, of a listener's", "syn", "ack", None),
    "answer": one_of("what it was answered with, of a listener's", "none", "rst", None),
    "location": text("the kernel's function that decides, or let go of it", null=True),
    "direction": _DIRECTION,
    "dev": _DEV,
    "pid": count("the owner, in the tracer's PID namespace", null=True),
    "comm": text("its name", null=True),
    "owner_from": one_of("how it is known; null of a listener's", *_FROM, None),
    "netns": count("inode of the network namespace; null: not known", null=True),
    "lport": {"type": ["integer", "null"], "minimum": 1, "maximum": 65535},
    "listener_cookie": cookie("the listener, as `ss -e` prints it after sk:"),
    "count": count("packets thrown away"),
    "rate": number("how many a second"),
    "expected": flag("nothing is lost with it"),
    "meaning": text("the reason in a sentence"),
    "stacks": {
        "type": ["array", "null"],
        "description": "with --stack, the kernel's of these packets, the most frequent first",
        "items": {
            "type": "object",
            "properties": {"count": count("packets"), "stack": _STACK},
            "required": ["count", "stack"],
            "additionalProperties": False,
        },
    },
}
# with --by: null where it is no key of it
BY: Schema = {
    **{name: text("null where it is no key of --by", null=True) for name in ("reason", "meaning")},
    "direction": one_of("null where it is no key of --by", "rx", "tx", None),
    "rxq": RXQ,
}
# what is lost before there is a packet buffer, or beside it: beside `drops`
DEVICE_DROP: Schema = {
    "ts": text(""),
    "netns": count("inode of the device's network namespace; null: of a CPU", null=True),
    "dev": text("the device; null: of a CPU", null=True),
    "cpu": count("the CPU; null: of a device", null=True),
    "counter": text("as /sys/class/net/*/statistics, the driver or softnet_stat calls it"),
    "count": count("how far it moved in the span"),
}
