"""What there is to explain, in the order in which it is listed."""

from __future__ import annotations

TOPICS: dict[str, str] = {
    "states": "states of TCP sockets",
    "errnos": "errors of connect(), accept(), read(), write()",
    "handshake-outcomes": "how attempts to connect end",
    "connection-ends": "how connections end, and who ended them",
    "syn-drop-causes": "why listeners throw SYNs and final ACKs away",
    "drop-reasons": "why the kernel throws packets away",
    "drop-layers": "where it does",
    "reset-causes": "what RSTs come from",
    "reset-reasons": "the kernel's own reasons for RSTs that it sends",
    "retransmit-types": "why segments are sent again",
    "counter-names": "the kernel's counters, as nstat calls them",
    "netstat-lines": "lines of `netstat -s`",
    "ss-columns": "what `ss` prints",
    "sysctls": "settings of the kernel",
    "columns": "columns of tcptrace's own tables",
    "members": "members of its JSON records",
    "findings": "what advise finds",
    "record-kinds": "kinds of its JSON records",
    "member-values": "words that members are one of",
    "owner-kinds": "how an owner is known",
    "loss-causes": "why a record is lost",
}
