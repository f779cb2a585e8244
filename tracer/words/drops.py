"""What usually makes the kernel give a reason to drop, and what to look at then.

What the reasons mean is told in tracer/wire/reasons.py; of those without a line here the layer
tells what to look at.
"""

from __future__ import annotations

from tracer.words.counters import Hint

_DROPS = ("tcptrace drops -d 10",)
_UNREAD = ("tcptrace connections --open --sort recv-q",)
_MEMORY = ("cat /proc/net/sockstat", "sysctl net.ipv4.tcp_mem net.ipv4.tcp_rmem")
_BY_PEER = ("tcptrace drops --packets --by reason,peer -d 10",)
_WAY = ("ip route get ADDRESS", "ip neigh")

HINTS: dict[str, Hint] = {
    "NO_SOCKET": Hint(
        "a server that is down or restarting, a scan, or packets of a connection that is over",
        "which port, from whom; SYNs are answered with a RST",
        ("tcptrace drops --packets --by lport,peer -d 10", "tcptrace resets -d 10", "ss -tlnp"),
    ),
    "NETFILTER_DROP": Hint(
        "a rule, or the policy of a chain",
        "the rule whose counter moves",
        ("nft list ruleset", "iptables -L -n -v", *_DROPS),
    ),
    "PROTO_MEM": Hint(
        "a process that does not read, or very many buffers at once",
        "RECV-Q by process; memory of TCP beside its limit",
        (*_UNREAD, *_MEMORY),
    ),
    "SOCKET_RCVBUFF": Hint("a process that reads too slowly", "RECV-Q by process", _UNREAD),
    "SOCKET_BACKLOG": Hint(
        "one connection takes in more than the process can copy meanwhile",
        "TcpExtTCPBacklogDrop; which process is busy",
        ("tcptrace counters -d 10", *_UNREAD),
    ),
    "TCP_LISTEN_OVERFLOW": Hint(
        "a process that accepts too slowly",
        "accept_queue_full",
        ("tcptrace accepts -d 10", "tcptrace listeners -d 10"),
    ),
    "TCP_OVERWINDOW": Hint(
        "a peer that sends beyond what was offered, or a stranger's packet",
        "TcpExtBeyondWindow; from whom",
        _BY_PEER,
    ),
    "TCP_ZEROWINDOW": Hint("a process that does not read", "RECV-Q by process", _UNREAD),
    "TCP_OFO_DROP": Hint("loss on the way, a small receive buffer", "net.ipv4.tcp_rmem", _MEMORY),
    "TCP_OFO_QUEUE_PRUNE": Hint(
        "loss on the way, and a process that reads too slowly", "RECV-Q by process", _UNREAD
    ),
    **dict.fromkeys(
        ("TCP_RFC7323_PAWS", "TCP_RFC7323_TW_PAWS"),
        Hint(
            "packets that came very late, or several hosts behind one address whose clocks differ",
            "whether the peers are behind NAT",
            _BY_PEER,
        ),
    ),
    **dict.fromkeys(
        (
            *("TCP_INVALID_SEQUENCE", "TCP_INVALID_END_SEQUENCE", "TCP_INVALID_ACK_SEQUENCE"),
            *("TCP_INVALID_SYN", "TCP_TOO_OLD_ACK", "TCP_ACK_UNSENT_DATA", "TCP_RFC7323_TSECR"),
        ),
        Hint(
            "old or forged packets, a peer that restarted, or a middlebox that rewrites numbers",
            "from whom",
            _BY_PEER,
        ),
    ),
    **dict.fromkeys(
        (
            *("TCP_AUTH_HDR", "TCP_MD5NOTFOUND", "TCP_MD5UNEXPECTED", "TCP_MD5FAILURE"),
            *("TCP_AONOTFOUND", "TCP_AOUNEXPECTED", "TCP_AOKEYNOTFOUND", "TCP_AOFAILURE"),
        ),
        Hint("keys that differ at the two ends, as of BGP sessions", "whose session", _BY_PEER),
    ),
    "TCP_FASTOPEN": Hint(
        "a packet before the handshake's end that a Fast Open socket takes no heed of",
        "nothing, while they are few",
        _BY_PEER,
    ),
    "SOCKET_CLOSE": Hint(
        "a process that closed, or ended, with packets on their way",
        "who closed first",
        ("tcptrace connections -d 10",),
    ),
    **dict.fromkeys(
        ("SOCKET_FILTER", "BPF_CGROUP_EGRESS"),
        Hint(
            "a filter of the process's own; a unit's IPAddressDeny=, a container's network policy",
            "the programs of its control group",
            ("bpftool cgroup tree",),
        ),
    ),
    "PFMEMALLOC": Hint("the machine is out of memory", "memory", ("dmesg | tail", *_MEMORY)),
    "SECURITY_HOOK": Hint(
        "SELinux, Smack or a BPF LSM", "the audit log", ("journalctl -k | grep -i denied",)
    ),
    "XFRM_POLICY": Hint(
        "a packet in clear where IPsec is asked for, or the reverse",
        "the policies",
        ("ip xfrm policy", "cat /proc/net/xfrm_stat"),
    ),
    **dict.fromkeys(
        ("IP_CSUM", "ICMP_CSUM", "UDP_CSUM", "TCP_CSUM", "IP_INHDR"),
        Hint(
            "a broken link, card or memory, a middlebox, or crafted packets",
            "the device's errors",
            ("ip -s -s link", "ethtool -S DEV"),
        ),
    ),
    **dict.fromkeys(
        ("IP_INADDRERRORS", "IP_LOCAL_SOURCE", "IP_INVALID_SOURCE", "IP_INVALID_DEST"),
        Hint(
            "forged addresses, a wrong setting of the sender's, or a loop of bridges",
            "from which device",
            ("tcptrace drops --packets --by reason,dev,peer -d 10",),
        ),
    ),
    "IP_LOCALNET": Hint(
        "forged addresses, or a rule that turns a destination into 127.0.0.1",
        "net.ipv4.conf.all.route_localnet",
        ("nft list ruleset",),
    ),
    **dict.fromkeys(
        ("FRAG_REASM_TIMEOUT", "FRAG_TOO_FAR"),
        Hint(
            "loss, or a firewall that drops fragments without ports",
            "who sends fragments at all; TCP has no need of them",
            ("tcptrace counters -d 10",),
        ),
    ),
    "IPV6DISABLED": Hint(
        "IPv6 switched off on one device alone",
        "net.ipv6.conf.all.disable_ipv6 and that of the device",
        ("sysctl -a --pattern disable_ipv6",),
    ),
    **dict.fromkeys(
        ("TC_INGRESS", "TC_EGRESS"),
        Hint(
            "a filter of tc's, often a container network's BPF program",
            "what is attached",
            ("tc filter show dev DEV ingress", "bpftool net"),
        ),
    ),
    "QDISC_CONGESTED": Hint(
        "a qdisc that keeps its queue short (codel, red, pie): the sender is to slow down",
        "its backlog",
        ("tc -s qdisc show",),
    ),
    "FQ_HORIZON_LIMIT": Hint(
        "a pacing rate, or SO_TXTIME, out of all reason", "fq's horizon", ("tc -s qdisc show",)
    ),
    "DEV_READY": Hint("a device that was just taken down", "the link", ("ip -s link",)),
    "UNHANDLED_PROTO": Hint(
        "LLDP, spanning tree and the like, for which this host has no taker: mostly harmless",
        "which protocol",
        ("tcpdump -c 10 -e not ip and not ip6 and not arp",),
    ),
    "TCP_ABORT_ON_DATA": Hint(
        "the peer sends on to what was closed here", "data_after_close", ("tcptrace resets -d 10",)
    ),
    "TCP_FLAGS": Hint(
        "a scan, or a packet for a connection that was forgotten",
        "from whom",
        ("tcptrace drops -w dropped.pcapng -d 10",),
    ),
    "TCP_MINTTL": Hint("a peer that is further away than IP_MINTTL allows", "the way", _WAY),
    "IP_RPFILTER": Hint(
        "several ways to a peer, or a forged address",
        "net.ipv4.conf.all.rp_filter and that of the device",
        ("ip route get ADDRESS", "sysctl net.ipv4.conf.all.rp_filter"),
    ),
    "IP_OUTNOROUTES": Hint("a missing route", "the routes", _WAY),
    "IP_INNOROUTES": Hint("a missing route on a host that forwards", "the routes", _WAY),
    "NEIGH_CREATEFAIL": Hint(
        "a large flat network",
        "net.ipv4.neigh.default.gc_thresh3",
        ("ip neigh | wc -l", "dmesg | tail"),
    ),
    "NEIGH_FAILED": Hint("a host that is down, or another VLAN", "the neighbour", _WAY),
    "NEIGH_QUEUEFULL": Hint("a host that does not answer ARP", "the neighbour", _WAY),
    "PKT_TOO_BIG": Hint(
        "a tunnel or link with a smaller MTU, and ICMP that is filtered",
        "the MTU of the way; net.ipv4.tcp_mtu_probing",
        ("ping -M do -s 1472 ADDRESS", "ip route get ADDRESS"),
    ),
    "CPU_BACKLOG": Hint(
        "one CPU gets more than it can work off",
        "softnet_dropped; net.core.netdev_max_backlog",
        ("cat /proc/net/softnet_stat",),
    ),
    "FULL_RING": Hint("the reader of a tap or ring is too slow", "its process", ("ip -s link",)),
    "QDISC_DROP": Hint(
        "more is sent than the link or its shaper takes", "its queue", ("tc -s qdisc show",)
    ),
    "QDISC_OVERLIMIT": Hint(
        "more is sent than the link or its shaper takes", "its limit", ("tc -s qdisc show",)
    ),
    "FQ_FLOW_LIMIT": Hint(
        "one connection with a very large window", "fq's flow_limit", ("tc -s qdisc show",)
    ),
    "XDP": Hint("a load balancer's or firewall's XDP program", "it", ("ip link", "bpftool net")),
    "OTHERHOST": Hint(
        "a capture in promiscuous mode, a bridge, a switch that floods", "nothing", ("ip -d link",)
    ),
    "NOT_SPECIFIED": Hint(
        "a place without a reason of its own",
        "the function that let go of it: AT",
        ("tcptrace events --kind drop -d 10",),
    ),
    "NOMEM": Hint("the machine is short of memory", "memory", ("dmesg | tail", *_MEMORY)),
}
# where nothing is lost
HARMLESS = "nothing is lost with it: `drops` hides and counts it (--all shows it)"
