"""What usually moves a counter, and what to look at then; what they count is told elsewhere."""

from __future__ import annotations

from typing import NamedTuple


class Hint(NamedTuple):
    """What usually causes it, what to look at next, with which commands."""

    cause: str
    look: str
    commands: tuple[str, ...] = ()


_LISTENERS = ("tcptrace listeners -d 10", "tcptrace drops --syn -d 10")
_ACCEPTS = ("tcptrace accepts -d 10", *_LISTENERS)
_RESETS = ("tcptrace resets -d 10",)
_RESENT = ("tcptrace retransmits -d 10",)
_UNREAD = ("tcptrace connections --open --sort recv-q",)
_MEMORY = ("cat /proc/net/sockstat", "sysctl net.ipv4.tcp_mem")
_ATTEMPTS = ("tcptrace handshakes --failed -d 10",)
_DROPS = ("tcptrace drops -d 10",)
_BY_PEER = ("tcptrace drops --packets --by reason,peer -d 10",)
_LINK = ("ip -s link", "tcptrace counters -d 10")
_CPUS = ("cat /proc/net/softnet_stat", "mpstat -P ALL 1 5")

HINTS: dict[str, Hint] = {
    "TcpExtListenDrops": Hint(
        "a full accept queue (then TcpExtListenOverflows moves with it), a full SYN queue, memory",
        "by cause and owner; each of these made a client wait a second or more",
        _ACCEPTS,
    ),
    "TcpExtListenOverflows": Hint(
        "a process that accepts too slowly, or a short backlog: accept_queue_full",
        "who is to accept, and how long connections wait",
        _ACCEPTS,
    ),
    "TcpExtTCPReqQFullDrop": Hint(
        "a SYN flood, or clients whose final ACK is lost; net.ipv4.tcp_syncookies is 0",
        "where the SYNs come from",
        ("tcptrace drops --syn --by peer/24 -d 10",),
    ),
    "TcpExtTCPReqQFullDoCookies": Hint(
        "a SYN flood, or a short SYN queue", "where the SYNs come from", _LISTENERS
    ),
    "TcpExtSyncookiesSent": Hint(
        "a SYN flood, or a short SYN queue", "SyncookiesRecv: how many were meant", _LISTENERS
    ),
    "TcpExtSyncookiesFailed": Hint(
        "ACKs of connections from before a restart, scans, cookies older than two minutes",
        "RSTs sent by listeners",
        _RESETS,
    ),
    "TcpAttemptFails": Hint(
        "nobody listens there, nobody answers, or half-open ones here were reset",
        "outcomes by peer",
        _ATTEMPTS,
    ),
    "TcpEstabResets": Hint(
        "RSTs either way, timeouts, kills: it counts both sides' doing, whatever netstat calls it",
        "what they came from",
        _RESETS,
    ),
    "TcpOutRsts": Hint(
        "SYNs to ports that nobody has open, close() with data unread, data after close()",
        "by cause and owner",
        _RESETS,
    ),
    "TcpRetransSegs": Hint(
        "loss, or a peer that does not answer",
        "by kind and peer; beside TcpOutSegs as a share",
        ("tcptrace retransmits --by netns -d 10", *_RESENT),
    ),
    "TcpInErrs": Hint("a broken link or card", "the device's own errors", _LINK),
    "TcpInCsumErrors": Hint(
        "a broken link or card, or a middlebox that alters packets", "the device's errors", _LINK
    ),
    "TcpExtTCPTimeouts": Hint("whole flights lost, a peer or way that is gone", "to whom", _RESENT),
    "TcpExtTCPLostRetransmit": Hint(
        "heavy loss: a full queue, a policer, a bad link", "LOST AGAIN by peer", _RESENT
    ),
    "TcpExtTCPSynRetrans": Hint(
        "peers that do not answer; SYNs that listeners drop; full accept queues (SYN-ACKs)",
        "which of the two, and whose",
        ("tcptrace retransmits --by type,peer -d 10", "tcptrace handshakes -d 10"),
    ),
    "TcpExtTCPRetransFail": Hint(
        "no route any more, a device queue that is full, a firewall that drops what goes out",
        "packets dropped on their way out",
        ("tcptrace drops -d 10", "tc -s qdisc show"),
    ),
    "TcpExtTCPAbortOnData": Hint(
        "the peer sends on after close(), or the application sets SO_LINGER 0",
        "data_after_close, linger0",
        _RESETS,
    ),
    "TcpExtTCPAbortOnClose": Hint(
        "an application that closes before it has read all", "app_close_unread", _RESETS
    ),
    "TcpExtTCPAbortOnTimeout": Hint(
        "peers that are gone", "ETIMEDOUT", ("tcptrace connections --failed -d 10",)
    ),
    "TcpExtTCPAbortOnMemory": Hint(
        "net.ipv4.tcp_max_orphans or net.ipv4.tcp_mem reached", "orphans and mem", _MEMORY
    ),
    "TcpExtTCPAbortFailed": Hint("memory is short", "the machine's memory", _MEMORY),
    "TcpExtTCPMemoryPressures": Hint(
        "very many or very large buffers: peers, or processes here, that do not read",
        "who holds it: RECV-Q and SEND-Q by process",
        ("tcptrace connections --open --by comm", *_MEMORY),
    ),
    "TcpExtTCPMemoryPressuresChrono": Hint("as of TcpExtTCPMemoryPressures", "as there", _MEMORY),
    "TcpExtPruneCalled": Hint("a process that reads too slowly", "RECV-Q by process", _UNREAD),
    "TcpExtRcvPruned": Hint("a process that reads too slowly", "RECV-Q by process", _UNREAD),
    "TcpExtOfoPruned": Hint(
        "loss on the way and a small receive buffer", "net.ipv4.tcp_rmem", _UNREAD
    ),
    "TcpExtTCPOFODrop": Hint("loss on the way and no memory", "net.ipv4.tcp_rmem", _UNREAD),
    "TcpExtTCPRcvQDrop": Hint("memory of TCP, or of the socket, is used up", "PROTO_MEM", _MEMORY),
    "TcpExtTCPZeroWindowDrop": Hint(
        "a process that does not read, and a peer that sends all the same", "RECV-Q", _UNREAD
    ),
    "TcpExtTCPToZeroWindowAdv": Hint("a process that reads too slowly", "RECV-Q", _UNREAD),
    "TcpExtTCPBacklogDrop": Hint(
        "one connection takes in more than the process, which holds it meanwhile, can copy",
        "SOCKET_BACKLOG; which process is busy; net.ipv4.tcp_rmem sets the room",
        ("tcptrace drops -d 10", *_UNREAD),
    ),
    "TcpExtBeyondWindow": Hint(
        "a peer that sends more than was offered; strangers' packets", "whose", _BY_PEER
    ),
    "TcpExtTCPTimeWaitOverflow": Hint(
        "more closed connections a minute than net.ipv4.tcp_max_tw_buckets",
        "who closes first, and whether connections could be kept",
        ("ss -tan state time-wait | wc -l", "tcptrace states -d 10"),
    ),
    "TcpExtTCPWqueueTooBig": Hint(
        "many small writes into a connection that does not get on",
        "SEND-Q",
        ("tcptrace connections --open --sort send-q",),
    ),
    "TcpExtTCPFastOpenListenOverflow": Hint(
        "too many connections with data in the SYN", "the backlog of TCP_FASTOPEN", _LISTENERS
    ),
    "TcpExtTCPFastOpenBlackhole": Hint(
        "a middlebox that drops SYNs with data", "which network", _ATTEMPTS
    ),
    "TcpExtTCPMigrateReqFailure": Hint(
        "no other listener of the group, or its queue is full", "net.ipv4.tcp_migrate_req", _RESETS
    ),
    "TcpExtIPReversePathFilter": Hint(
        "several ways to a peer, or forged addresses",
        "net.ipv4.conf.all.rp_filter; IP_RPFILTER among drops",
        ("tcptrace drops -d 10", "ip route get ADDRESS"),
    ),
    "TcpExtPFMemallocDrop": Hint("the machine is out of memory", "memory", ("dmesg | tail",)),
    "TcpExtTCPSACKReneging": Hint("a peer out of memory, or a broken one", "which peer", _RESENT),
    "IpOutNoRoutes": Hint("no default route", "the routes", ("ip route", *_ATTEMPTS)),
    **dict.fromkeys(
        (
            *("rx_errors", "tx_errors", "rx_length_errors", "rx_crc_errors", "rx_frame_errors"),
            *("tx_aborted_errors", "tx_carrier_errors", "tx_heartbeat_errors", "tx_window_errors"),
            *("IpExtInCsumErrors", "IpExtInTruncatedPkts", "UdpInCsumErrors"),
        ),
        Hint(
            "cable, connector, optics or card; duplex that differs at the two ends",
            "what the driver counts",
            ("ethtool -S DEV", "ip -s -s link"),
        ),
    ),
    **dict.fromkeys(
        ("rx_over_errors", "rx_fifo_errors", "tx_fifo_errors"),
        Hint(
            "bursts that the card's memory or ring cannot hold",
            "the ring, and how interrupts are spread",
            ("ethtool -g DEV", *_CPUS),
        ),
    ),
    "IpInHdrErrors": Hint(
        "a loop of routes, which uses up hops; crafted packets", "the way", ("ip route",)
    ),
    **dict.fromkeys(
        ("IpInDiscards", "IpOutDiscards"),
        Hint("memory, a full queue, a rule of the firewall's", "the reasons", _DROPS),
    ),
    **dict.fromkeys(
        ("IpReasmTimeout", "IpReasmFails", "IpExtReasmOverlaps"),
        Hint("loss of fragments, or an attack with them", "who sends fragments", _DROPS),
    ),
    **dict.fromkeys(
        ("IpFragFails", "Ip6InTooBigErrors"),
        Hint(
            "a link or tunnel with a smaller MTU",
            "the MTU of the way; net.ipv4.tcp_mtu_probing",
            ("ip route get ADDRESS",),
        ),
    ),
    "IpExtInNoRoutes": Hint("a host that forwards, and lacks a route", "the routes", ("ip route",)),
    **dict.fromkeys(
        ("UdpInErrors", "UdpRcvbufErrors"),
        Hint("a process that reads its datagrams too slowly", "which", ("ss -uanmp",)),
    ),
    **dict.fromkeys(
        ("UdpSndbufErrors", "UdpMemErrors"),
        Hint("more datagrams than memory or the device takes", "which process", ("ss -uanmp",)),
    ),
    **dict.fromkeys(
        (
            *("TcpExtTCPMD5NotFound", "TcpExtTCPMD5Unexpected", "TcpExtTCPMD5Failure"),
            *("TcpExtTCPAORequired", "TcpExtTCPAOBad", "TcpExtTCPAOKeyNotFound"),
        ),
        Hint("keys that differ at the two ends, as of BGP sessions", "whose session", _BY_PEER),
    ),
    "TcpExtTSEcrRejected": Hint("forged packets, a middlebox", "from whom", _BY_PEER),
    "TcpExtTCPMinTTLDrop": Hint("a peer further off than IP_MINTTL allows", "from whom", _BY_PEER),
    "softnet_flow_limit_count": Hint("one flow that takes up a CPU", "which flow", _CPUS),
    **dict.fromkeys(
        ("nf_conntrack_early_drop", "nf_conntrack_chainlength"),
        Hint(
            "more connections than net.netfilter.nf_conntrack_max, or an attack",
            "nf_conntrack_count",
            ("conntrack -S",),
        ),
    ),
    "nf_conntrack_icmp_error": Hint(
        "late answers about connections that are over", "ICMP that came in", ("conntrack -S",)
    ),
    "rx_dropped": Hint(
        "protocols that nobody takes (often harmless), or no memory", "the driver's own", _LINK
    ),
    "rx_missed_errors": Hint(
        "the CPUs do not fetch packets in time, or the ring is short",
        "softnet_time_squeeze, the ring",
        ("ethtool -g DEV", *_CPUS),
    ),
    "tx_dropped": Hint("a full ring or queue", "the qdisc", ("tc -s qdisc show",)),
    "softnet_dropped": Hint(
        "one CPU gets more than it can work off",
        "net.core.netdev_max_backlog, how interrupts are spread",
        _CPUS,
    ),
    "softnet_time_squeeze": Hint(
        "a busy CPU", "net.core.netdev_budget, how interrupts are spread", _CPUS
    ),
    "nf_conntrack_drop": Hint(
        "more connections than net.netfilter.nf_conntrack_max",
        "nf_conntrack_count",
        ("conntrack -S", "tcptrace counters -d 10"),
    ),
    "nf_conntrack_insert_failed": Hint(
        "two packets of one flow at once, or two flows on one port behind NAT",
        "whether callers see ETIMEDOUT",
        ("conntrack -S",),
    ),
    "nf_conntrack_invalid": Hint(
        "late packets of connections that are over, or ways that differ there and back",
        "net.netfilter.nf_conntrack_tcp_be_liberal",
        ("conntrack -S",),
    ),
}
# of the others, by the beginning of the name; the last that fits
BY_PREFIX: dict[str, tuple[str, ...]] = {
    "": ("tcptrace counters -d 10",),
    "Tcp": ("nstat -az {name}", "tcptrace counters -d 10"),
    "Ip": ("nstat -az {name}", "tcptrace counters -d 10"),
    "Icmp": ("nstat -az {name}", "tcptrace counters -d 10"),
    "Udp": ("nstat -az {name}", "tcptrace counters -d 10"),
    "MPTcp": ("nstat -az {name}", "ss -tiM"),
    "rx_": ("ip -s -s link", "tcptrace counters -d 10"),
    "tx_": ("ip -s -s link", "tcptrace counters -d 10"),
    "softnet_": ("cat /proc/net/softnet_stat", "tcptrace counters -d 10"),
    "nf_conntrack_": ("conntrack -S", "tcptrace counters -d 10"),
}
