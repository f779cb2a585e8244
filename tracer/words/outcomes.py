"""How attempts to connect end, how connections do, and why segments are sent again."""

from __future__ import annotations

from tracer.words.entry import Entry
from tracer.words.states import UNANSWERED

_ATTEMPTS = ("tcptrace handshakes --failed -d 10",)
_LISTENERS = ("tcptrace listeners -d 10", "tcptrace drops --syn -d 10")
_ENDED = ("tcptrace connections -d 10",)
_RESENT = ("tcptrace retransmits -d 10",)

# how an attempt may end that has no column of its own in the table, in words
OTHERS = {
    "UNREACHABLE": "had no way there: no route, or nobody who answers on the link",
    "NO_PORT": "found no local port free for this destination",
    "DENIED": "were not permitted here: a security module or a filter of the control group",
    "ABORTED": "were closed by the application before an answer was due",
    "QUEUE_FULL": "found the accept queue full when they were to be finished, and were let go of",
}
OUTCOMES: dict[str, Entry] = {
    "unknown": Entry(
        "how it ended was not seen, or its error has no outcome of its own",
        "it began before tracing, or records were lost",
        "its errno; EINVAL is what a blackhole route answers",
        _ATTEMPTS,
    ),
    "ok": Entry(
        "became ESTABLISHED",
        "the usual end; slow ones of a second and more are SYNs sent again, not distance",
        "latency and SYNs sent again",
        ("tcptrace handshakes -d 10",),
    ),
    "refused": Entry(
        "the SYN was answered with a RST",
        "nobody listens there: down, restarting, other port or address",
        "ECONNREFUSED; on the peer who listens",
        (*_ATTEMPTS, "ss -tlnp"),
    ),
    "reset": Entry(
        "a RST ended it otherwise: after the SYN-ACK, or of a half-open one",
        "a client that scans or gives up, a firewall, net.ipv4.tcp_abort_on_overflow",
        "which side sent it",
        (*_ATTEMPTS, "tcptrace resets -d 10"),
    ),
    "timeout": Entry(
        "no answer came until the kernel gave up",
        UNANSWERED,
        "on the peer: listeners and dropped SYNs; on the way: the firewall. Sent again up to"
        " net.ipv4.tcp_syn_retries times",
        _ATTEMPTS,
        "tcp(7)",
    ),
    "gave_up": Entry(
        "the application closed it with a SYN unanswered for a full timeout",
        "its own connect timeout; nobody had answered: " + UNANSWERED,
        "as of timeout",
        _ATTEMPTS,
    ),
    "unreachable": Entry(
        f"one of those that {OTHERS['UNREACHABLE']}",
        "a missing route, a dead next hop, a router's or firewall's ICMP",
        "EHOSTUNREACH, ENETUNREACH; the route and the neighbour",
        ("ip route get ADDRESS", "ip neigh", *_ATTEMPTS),
    ),
    "no_port": Entry(
        f"one of those that {OTHERS['NO_PORT']}",
        "very many connections to one destination, most in TIME_WAIT",
        "EADDRNOTAVAIL; net.ipv4.ip_local_port_range, net.ipv4.tcp_tw_reuse, fewer and longer"
        " connections",
        ("tcptrace ports -d 10", *_ATTEMPTS),
    ),
    "denied": Entry(
        f"one of those that {OTHERS['DENIED']}",
        "a container's network policy, SELinux, AppArmor, seccomp",
        "EPERM, EACCES",
        ("bpftool cgroup tree", *_ATTEMPTS),
    ),
    "aborted": Entry(
        f"one of those that {OTHERS['ABORTED']}",
        "a caller that tries several addresses at once and keeps the first, or changes its mind",
        "nothing, if another attempt went well",
        _ATTEMPTS,
    ),
    "syn_ack_timeout": Entry(
        "a listener here got no final ACK to its SYN-ACK and gave up",
        "a client that went away, a SYN flood, an answer that is lost on its way back",
        "from where; net.ipv4.tcp_synack_retries limits how long",
        ("tcptrace handshakes --by role,peer/24 -d 10", *_LISTENERS),
    ),
    "queue_full": Entry(
        f"one of those that {OTHERS['QUEUE_FULL']}",
        "the process accepts too slowly, or its backlog is too short",
        "accept_queue_full",
        ("tcptrace accepts -d 10", *_LISTENERS),
    ),
}
ENDS: dict[str, Entry] = {
    "fin": Entry("both sides closed it", "the usual end", "who closed first", _ENDED),
    "rst_sent": Entry(
        "this side broke it off with a RST",
        "close() with data unread, SO_LINGER 0, data that came after close()",
        "`by` of the RST",
        ("tcptrace resets -d 10",),
    ),
    "rst_received": Entry(
        "a RST came",
        "the peer's close, crash or restart, or a timeout of something on the way",
        "how long it had been silent; `refused`: nobody listened",
        ("tcptrace resets -d 10",),
    ),
    "timeout": Entry(
        "the kernel gave up: what was sent, or asked by a keepalive probe, was not acknowledged",
        "the peer, or the way to it, is gone",
        "ETIMEDOUT",
        ("tcptrace connections --failed -d 10",),
    ),
    "aborted": Entry(
        "an attempt that its caller, or the network, broke off",
        "a timeout of the application's, no route, no port",
        "its errno",
        _ATTEMPTS,
    ),
    "killed": Entry("killed, as `ss -K` does", "an administrator, a service manager", "", _ENDED),
}
CLOSED_BY: dict[str, Entry] = {
    "local": Entry("our FIN came first: TIME_WAIT is ours", commands=_ENDED),
    "remote": Entry("the peer's FIN came first: TIME_WAIT is the peer's", commands=_ENDED),
    "both": Entry("the FINs crossed", commands=_ENDED),
    "abort": Entry("there was no FIN first: it was reset, timed out or killed", commands=_ENDED),
}
RESENDS: dict[str, Entry] = {
    "rto": Entry(
        "a timer ran out, and nothing was heard meanwhile",
        "all of a flight was lost, the peer or the way is gone; each doubles the wait",
        "to whom: one peer alone is that peer's way",
        ("tcptrace retransmits --by type,peer/24 -d 10",),
        "RFC 6298",
    ),
    "slow_start": Entry(
        "what follows on a timeout, as ACKs come again",
        "as of rto",
        "the rto before it",
        _RESENT,
        "RFC 5681",
    ),
    "fast": Entry(
        "ACKs told of the loss, and it was sent again at once",
        "a packet lost among others: congestion, a full queue, a bad link",
        "its share of what is sent: below 1 % is common on long ways",
        ("tcptrace retransmits --by netns,peer/24 -d 10",),
        "RFC 6675, RFC 8985",
    ),
    "tlp": Entry(
        "a probe: the last segment again, as no ACK came for two round trips",
        "the end of a flight was lost, or the ACK is late",
        "a peer that acknowledges late makes them without any loss",
        _RESENT,
        "RFC 8985, 7",
    ),
    "syn": Entry(
        "a SYN without an answer, sent again, first after 1 s",
        UNANSWERED,
        "who is not answered",
        ("tcptrace handshakes -d 10",),
    ),
    "synack": Entry(
        "a SYN-ACK whose final ACK is missing, sent again",
        "the client is gone, or the accept queue is full and the ACK was thrown away",
        "`acked` of its record: its ACK had come",
        (*_RESENT, "tcptrace listeners -d 10"),
    ),
    "other": Entry("sent again for what this version has no name for", commands=_RESENT),
}
