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
CARRIED: dict[str, Schema] = {
    "unit": text("the container or systemd unit of its control group; null: none", null=True),
    "open": count("connections open at the block's end, half-open ones and TIME_WAIT left out"),
    "opened": count("became ESTABLISHED in the span"),
    "ended": count("ended in the span, having been ESTABLISHED"),
    "failures": count("attempts that came to nothing and connections that were broken off"),
    "opened_per_s": number("connections opened a second, over the span", null=True),
    "rx_bytes": count("bytes of payload received in the span, each once"),
    "tx_bytes": count("bytes of payload sent in the span, each once"),
    "rx_per_s": number("bytes of payload received a second, over the span", null=True),
    "tx_per_s": number("bytes of payload sent a second, over the span", null=True),
    "segs_out": count("segments sent in the span, those without data too"),
    "retransmits": count("segments sent again in the span"),
    "retransmit_share": number("`retransmits` by `segs_out`; null: none sent", null=True),
    "srtt_us": count("median of their smoothed round trips; null: none measured", null=True),
}
