"""Kinds of JSON records, and the words their members are one of."""

from __future__ import annotations

from tracer.words.entry import Entry


def _by(meaning: str, *commands: str) -> Entry:
    return Entry(meaning, commands=commands)


KINDS: dict[str, Entry] = {
    "state": _by(
        "a socket went from one state to the next: from which, for how long it had been in it",
        "tcptrace events --kind state -j",
    ),
    "accept": _by(
        "accept() returned a connection, or failed: how long it had waited, how many wait still",
        "tcptrace events --kind accept -j",
    ),
    "handshake": _by(
        "an attempt to connect ended, here or at a listener here: how, and after how long",
        "tcptrace events --kind handshake -j",
    ),
    "syn_drop": _by(
        "a listener threw a SYN or a final ACK away: why, and how deep its queues were",
        "tcptrace events --kind syn_drop -j",
    ),
    "reset": _by(
        "a RST was sent, or came and was heeded: what it came from, and what the application gets",
        "tcptrace events --kind reset -j",
    ),
    "error": _by(
        "an application is told of an error on a socket", "tcptrace events --kind error -j"
    ),
    "retransmit": _by(
        "a segment was sent again: why, and how often by now",
        "tcptrace events --kind retransmit -j",
    ),
    "drop": _by(
        "the kernel threw a packet away: why, and in which function",
        "tcptrace events --kind drop -j",
    ),
    "connection": _by(
        "a connection from its begin to its end, or so far if it is open",
        "tcptrace connections -j",
        "tcptrace connections --open -j",
    ),
    "state_summary": _by(
        "a process's sockets by state, and their transitions", "tcptrace states -j"
    ),
    "handshake_summary": _by(
        "attempts to connect, by role and peer or as --by has it", "tcptrace handshakes -j"
    ),
    "accept_summary": _by(
        "accepts of a listener and a process, and how long connections waited",
        "tcptrace accepts -j",
    ),
    "listener": _by("a listening socket and its two queues", "tcptrace listeners -j"),
    "listener_summary": _by(
        "listening sockets put together by --by", "tcptrace listeners --by comm -j"
    ),
    "port_use": _by(
        "local ports from one source to one destination: in use, in TIME_WAIT, free",
        "tcptrace ports -j",
    ),
    "finding": _by(
        "what is wrong, by which numbers, what helps and what that costs", "tcptrace advise -j"
    ),
    "listener_gap": _by(
        "a time in which nobody listened on a port, and whom that turned away",
        "tcptrace resets -j",
    ),
    "counter": _by("one of the kernel's counters, how far it moved", "tcptrace counters -j"),
    "process": _by("what a process carries over TCP", "tcptrace top -j"),
    "peer": _by("what is carried to and from a peer", "tcptrace top --by peer -j"),
    "cgroup": _by("what a control group carries", "tcptrace top --by cgroup -j"),
    "netns": _by("what a network namespace carries", "tcptrace top --by netns -j"),
    "connection_summary": _by(
        "open connections put together by --by", "tcptrace connections --open --by comm,state -j"
    ),
    "reset_summary": _by("RSTs put together", "tcptrace resets -j"),
    "retransmit_summary": _by("segments sent again, put together", "tcptrace retransmits -j"),
    "drop_summary": _by("what was thrown away, put together", "tcptrace drops -j"),
    "device_drop": _by(
        "what a device or a CPU lost before there was a packet buffer, or beside it",
        "tcptrace drops -j",
    ),
    "lost": _by("records that were lost, or come late; never filtered out", "tcptrace events -j"),
    "reconciliation": _by(
        "the kernel's own counter of the same span beside what was told", "tcptrace handshakes -j"
    ),
    "probe": _by("what doctor found of one subject, or its self-test did", "tcptrace doctor -j"),
    "capability": _by("a capability, what for, and whether it has it", "tcptrace doctor -j"),
    "term": _by("what a name means: this", "tcptrace explain CLOSE_WAIT -j"),
}
LOST: dict[str, Entry] = {
    "buffer": Entry(
        "records that found the buffer to user space full",
        "more events than the machine could take in",
        "a filter, a summary instead of lines, or larger buffers",
        ("tcptrace states -d 10", "tcptrace events --buffer-pages 4096 --lport 443"),
    ),
    "missed": Entry(
        "events that the kernel did not show: it runs no program inside itself",
        "an interrupt came while the same program ran on that CPU",
        "the kernel's own counters under the table, which count them all the same; a better way to"
        " attach, if doctor names one",
        ("tcptrace doctor",),
    ),
    "map": Entry(
        "sockets that found no room where their states are kept",
        "more sockets than --sockets",
        "more room",
        ("tcptrace events --sockets 1000000",),
    ),
    "limited": Entry(
        "records left out by a stated limit a second; counts stay exact",
        "a storm of drops",
        "the summary",
        ("tcptrace drops -d 10",),
    ),
    "late": Entry(
        "records shown out of their order in time; not lost",
        "a CPU that was slow to give its records",
        "`mono_ns`, which has the true order",
    ),
}
OWNERS: dict[str, Entry] = {
    "process": Entry("a process that connected, listened, accepted or holds the descriptor"),
    "listener": Entry(
        "not accepted yet: the owner of the listener answers for it",
        look="how long it waits for accept()",
        commands=("tcptrace accepts -d 10",),
    ),
    "kernel": Entry("a socket of the kernel's own, as of NFS"),
    "exited": Entry(
        "the process has ended, and the socket lives on: the kernel finishes what it left",
        look="FIN_WAIT1, LAST_ACK, TIME_WAIT",
    ),
    "unknown": Entry(
        "nobody is known to hold it",
        "mostly TIME_WAIT older than the tracer; sockets in flight between processes; descriptors"
        " of io_uring",
    ),
}
OWNER_FROM: dict[str, Entry] = {
    "socket": Entry("the dropped packet had a socket, whose owner it is"),
    "listener_port": Entry(
        "there was no socket: it is who listens on the port, or did within the last 10 minutes"
    ),
    "none": Entry("neither socket nor listener: nobody is known"),
}
LAYERS: dict[str, Entry] = {
    "device": Entry(
        "the network device, its driver, or what stands between it and IP",
        "a full ring or backlog, a device that is down, XDP",
        "the device's counters",
        ("ip -s link", "tcptrace counters -d 10"),
    ),
    "qdisc": Entry(
        "the queue in front of a device, or a tc filter",
        "more is sent than the device or its shaper takes",
        "what each qdisc dropped",
        ("tc -s qdisc show", "tc -s filter show dev DEV"),
    ),
    "ip": Entry(
        "IP: routes, neighbours, fragments, IPsec",
        "no route, a next hop that does not answer, addresses that cannot be",
        "the route and the neighbour",
        ("ip route get ADDRESS", "ip neigh", "tcptrace counters -d 10"),
    ),
    "netfilter": Entry(
        "the firewall of this machine or network namespace",
        "a rule that drops, or connection tracking that is full",
        "the rules and their counters",
        ("nft list ruleset", "iptables -L -n -v", "conntrack -S"),
    ),
    "tcp": Entry(
        "TCP itself: ports, sequence numbers, queues of listeners, memory",
        "nobody listens; full queues; old or forged packets",
        "the reason",
        ("tcptrace events --kind drop -d 10", "tcptrace counters -d 10"),
    ),
    "socket": Entry(
        "the socket: its buffers and filters",
        "a process that reads too slowly, or a filter of its own",
        "unread bytes by process",
        ("tcptrace connections --open --sort recv-q",),
    ),
}
# of members with few words each: member.word
VALUES: dict[str, dict[str, Entry]] = {
    "severity": {
        "info": _by("worth to know, and no trouble by itself", "tcptrace advise"),
        "warn": _by("will be a trouble, or is a small one", "tcptrace advise --fail-on warn"),
        "crit": _by("something is lost, or fails, now", "tcptrace advise --fail-on crit"),
    },
    "role": {
        "active": _by("connect() here", "tcptrace handshakes --by role -d 10"),
        "passive": _by("a peer came to a listener here", "tcptrace handshakes --by role -d 10"),
    },
    "precision": {
        "exact": _by("the moment in which accept() returned is known"),
        "first_io": _by("only the first read or write after accept() was seen: at most then"),
    },
    "latency_from": {
        "syn": _by("from the first SYN to its answer"),
        "synack": _by("from the first SYN-ACK to the final ACK"),
    },
    "stage": {
        "syn": _by("the SYN, which begins a handshake"),
        "ack": _by("the final ACK: for the client it was finished, and it may send already"),
    },
    "answer": {
        "none": _by("nothing: the client tries again"),
        "rst": _by("a RST: net.ipv4.tcp_abort_on_overflow is set"),
        "cookie": _by("a SYN cookie: nothing is lost with it, and it counts as no drop"),
    },
    "answers": {
        "syn": _by("the RST answers a SYN: the client gets ECONNREFUSED"),
        "syn_ack": _by("the RST answers a SYN-ACK that nobody here asked for"),
        "other": _by("the RST answers another packet"),
    },
    "direction": {
        "sent": _by("this machine sent the RST"),
        "received": _by("the RST came, and was heeded"),
        "rx": _by("the packet had come in by a device"),
        "tx": _by("the packet was on its way out"),
    },
    "max_set_by": {
        "listen": _by("listen(backlog) asked for less than net.core.somaxconn"),
        "somaxconn": _by("listen(backlog) asked for more than net.core.somaxconn, which holds"),
    },
    "source": {
        "snmp": _by("/proc/net/snmp: IP, ICMP, TCP, UDP, as nstat has them", "nstat -az"),
        "snmp6": _by("/proc/net/snmp6: the same of IPv6", "nstat -az"),
        "netstat": _by("/proc/net/netstat: TcpExt, IpExt, MPTcpExt", "nstat -az"),
        "dev": _by("/sys/class/net/*/statistics: what any device counts", "ip -s link"),
        "nic": _by("what a device's driver counts itself", "ethtool -S DEV"),
        "softnet": _by("/proc/net/softnet_stat: each CPU's backlog", "cat /proc/net/softnet_stat"),
        "conntrack": _by("connection tracking", "conntrack -S"),
    },
    "status": {
        "works": _by("by the best way there is", "tcptrace doctor"),
        "degraded": _by("by a dearer way, or with less to tell", "tcptrace doctor"),
        "impossible": _by("not on this kernel, or not with these privileges", "tcptrace doctor"),
        "unknown": _by("it could not be tried", "tcptrace doctor"),
    },
    "timewait": {
        "TIME_WAIT": _by("a small socket took over and waits in TIME_WAIT"),
        "FIN_WAIT2": _by("a small socket took over and waits in FIN_WAIT2 for the peer's FIN"),
    },
}
# members whose schema says no more than their name
MEMBERS = {
    "kind": "kind of the record",
    "transitions": "each from a state to the next: how often, and how long the first had lasted",
    "count": "how many there are",
    "sum": "their sum",
    "min": "the least",
    "p50": "half are no greater; quantiles are good to 6 %",
    "p90": "nine of ten are no greater",
    "p99": "99 of 100 are no greater",
    "p999": "999 of 1000 are no greater",
    "max": "the greatest",
    "lport": "the local port",
}
