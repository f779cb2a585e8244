"""JSON Schema of what was sent again: one by one, and summed."""

from __future__ import annotations

from tracer.views.schema_words import STATES, Schema, cookie, count, flag, number, one_of

TYPES = ("rto", "slow_start", "fast", "tlp", "syn", "synack", "other")

RETRANSMIT: Schema = {
    "type": one_of("why it was sent again", *TYPES),
    "nth": count("how often it was by now, since tracing began; null: not known", null=True),
    "state": one_of("of the socket; NEW_SYN_RECV: a request", *STATES),
    "seq": count("its first byte, from the first that was sent; null of a SYN", null=True),
    "seq_absolute": count("as it is on the wire, where that cannot be told", null=True),
    "length": count("bytes of data"),
    "segments": count("as the kernel counts them in RetransSegs"),
    "rto_us": count("the timeout as it was; null of a SYN-ACK", null=True),
    "srtt_us": count("the smoothed round trip; null: not measured", null=True),
    "cwnd": count("segments that may be under way from now on; null of a SYN-ACK", null=True),
    "lost_again": flag("it had been sent again before, and was taken for lost again"),
    "acked": flag(
        "of a SYN-ACK: its ACK had come, and the accept queue was full or TCP_DEFER_ACCEPT"
        " waited for data",
        null=True,
    ),
    "listener_cookie": cookie("passive: the listening socket"),
}
SUMMARY: Schema = {
    "count": count("segments sent again, as RetransSegs counts them"),
    "rate": number("how many a second"),
    "share": number("of the segments its namespace sent; null: rows are of less", null=True),
    "times": count("in how many goes they were sent again"),
    "bytes": count("bytes of data sent again"),
    "lost_again": count("segments of these that had been sent again before, and were lost"),
    "queue_full": count("SYN-ACKs whose ACK had come while the accept queue was full"),
    "last_rto_us": count("the timeout at the latest; null: not known", null=True),
}
KEYS: Schema = {
    "type": one_of("why; there if it is a key of --by, as are the others", *TYPES),
    "state": one_of("of the socket", *STATES),
}
