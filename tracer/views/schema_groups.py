"""JSON Schema of what --by puts together of listening sockets and of open connections."""

from __future__ import annotations

from tracer.flows.buckets import AGE_NAMES, RATE_NAMES
from tracer.views.schema_words import Schema, count, counts, number, one_of, text, traced

DROPS_BY_CAUSE: Schema = {
    **counts("SYNs and final ACKs dropped, by cause; null: not traced"),
    "type": ["object", "null"],
}
GROUPS: dict[str, Schema] = {
    "listener_summary": {
        "listeners": count("sockets that listen at the end of the span"),
        "accept_queue": count("connections that wait for accept() now, of all"),
        "accept_queue_peak": traced("the most in the span in any one queue"),
        "full_us": number(
            "time at full, of the one that was full the longest; null: not traced", null=True
        ),
        "syn_queue": count("half-open now, of all"),
        "syn_queue_peak": count(
            "the most of any one; null: not traced, or not known which twin's", null=True
        ),
        "finished": traced("handshakes finished"),
        "accepts": traced("connections taken"),
        "reset_in_queue": traced("connections reset before they were accepted"),
        "never_accepted": traced("connections that ended unaccepted, with their listener"),
        "overflows": traced("times an accept queue was found full"),
        "syn_drops": DROPS_BY_CAUSE,
        "cookies_sent": traced("SYNs answered with a cookie"),
    },
    "connection_summary": {
        "connections": count("how many connections there are"),
        "new": count("not there at the pass before; null: there was none", null=True),
        "recv_queue": count("bytes that came and were not read, of all"),
        "send_queue": count("bytes written and not acknowledged, of all"),
        "rx_bytes": count("payload received"),
        "tx_bytes": count("payload sent, each byte once"),
        "rx_per_s": number("bytes a second since the pass before; null: there was none", null=True),
        "tx_per_s": number("bytes sent a second since the pass before", null=True),
        "retransmits": count("segments sent again"),
        "oldest_us": count("age of the oldest, where all ages are known", null=True),
        "oldest_at_least_us": count("a lower bound of it, where not", null=True),
    },
}
# keys of open connections that no other table has
GROUP_KEYS: Schema = {
    "state": text("as `ss` has it: ESTAB, SYN_RECV for half-open"),
    "role": one_of("who began it: this side, or the peer", "active", "passive", None),
    "uid": count("user of the socket", null=True),
    "age": one_of("how old; with >= a lower bound is all that is known", *AGE_NAMES, None),
    "rate": one_of("bytes a second, both ways", *RATE_NAMES, None),
}
