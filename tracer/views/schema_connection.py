"""JSON Schema of `connection`: what it has besides what all events have."""

from __future__ import annotations

from tracer.views.schema_words import (
    Schema,
    cookie,
    count,
    flag,
    moment,
    number,
    of,
    one_of,
    text,
)

_STATES = (
    *("ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT"),
    *("CLOSE", "CLOSE_WAIT", "LAST_ACK", "CLOSING", "NEW_SYN_RECV"),
)
_KEEPALIVE: Schema = {
    "type": ["object", "null"],
    "description": "null: off",
    "properties": {
        "idle_s": number("silence before the first keepalive probe"),
        "interval_s": number("between keepalive probes"),
        "probes": count("unanswered keepalive probes that end it"),
    },
    "required": ["idle_s", "interval_s", "probes"],
    "additionalProperties": False,
}
CONNECTION: dict[str, Schema] = {
    "state": one_of("its state now", *_STATES),
    "opened": moment("when it was ESTABLISHED; null: not known, or not yet", null=True),
    "closed": moment("when it ended; null while it is open", null=True),
    "duration_us": count(
        "age of the connection, of an attempt since its first SYN, where known", null=True
    ),
    "duration_at_least_us": count("a lower bound of its age, where only that is known", null=True),
    "partial": flag("whether it is older than the tracer"),
    "role": one_of("who began it: this side, or the peer", "active", "passive", None),
    "closed_by": one_of(
        "whose FIN came first; null while it is open", "local", "remote", "both", "abort", None
    ),
    "end": one_of(
        "how it ended; null while it is open",
        *("fin", "rst_sent", "rst_received", "timeout", "aborted", "killed", None),
    ),
    "errno": of(
        ["string", "null"],
        "what the application got; null for none, and while it is open",
        pattern="^E[A-Z0-9]+$",
    ),
    "tx_bytes": count("payload sent, each byte once; null: not kept", null=True),
    "rx_bytes": count("payload received", null=True),
    "segs_out": count("segments sent", null=True),
    "segs_in": count("segments received", null=True),
    "retransmits": count("segments sent again; half-open: SYN-ACKs", null=True),
    "retransmit_bytes": count("payload sent again", null=True),
    "srtt_us": count("smoothed round trip; null: not measured", null=True),
    "min_rtt_us": count("the shortest of late; null: not measured", null=True),
    "cwnd": count("segments that may be under way", null=True),
    "mss": count("payload of a full segment", null=True),
    "congestion": text("name of its congestion control", null=True),
    "handshake_us": count("how long its handshake took; null: not traced", null=True),
    "accept_wait_us": count("how long it waited for accept(); null: not traced", null=True),
    "states_us": {
        "type": "object",
        "description": "time in each state, where known",
        "additionalProperties": {"type": "integer", "minimum": 0},
    },
    "busy_us": count("time with data to send", null=True),
    "rwnd_limited_us": count("of `busy_us`, held up by the receiver's window", null=True),
    "sndbuf_limited_us": count("of `busy_us`, held up by its own send buffer", null=True),
    "keepalive": _KEEPALIVE,
    "listener_cookie": cookie("the listener it waits at, if it does"),
    "recv_queue": count("bytes that came and were not read", null=True),
    "send_queue": count("bytes written and not acknowledged", null=True),
    "last_sent_us": count("since data was sent; null: none was", null=True),
    "last_received_us": count("since data came; null: none did", null=True),
    "last_ack_us": count("since an ACK came", null=True),
    "uid": count("user of the socket", null=True),
    "inode": count("of the socket; null: it has no descriptor", null=True),
    "fd": count("its descriptor in the process named", null=True),
    "holders": count("processes that hold it; null: it has ended", null=True),
    "new": flag("not there at the pass before; null: there was none", null=True),
    "rx_per_s": number("bytes a second since the pass before", null=True),
    "tx_per_s": number("bytes sent a second since the pass before", null=True),
}
