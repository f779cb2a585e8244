"""What `advise` finds, by the names of its rules."""

from __future__ import annotations

from tracer.words.entry import Entry

_ADVISE = ("tcptrace advise",)


def _found(meaning: str, cause: str, look: str, *commands: str) -> Entry:
    return Entry(meaning, cause, look, (*_ADVISE, *commands))


FINDINGS: dict[str, Entry] = {
    "close-wait-leak": _found(
        "connections that the peer has closed and the program does not: in CLOSE_WAIT, and none of"
        " them leaves it",
        "an error path without close(), a pool or cache that never looks at what it keeps",
        "ages, and where the socket was made: --stack",
        "tcptrace connections --open --state close-wait --sort age",
    ),
    "accept-queue-full": _found(
        "more connections are finished than the program accepts: the queue is full and what comes"
        " is dropped",
        "a slow or blocked program, a burst, a short backlog",
        "which limit binds, listen() or net.core.somaxconn; whether it is a burst",
        "tcptrace listeners -d 10",
    ),
    "syn-queue-full": _found(
        "more SYNs come than ACKs that finish their handshakes: SYNs are dropped or met by cookies",
        "a flood, clients far away, answers that are lost",
        "how many handshakes finish; net.ipv4.tcp_syncookies",
        "tcptrace drops --syn -d 10",
    ),
    "descriptors": _found(
        "a process has no descriptor left, or nearly none: accept(), connect() and open() fail",
        "a leak, or a limit that is too low for so many connections",
        "EMFILE; what it has open, by age",
        "tcptrace connections --open --sort age",
    ),
    "not-reading": _found(
        "bytes wait in a receive buffer, and the program has read none of them all the while",
        "a blocked thread, a lock, a slow disk; backpressure that is meant",
        "RECV-Q, and what its threads do",
        "tcptrace connections --open --sort recv-q -i 1",
    ),
    "held-back": _found(
        "there is data to send and it may not go: the peer's window is full, or the send buffer; or"
        " a connection carries much, and most of the time its own program has nothing for it",
        "a peer that reads slowly, SO_SNDBUF or SO_RCVBUF, small buffers on long ways, a slow disk",
        "LIMITED; the round trip",
        "tcptrace connections --open --sort limited",
    ),
    "receive-buffer": _found(
        "what comes is read at once, and no more than one window comes in each round trip",
        "SO_RCVBUF, net.ipv4.tcp_moderate_rcvbuf=0, a small third value of net.ipv4.tcp_rmem",
        "the round trip times the rate wanted, against the window",
        "tcptrace connections --open --sort in -i 1",
    ),
    "keepalive": _found(
        "connections are silent for long and would not notice that their peer is gone, or peers"
        " were found dead",
        "SO_KEEPALIVE not set, or set with the two hours of net.ipv4.tcp_keepalive_time",
        "IDLE; the idle timeout of load balancers, NAT and firewalls on the way",
        "tcptrace connections --open --sort idle",
    ),
    "idle-timeout": _found(
        "connections are reset after the same silence again and again",
        "a load balancer, NAT, firewall or server that forgets what is idle for so long",
        "how long it had been silent; keepalive probes more often than that",
        "tcptrace resets -d 60",
    ),
    "fin-wait2": _found(
        "connections that were closed or shut down here and whose peers do not close, or do not"
        " acknowledge",
        "a peer that leaks, is gone, or reads nothing; shutdown() without close()",
        "FIN_WAIT2, FIN_WAIT1; net.ipv4.tcp_fin_timeout, net.ipv4.tcp_max_orphans",
        "tcptrace connections --open --state fin-wait2",
    ),
    "listener-gap": _found(
        "nobody listened on a port for a while, and somebody called meanwhile",
        "a restart that closes the old socket first, a crash",
        "how long, who closed it and who opened it: ECONNREFUSED, ECONNRESET at the callers",
        "tcptrace resets -d 60",
    ),
    "ephemeral-ports": _found(
        "a source address has no local port left for a destination, or soon will have none",
        "short connections to one destination, most of them in TIME_WAIT",
        "EADDRNOTAVAIL; opens a second; net.ipv4.tcp_tw_reuse",
        "tcptrace ports -d 10",
    ),
    "failed-connects": _found(
        "attempts of one process to connect to one peer fail",
        "nobody listens, nobody answers, a firewall, an impatient caller",
        "the outcome: refused, timeout, gave_up, unreachable",
        "tcptrace handshakes --failed -d 10",
    ),
    "resets": _found(
        "connections that were in use ended by a RST: the peer's, or ours for bytes left unread",
        "a crash or restart over there, a proxy or firewall that ends them; close() unread",
        "ECONNRESET; by what the RST was sent, on its side",
        "tcptrace resets -d 10 --by peer,errno",
    ),
    "retransmits": _found(
        "more segments are sent again than is usual",
        "loss, reordering or long queues on the way",
        "which peers: one alone is its path",
        "tcptrace retransmits -d 10 --by peer",
    ),
    "lost-before": _found(
        "a device, or a CPU, lost packets before there was one to give a reason for",
        "a full ring, damaged frames, a CPU that was busy, a protocol that nobody takes",
        "the device's own counter of it; net.core.netdev_max_backlog",
        "tcptrace counters -d 10",
    ),
    "packet-filter": _found(
        "rules of this host's own packet filter dropped or rejected packets: nftables or iptables",
        "a firewall that does its work, or a rule that takes too much",
        "which rule counts, and whose packets they are: NETFILTER_DROP",
        "tcptrace drops -d 10 --packets --by reason,lport,peer",
    ),
    "dropped-here": _found(
        "packets came to this host and it threw them away",
        "full buffers, short memory, rp_filter, wrong checksums",
        "the kernel's counter of it",
        "tcptrace drops -d 10",
    ),
    "time-wait": _found(
        "the table of TIME_WAIT is full, or nearly: connections end without one",
        "very many short connections that this side closes first",
        "net.ipv4.tcp_max_tw_buckets, TcpExtTCPTimeWaitOverflow",
        "tcptrace states --now",
    ),
    "conntrack": _found(
        "the table of connection tracking is full, or nearly: new connections die silently",
        "many short connections, long timeouts, a small table",
        "how full it is, net.netfilter.nf_conntrack_max; ETIMEDOUT at callers",
        "tcptrace counters -d 10",
    ),
}
