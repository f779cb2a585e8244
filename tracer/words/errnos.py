"""Errors that connect(), accept(), read(), write() and their kin give on TCP sockets."""

from __future__ import annotations

from tracer.words.entry import Entry
from tracer.words.errnos_rare import RARE

_CONNECT, _ACCEPT, _BIND = "connect(2)", "accept(2)", "bind(2)"
_ATTEMPTS = ("tcptrace handshakes --failed -d 10",)
_ERRORS = ("tcptrace events --kind error -d 10",)
_BROKEN = ("tcptrace resets -d 10", "tcptrace connections --failed -d 10")
_ACCEPTS = ("tcptrace accepts -d 10",)
_STRACE = ("strace -f -e trace=network -p PID",)
_WAY = ("ip route get ADDRESS", "tcptrace handshakes --failed -d 10")

ERRNOS: dict[str, Entry] = {
    "ECONNREFUSED": Entry(
        "the peer answered the SYN with a RST: nobody listens on that port there",
        "the server is down, restarting, on another port, or bound to another address (127.0.0.1"
        " alone); a firewall that rejects does the same. A full accept queue does not: it is met"
        " with silence, with net.ipv4.tcp_abort_on_overflow by ECONNRESET",
        "on the server: who listens, and on which address; `resets` there tells of times without"
        " a listener, and who closed it",
        ("ss -tlnp", *_ATTEMPTS, "tcptrace resets -d 10"),
        _CONNECT,
    ),
    "ETIMEDOUT": Entry(
        "nobody answered: the kernel gave up",
        "at connect(): every SYN went unanswered (peer down, firewall that drops, full queues);"
        " later: data was sent again until net.ipv4.tcp_retries2, TCP_USER_TIMEOUT or the keepalive"
        " probes ran out",
        "whether the peer is up and what it drops; when it fails after exactly the same time, a"
        " timeout of the application's or of a firewall's is more likely",
        (*_ATTEMPTS, "tcptrace retransmits -d 10", "tcptrace drops -d 10"),
        "connect(2), tcp(7)",
    ),
    "ECONNRESET": Entry(
        "the connection was broken off by a RST",
        "the peer closed with data unread, its process died, a load balancer or firewall forgot an"
        " idle connection, or data came after the peer had closed",
        "how long the connection had been silent: always the same number is an idle timeout;"
        " almost none is a close() with unread data",
        _BROKEN,
        "tcp(7)",
    ),
    "EPIPE": Entry(
        "written to a connection whose sending side is closed here: by shutdown(), or by a RST that"
        " came before; SIGPIPE comes with it unless it is ignored or MSG_NOSIGNAL is given",
        "the peer closed or reset while this process still wrote: the first write after that is"
        " answered with a RST, the next one gets this",
        "who closed first, and whether the process reads the peer's end before it writes",
        _BROKEN,
        "send(2)",
    ),
    "EADDRNOTAVAIL": Entry(
        "connect(): no local port is free for this destination; bind(): no address of this machine",
        "very many connections to one destination, open or in TIME_WAIT, use up"
        " net.ipv4.ip_local_port_range; or an address that is configured nowhere here",
        "TIME_WAIT by destination; fewer and longer connections, a wider range, or"
        " net.ipv4.tcp_tw_reuse",
        (
            "tcptrace handshakes --failed -d 10",
            "tcptrace ports -d 10",
            "sysctl net.ipv4.ip_local_port_range",
        ),
        "connect(2), ip(7)",
    ),
    "EADDRINUSE": Entry(
        "the local address and port are taken",
        "another process listens there, or TIME_WAIT connections of the port are left from before"
        " a restart and SO_REUSEADDR is not set",
        "who holds the port",
        ("ss -tlnp", "ss -tan state time-wait"),
        _BIND,
    ),
    "EHOSTUNREACH": Entry(
        "no way to that host",
        "the next hop does not answer ARP or neighbour discovery, an `unreachable` route, or a"
        " router or firewall said so by ICMP",
        "the route, whether the neighbour is FAILED, and ICMP that came in",
        (*_WAY, "ip neigh", "tcptrace counters -d 10"),
        "ip(7), icmp(7)",
    ),
    "ENETUNREACH": Entry(
        "no route to that network",
        "no default route, no address of that family (IPv6 on a host that has none), or a"
        " router's ICMP",
        "the routing table of the right network namespace",
        _WAY,
        _CONNECT,
    ),
    "ECONNABORTED": Entry(
        "broken off here; of accept(): the connection was gone before it could be taken",
        "somebody killed it, as `ss -K` does. One that its peer reset in the queue is handed over"
        " all the same, and the first read tells",
        "what was killed; how long connections wait for accept(), and how many were reset in the"
        " queue",
        ("tcptrace resets -d 10", *_ACCEPTS),
        "accept(2); net/ipv4/tcp.c: tcp_abort",
    ),
    "EMFILE": Entry(
        "the process has as many descriptors open as it may",
        "a leak (sockets in CLOSE_WAIT are one), or RLIMIT_NOFILE too low for the load; the"
        " connection stays in the queue, and a server that asks again at once burns a CPU",
        "which sockets it holds, by state",
        (
            "tcptrace accepts -d 10",
            "tcptrace connections --open --by comm,state",
            "prlimit --nofile --pid PID",
        ),
        _ACCEPT,
    ),
    "ENFILE": Entry(
        "the machine has as many files open as it may",
        "fs.file-max is too low, or some process leaks",
        "how many are open",
        ("cat /proc/sys/fs/file-nr", *_ACCEPTS),
        _ACCEPT,
    ),
    "ENOBUFS": Entry(
        "no room for the socket or for the packet",
        "memory for sockets ran out, or the queue of the device is full",
        "TCP's memory (mem in sockstat, in pages) beside net.ipv4.tcp_mem, and what qdiscs drop",
        ("cat /proc/net/sockstat", "tc -s qdisc show"),
        _ACCEPT,
    ),
    "ENOMEM": Entry(
        "no memory",
        "the machine, or the control group, is short of it",
        "TCP's share: mem in sockstat, in pages, beside net.ipv4.tcp_mem",
        ("cat /proc/net/sockstat", "dmesg | tail"),
        _ACCEPT,
    ),
    "EAGAIN": Entry(
        "nothing to do just now: nothing to read, no room to write, nobody to accept; the same"
        " number as EWOULDBLOCK",
        "normal for a socket that does not block; of one that does, SO_RCVTIMEO or SO_SNDTIMEO ran"
        " out",
        "nothing, as long as the process waits (poll, epoll) instead of asking again at once",
        _STRACE,
        "read(2), accept(2)",
        ("EWOULDBLOCK",),
    ),
    "EINPROGRESS": Entry(
        "connect() on a socket that does not block has begun; how it ends is told later",
        "normal: poll for writing, then ask SO_ERROR",
        "how the attempts end",
        ("tcptrace handshakes -d 10",),
        _CONNECT,
    ),
    "ENOTCONN": Entry(
        "the socket is not connected",
        "read, write, shutdown() or getpeername() before connect() has ended, or after the"
        " connection was reset",
        "whether a RST came before",
        (*_STRACE, "tcptrace resets -d 10"),
        "recv(2)",
    ),
    "EINTR": Entry(
        "a signal came before anything was done",
        "a handler without SA_RESTART, or a socket with a timeout, where calls are never begun"
        " anew",
        "that the process calls again; after connect() it must wait for the end instead",
        _STRACE,
        "signal(7)",
    ),
    "EACCES": Entry(
        "not permitted: a security module or a route refuses; bind(): a low port without"
        " CAP_NET_BIND_SERVICE",
        "SELinux, AppArmor or Landlock; a `prohibit` route; a port below"
        " net.ipv4.ip_unprivileged_port_start",
        "the audit log and the route",
        ("ip route get ADDRESS", *_ATTEMPTS, "journalctl -k | grep -i denied"),
        _CONNECT,
    ),
    "EPERM": Entry(
        "not permitted: something on this machine refused the call",
        "a BPF program of the control group (a container's network policy), seccomp, a security"
        " module. A firewall rule that drops what goes out shows as silence instead",
        "the programs of its control group",
        ("bpftool cgroup tree", *_ATTEMPTS),
        "connect(2), accept(2)",
    ),
    "ENETDOWN": Entry(
        "the device is down",
        "it was taken down, or its cable is out",
        "the state of the link",
        ("ip -s link",),
        "ip(7)",
    ),
    "ENETRESET": Entry(
        "the connection was broken off by the network",
        "hardly ever on Linux TCP",
        "what was reset",
        _BROKEN,
        "errno(3)",
    ),
    "EHOSTDOWN": Entry(
        "an ICMP said that there is no such host",
        "a router's answer",
        "ICMP that came in",
        ("tcptrace counters -d 10",),
        "net/ipv4/icmp.c: icmp_err_convert",
    ),
    "ENONET": Entry(
        "the machine is not on the network, or an ICMP said that the peer's is isolated",
        "an old router's answer",
        "ICMP that came in",
        ("tcptrace counters -d 10",),
        "net/ipv4/icmp.c: icmp_err_convert",
    ),
    "EPROTO": Entry(
        "an ICMP said that a header made no sense; accept(): a broken handshake",
        "something on the way alters packets",
        "ICMP and segments that came in broken",
        ("tcptrace counters -d 10",),
        _ACCEPT,
    ),
    **RARE,
}
