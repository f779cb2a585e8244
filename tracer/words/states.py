"""States of TCP sockets, in the order of the kernel's numbers (include/net/tcp_states.h)."""

from __future__ import annotations

from tracer.words.entry import Entry

_RFC = "RFC 9293, 3.3.2"
# why one stays there for long; also told of single connections on the screen
UNANSWERED = "the peer is down, a firewall keeps silent, or its listener drops SYNs"
UNFINISHED = "data may still be on its way, or the peer is gone"

STATES: dict[str, Entry] = {
    "ESTABLISHED": Entry(
        "the handshake is finished and neither side has closed: both may send",
        "the normal life of a connection; one that is idle for very long belongs to a pool, or its"
        " peer went away without a word",
        "AGE and IDLE; RECV-Q: this process does not read; SEND-Q: the peer does not acknowledge;"
        " an owner marked (listener): it still waits for accept()",
        ("tcptrace connections --open --state established --sort idle",),
        _RFC,
        ("ESTAB",),
    ),
    "SYN_SENT": Entry(
        "connect() has sent a SYN and waits for the answer",
        UNANSWERED,
        "to whom they go: one peer alone tells of that peer, many of this machine's own way out."
        " net.ipv4.tcp_syn_retries limits how long the kernel tries",
        (
            "tcptrace handshakes -d 10",
            "tcptrace connections --open --state syn-sent --sort age",
        ),
        _RFC,
        ("SYN-SENT",),
    ),
    "SYN_RECV": Entry(
        "a SYN came and was answered, and the last ACK of the handshake is missing; as a state of"
        " a whole socket Linux has it only with TCP Fast Open, in connects that crossed, and for"
        " the moment in which a handshake ends. What ss and netstat print so is mostly"
        " NEW_SYN_RECV",
        "as of NEW_SYN_RECV",
        "the listener's SYN queue and accept queue",
        ("tcptrace listeners -d 10", "ss -tn state syn-recv"),
        _RFC,
        ("SYN-RECV", "SYN-RECEIVED"),
    ),
    "FIN_WAIT1": Entry(
        "this side has closed; the peer has not acknowledged that",
        UNFINISHED + "; a peer whose receive window is closed does the same",
        "SEND-Q, what is still to be acknowledged, and LIMITED; without an owner it is an orphan,"
        " which the kernel gives up by net.ipv4.tcp_orphan_retries",
        ("tcptrace connections --open --state fin-wait1 --sort send-q",),
        _RFC,
        ("FIN-WAIT-1",),
    ),
    "FIN_WAIT2": Entry(
        "this side has closed and the peer knows; the peer has not closed its own side",
        "the peer still sends, or never closes: there it is in CLOSE_WAIT",
        "the peer's CLOSE_WAIT. After close() the kernel waits net.ipv4.tcp_fin_timeout (60 s),"
        " after shutdown() for ever",
        ("tcptrace connections --open --state fin-wait2 --sort age",),
        _RFC,
        ("FIN-WAIT-2",),
    ),
    "TIME_WAIT": Entry(
        "both sides have closed, this one first; the kernel keeps the pair of addresses for 60 s,"
        " so that late packets of it are not taken for another connection's",
        "whoever closes first has it, which is as it should be; very many come from a client or"
        " proxy that makes a connection for each request",
        "only local ports can run out: to one destination there are as many as"
        " net.ipv4.ip_local_port_range holds. Keep connections open; net.ipv4.tcp_tw_reuse helps"
        " those who connect",
        ("tcptrace ports --now", "tcptrace states --now", "ss -tan state time-wait | wc -l"),
        "RFC 9293, 3.3.2; include/net/tcp.h: TCP_TIMEWAIT_LEN",
        ("TIME-WAIT",),
    ),
    "CLOSE": Entry(
        "no connection: a socket before connect() or listen(), or after its end",
        "a new socket, or one that was closed on both sides, reset, given up or killed",
        "what it came from: how connections ended, and with which error",
        ("tcptrace connections -d 10", "tcptrace events --state close -d 10"),
        _RFC,
        ("CLOSED", "UNCONN"),
    ),
    "CLOSE_WAIT": Entry(
        "the peer has closed; the process here has not",
        "the process does not read on, or has read the end and never calls close(): many and old"
        " ones are a leak of its own, which no setting of the kernel's ends",
        "whose they are, how old, and RECV-Q: 0, it was told of the end and did not close; more,"
        " it does not even read",
        (
            "tcptrace connections --open --state close-wait --sort age --limit 10",
            "tcptrace events --state close-wait",
        ),
        _RFC,
        ("CLOSE-WAIT",),
    ),
    "LAST_ACK": Entry(
        "both sides have closed, the peer first; the ACK of our FIN is missing",
        "a moment of every close; long ones: the peer is gone, or what we sent is lost",
        "segments sent again to that peer",
        (
            "tcptrace connections --open --state last-ack --sort age",
            "tcptrace retransmits -d 10",
        ),
        _RFC,
        ("LAST-ACK",),
    ),
    "LISTEN": Entry(
        "a listening socket: it takes handshakes, and accept() takes the finished ones from it",
        "listen()",
        "its two queues: how deep, how deep they were, and their limits. ss prints the accept"
        " queue's depth as Recv-Q and its limit as Send-Q",
        ("tcptrace listeners -d 10", "ss -tlnp"),
        _RFC,
        ("LISTENING",),
    ),
    "CLOSING": Entry(
        "both sides closed at the same time; the ACK of our FIN is missing",
        "FINs that crossed; rare, and over within a round trip",
        "if it lasts: the peer is gone, or packets are lost",
        ("tcptrace connections --open --state closing",),
        _RFC,
    ),
    "NEW_SYN_RECV": Entry(
        "a half-open connection in a listener's SYN queue: its SYN was answered, the last ACK of"
        " the handshake is missing. ss and netstat print it as SYN-RECV, SYN_RECV",
        "a client that went away, a SYN flood, a SYN-ACK that is lost on its way; or the ACK came"
        " and found the accept queue full",
        "SYNQ and QUEUE of the listener; SYN-ACKs sent again. net.ipv4.tcp_synack_retries limits"
        " how long the kernel keeps it",
        ("tcptrace listeners -d 10", "tcptrace retransmits --by type -d 10"),
        "include/net/tcp_states.h: TCP_NEW_SYN_RECV",
    ),
}
