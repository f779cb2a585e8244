"""JSON Schema of `reset`, `error` and what sums them up: what they have besides what all have."""

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
    spread,
    text,
)

BYS = (
    *("app_close_unread", "linger0", "linger2", "disconnect", "listener_closed", "killed"),
    *("keepalive", "no_fin", "kernel", "data_after_close", "no_socket", "listener", "time_wait"),
    *("bad_packet", "peer"),
)
_STATES = (
    *("ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE"),
    *("CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV"),
)
_ERRNO = of(["string", "null"], "what the application gets; null: nothing", pattern="^E[A-Z0-9]+$")
_WAY = one_of("which way it went", "sent", "received")
_LOCAL = flag("our side broke it off, not in answer to a packet")
_BY = one_of("what it came from", *BYS, None)
_REASON = text("the kernel's reason, by its name; null: it gives none", null=True)
_ANSWERS = one_of("the packet it answers; null: none", "syn", "syn_ack", "other", None)
_STATE = one_of("of the socket, before; null: there was none", *_STATES, None)
RESET: dict[str, Schema] = {
    "direction": _WAY,
    "local": _LOCAL,
    "by": _BY,
    "reason": _REASON,
    "answers": _ANSWERS,
    "state": _STATE,
    "errno": _ERRNO,
    "age_us": count("of the connection, where known", null=True),
    "age_at_least_us": count("a lower bound, where only that is known", null=True),
    "last_rx_us": count("since data came, to a tick of the kernel's; null: none did", null=True),
    "last_tx_us": count("since data was sent, to a tick too; null: none was", null=True),
    "idle_us": count("since data or an ACK, either way, to a tick too", null=True),
    "tx_bytes": count("payload sent, each byte once; null: no connection", null=True),
    "rx_bytes": count("payload received", null=True),
    "recv_queue": count("bytes that came and were not read", null=True),
    "send_queue": count("bytes written and not acknowledged", null=True),
    "listener_cookie": cookie("the listening socket it came by"),
}
ERROR: dict[str, Schema] = {
    "errno": of("string", "by name", pattern="^E[A-Z0-9]+$"),
    "state": one_of("of the socket, before", *_STATES),
    "ended": flag("the socket came to CLOSE with it"),
}
SUMMARY: dict[str, Schema] = {
    "count": count("RSTs"),
    "rate": number("how many a second"),
    "idle_us": spread("since data or an ACK, either way, of those with a connection"),
}
KEYS: dict[str, Schema] = {
    "direction": _WAY,
    "local": _LOCAL,
    "by": _BY,
    "reason": _REASON,
    "answers": _ANSWERS,
    "state": _STATE,
    "errno": _ERRNO,
}
GAP: dict[str, Schema] = {
    "netns": count("inode of the network namespace"),
    "lport": {"type": "integer", "minimum": 1, "maximum": 65535, "description": "the port"},
    "closed": moment("when its last listener closed"),
    "closed_by_pid": count("who closed the listener", null=True),
    "closed_by_comm": text("name of who closed the listener", null=True),
    "opened": moment("when the next began to listen; null: none has", null=True),
    "opened_by_pid": count("who opened the next listener", null=True),
    "opened_by_comm": text("name of who opened the next listener", null=True),
    "gap_us": count("from the one to the other, or to the block's end"),
    "refused": count("SYNs that were refused meanwhile"),
    "reset_in_queue": count("connections that the one that closed had not accepted, reset"),
    "at_least": flag("more may have been turned away: not all RSTs were sent, or some were lost"),
}
