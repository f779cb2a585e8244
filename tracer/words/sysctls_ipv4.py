"""Settings of the kernel below net.ipv4 that bear on TCP."""

from __future__ import annotations

from tracer.words.entry import Entry

SOURCE = "Documentation/networking/ip-sysctl.rst"
_OPEN = "tcptrace connections --open"


def _ip(meaning: str, cause: str = "", look: str = "", *commands: str) -> Entry:
    return Entry(meaning, cause, look, commands, SOURCE)


# by the part behind net.ipv4.
IPV4: dict[str, Entry] = {
    "tcp_max_syn_backlog": _ip(
        "how many half-open connections there may be; with cookies off three quarters of it are"
        " open to all, and the last quarter is kept for peers that are known. A listener's own"
        " limit, that of its accept queue, comes first",
        "raised for bursts of new connections",
        "syn_queue_full and syn_queue_reserve among dropped SYNs",
        "tcptrace drops --syn -d 10",
    ),
    "tcp_syncookies": _ip(
        "1: a full SYN queue is met with cookies, which need no memory and lose some options;"
        " 0: with dropped SYNs; 2: always cookies",
        "0 where options must not be lost; hardening guides ask for 1",
        "SyncookiesSent, SyncookiesRecv, SyncookiesFailed",
        "tcptrace listeners -d 10",
    ),
    "tcp_abort_on_overflow": _ip(
        "1: a finished handshake that finds the accept queue full is answered with a RST; 0: with"
        " silence, so that the client tries again",
        "set to fail fast; a short burst then breaks connections that would have come through",
        "accept_queue_full among dropped SYNs and ACKs",
        "tcptrace drops --syn -d 10",
    ),
    "tcp_syn_retries": _ip(
        "how often an unanswered SYN is sent again before connect() fails with ETIMEDOUT: 6 is"
        " 131 s (127 s before Linux 6.5)",
        "lowered so that callers without a timeout of their own fail sooner",
        "attempts that nobody answered",
        "tcptrace handshakes --failed -d 10",
    ),
    "tcp_syn_linear_timeouts": _ip(
        "so many of the first SYNs are sent again 1 s apart, before the wait doubles each time"
        " (since Linux 6.5)",
    ),
    "tcp_synack_retries": _ip(
        "how often a SYN-ACK is sent again before the half-open connection is given up: 5 is 63 s",
        "lowered under a flood of SYNs",
        "SYN-ACKs sent again, and syn_ack_timeout",
        "tcptrace handshakes --by role -d 10",
    ),
    "tcp_retries1": _ip("after so many timeouts the route is looked up anew"),
    "tcp_retries2": _ip(
        "how many timeouts in a row end a connection with ETIMEDOUT: 15 is some 15 minutes, more"
        " or less by the round trip",
        "lowered, or TCP_USER_TIMEOUT set by the application, where a dead peer must be noticed",
        "segments sent again, LAST RTO",
        "tcptrace retransmits -d 10",
    ),
    "tcp_orphan_retries": _ip(
        "how many timeouts end a connection whose process has closed it; 0 stands for 8",
        "",
        "FIN_WAIT1 and LAST_ACK without an owner",
        f"{_OPEN} --state fin-wait1",
    ),
    "tcp_max_orphans": _ip(
        "how many connections may outlive their close(); those beyond are reset",
        "",
        "TcpExtTCPAbortOnMemory; orphans in sockstat",
        "cat /proc/net/sockstat",
    ),
    "tcp_max_tw_buckets": _ip(
        "how many TIME_WAIT sockets there may be; beyond that a connection ends without one",
        "",
        "TcpExtTCPTimeWaitOverflow",
        "ss -tan state time-wait | wc -l",
    ),
    "tcp_tw_reuse": _ip(
        "1: connect() may take the port of a connection in TIME_WAIT after a second, where"
        " timestamps are in use; 2 (the default): on loopback alone; 0: never. It does nothing for"
        " those that accept",
        "set where one host makes very many connections to one destination",
        "EADDRNOTAVAIL, no_port; longer connections are the better cure",
        "tcptrace ports -d 10",
    ),
    "tcp_tw_reuse_delay": _ip("how long, in ms, net.ipv4.tcp_tw_reuse lets TIME_WAIT be: 1000"),
    "tcp_tw_recycle": _ip(
        "gone since Linux 4.12: it broke clients behind NAT. What still sets it can be deleted",
    ),
    "tcp_fin_timeout": _ip(
        "how long a connection that its process has closed waits in FIN_WAIT2 for the peer's FIN:"
        " 60 s. It does not shorten TIME_WAIT",
        "",
        "FIN_WAIT2",
        f"{_OPEN} --state fin-wait2 --sort age",
    ),
    "ip_local_port_range": _ip(
        "the local ports that connect() picks from: 32768 to 60999, 28232 of them, for each"
        " destination",
        "widened where one host makes very many connections to one destination",
        "EADDRNOTAVAIL, no_port; ports of services in the range belong into"
        " net.ipv4.ip_local_reserved_ports",
        "tcptrace ports -d 10",
    ),
    "ip_local_reserved_ports": _ip("ports of that range that connect() is not to pick"),
    "ip_unprivileged_port_start": _ip("ports below it can be bound by the privileged alone"),
    "ip_nonlocal_bind": _ip("1: an address that is not this host's may be bound"),
    "ip_forward": _ip("1: packets are passed on between devices"),
    "tcp_keepalive_time": _ip(
        "silence, in seconds, before the first keepalive probe, of sockets that ask for them: 7200",
        "lowered, or TCP_KEEPIDLE set, below the idle timeout of whatever stands on the way",
        "how long connections had been silent when a RST came",
        "tcptrace resets -d 10",
    ),
    "tcp_keepalive_intvl": _ip("seconds between keepalive probes that are not answered: 75"),
    "tcp_keepalive_probes": _ip(
        "so many unanswered keepalive probes end a connection with ETIMEDOUT: 9"
    ),
    "tcp_rmem": _ip(
        "receive buffer, bytes: least, at first, most. The kernel grows it up to the third as data"
        " is read; SO_RCVBUF turns that off",
        "raised for fast and long ways: rate times round trip must fit",
        "LIMITED by the window, at the sender; RECV-Q here",
        f"{_OPEN} --sort limited",
    ),
    "tcp_wmem": _ip(
        "send buffer, bytes: least, at first, most. The kernel grows it up to the third; SO_SNDBUF"
        " turns that off",
        "raised for fast and long ways",
        "LIMITED by the buffer",
        f"{_OPEN} --sort limited",
    ),
    "tcp_mem": _ip(
        "memory of all of TCP, in pages: below the first all is well, above the second it is held"
        " back, above the third packets are dropped. Set from the machine's memory at boot",
        "",
        "mem of TCP in sockstat; TcpExtTCPMemoryPressures, PROTO_MEM",
        "cat /proc/net/sockstat",
    ),
    "tcp_moderate_rcvbuf": _ip("1: receive buffers grow by themselves, up to net.ipv4.tcp_rmem"),
    "tcp_window_scaling": _ip("1: windows above 64 KB; off, a long way is slow whatever the rest"),
    "tcp_timestamps": _ip(
        "1: timestamps in segments, for round trips and against old duplicates;"
        " net.ipv4.tcp_tw_reuse needs them"
    ),
    "tcp_sack": _ip("1: ACKs tell which segments came; off, each loss takes a round trip"),
    "tcp_dsack": _ip("1: the peer is told of what came twice"),
    "tcp_congestion_control": _ip(
        "congestion control of new connections: such as cubic or bbr",
        "",
        "CC",
        "sysctl net.ipv4.tcp_available_congestion_control",
    ),
    "tcp_available_congestion_control": _ip("those that are loaded; modules may bring more"),
    "tcp_allowed_congestion_control": _ip("those that a process without privileges may choose"),
    "tcp_slow_start_after_idle": _ip(
        "1: after a silence longer than a timeout the congestion window begins anew",
        "set to 0 for connections that are bursts with pauses",
        "CWND",
        f"{_OPEN} --sort cwnd",
    ),
    "tcp_notsent_lowat": _ip("unsent bytes up to which a socket counts as writable"),
    "tcp_limit_output_bytes": _ip("bytes of one connection that may wait below TCP, in qdiscs"),
    "tcp_autocorking": _ip("1: small writes wait a moment for those before them to leave"),
    "tcp_mtu_probing": _ip(
        "1: if large packets vanish on the way, smaller ones are tried; 2: always; 0: never",
        "1 where ICMP is filtered and connections hang after their first bytes",
        "retransmits of full segments alone",
        "tcptrace retransmits -d 10",
    ),
    "tcp_base_mss": _ip("where that search for a packet size begins"),
    "tcp_fastopen": _ip("bits: 1 data in the SYN for those that connect, 2 for those that listen"),
    "tcp_ecn": _ip("1: ECN is asked for and taken; 2: taken where a peer asks; 0: off"),
    "tcp_reordering": _ip("how far packets may overtake each other before that is taken for loss"),
    "tcp_recovery": _ip("bit 1: loss is told by time (RACK, RFC 8985)"),
    "tcp_early_retrans": _ip("3: probes for a lost end of a flight (TLP, RFC 8985); 0: none"),
    "tcp_frto": _ip("on: after a timeout it is found out whether it was needless (RFC 5682)"),
    "tcp_rto_min_us": _ip("the least timeout of new sockets, in us: 200000 (since Linux 6.11)"),
    "tcp_rto_max_ms": _ip("the greatest timeout of new sockets, in ms: 120000 (since Linux 6.15)"),
    "tcp_rfc1337": _ip("1: a RST does not end TIME_WAIT early"),
    "tcp_no_metrics_save": _ip("1: nothing is remembered of a peer for the next connection"),
    "tcp_migrate_req": _ip(
        "1: when a listener closes, its queues go to another one of the same SO_REUSEPORT group",
        "set for servers whose workers come and go",
        "listener_closed among RSTs",
        "tcptrace resets -d 10",
    ),
    "tcp_invalid_ratelimit": _ip("the least time, in ms, between ACKs that answer what is amiss"),
    "tcp_challenge_ack_limit": _ip("how many suspicious RSTs and SYNs a second are asked about"),
    "tcp_min_tso_segs": _ip("segments that are handed to the device at once, at least"),
    "tcp_adv_win_scale": _ip("obsolete since Linux 6.6: overhead of the receive buffer"),
    "conf.all.rp_filter": _ip(
        "1: a packet whose answer would leave by another device is dropped; 2: one from where no"
        " route leads; the greater of this and the device's own counts",
        "1 with several ways to a peer drops good packets",
        "IP_RPFILTER among drops, TcpExtIPReversePathFilter",
        "tcptrace drops -d 10",
    ),
    "conf.all.route_localnet": _ip(
        "1: addresses of 127.0.0.0/8 may come and go by other devices than the loopback"
    ),
    "conf.all.arp_filter": _ip("1: ARP is answered by the device that a packet would leave by"),
    "neigh.default.gc_thresh1": _ip("up to so many neighbours none is forgotten"),
    "neigh.default.gc_thresh2": _ip("above it neighbours are forgotten after 5 s"),
    "neigh.default.gc_thresh3": _ip(
        "how many neighbours (ARP entries) there may be; beyond it packets are dropped",
        "raised on large flat networks and container hosts",
        "NEIGH_CREATEFAIL; `table overflow` in the kernel's log",
        "ip neigh | wc -l",
    ),
    "icmp_ratelimit": _ip("the least time, in ms, between ICMP answers to one peer"),
    "icmp_msgs_per_sec": _ip("ICMP answers a second to all"),
}
