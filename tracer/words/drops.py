"""What usually makes the kernel give a reason to drop, and what to look at then.

What the reasons mean is told in tracer/wire/reasons.py; of those without a line here the layer
tells what to look at.
"""

from __future__ import annotations

from tracer.words.counters import Hint

_DROPS = ("tcptrace drops -d 10",)
_UNREAD = ("tcptrace connections --open --sort recv-q",)
_MEMORY = ("cat /proc/net/sockstat", "sysctl net.ipv4.tcp_mem net.ipv4.tcp_rmem")
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
        ("tcptrace drops --packets --by reason,peer -d 10",),
    ),
    "TCP_ZEROWINDOW": Hint("a process that does not read", "RECV-Q by process", _UNREAD),
    "TCP_OFO_DROP": Hint("loss on the way, a small receive buffer", "net.ipv4.tcp_rmem", _MEMORY),
    "TCP_OFO_QUEUE_PRUNE": Hint(
        "loss on the way, and a process that reads too slowly", "RECV-Q by process", _UNREAD
    ),
    "TCP_RFC7323_PAWS": Hint(
        "packets that came very late, or several hosts behind one address whose clocks differ",
        "whether the peers are behind NAT",
        ("tcptrace drops --packets --by reason,peer -d 10",),
    ),
    "TCP_INVALID_SEQUENCE": Hint(
        "old or forged packets, or a middlebox that rewrites numbers",
        "from whom",
        ("tcptrace drops --packets --by reason,peer -d 10",),
    ),
    "TCP_ABORT_ON_DATA": Hint(
        "the peer sends on to what was closed here", "data_after_close", ("tcptrace resets -d 10",)
    ),
    "TCP_CSUM": Hint(
        "a broken link, card or memory, or a middlebox", "the device's errors", ("ip -s -s link",)
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
    "BPF_CGROUP_EGRESS": Hint(
        "a unit's IPAddressDeny=, a container's network policy",
        "the programs of its control group",
        ("bpftool cgroup tree",),
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
