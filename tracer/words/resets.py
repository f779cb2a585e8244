"""What RSTs come from, and the kernel's own reasons for those it sends."""

from __future__ import annotations

from tracer.words.entry import Entry

_RESETS = ("tcptrace resets -d 10",)
_EACH = ("tcptrace events --kind reset -d 10",)

BYS: dict[str, Entry] = {
    "app_close_unread": Entry(
        "close() with data that nobody had read",
        "an application that answers and closes without reading the request to its end (an upload"
        " refused halfway), or a pool that throws away a connection with an answer in it",
        "how much was never read, and whether the peer's answer was lost with it",
        _EACH,
        "RFC 1122, 4.2.2.13; net/ipv4/tcp.c: __tcp_close",
    ),
    "linger0": Entry(
        "close() with SO_LINGER 0",
        "an application that wants no TIME_WAIT: load generators, health checks, some proxies",
        "whose it is; it is meant, and data not yet acknowledged is lost with it",
        _RESETS,
        "socket(7)",
    ),
    "linger2": Entry(
        "close() with a negative TCP_LINGER2",
        "an application that wants no FIN_WAIT2",
        "whose it is",
        _RESETS,
        "tcp(7)",
    ),
    "disconnect": Entry(
        "connect() to AF_UNSPEC",
        "an application that uses the socket anew",
        "whose it is",
        _RESETS,
        "connect(2)",
    ),
    "listener_closed": Entry(
        "its listener closed before it was accepted",
        "a server that restarts or closes a worker's listener with connections in the queue",
        "who closed the listener; hand it on to the next process, or with SO_REUSEPORT set"
        " net.ipv4.tcp_migrate_req",
        (*_RESETS, "tcptrace accepts -d 10"),
    ),
    "killed": Entry(
        "killed, as `ss -K` does",
        "an administrator or a program that uses SOCK_DESTROY (some service managers and network"
        " plug-ins do)",
        "who was on the CPU",
        _EACH,
        "net/ipv4/tcp.c: tcp_abort",
    ),
    "keepalive": Entry(
        "nobody answered the keepalive probes",
        "the peer is gone, or a firewall or NAT has forgotten the connection",
        "net.ipv4.tcp_keepalive_time, or what the application set: probes more often than the"
        " idle timeout on the way keep it known",
        _RESETS,
        "tcp(7)",
    ),
    "no_fin": Entry(
        "closed long ago, and the peer's FIN never came",
        "a peer that does not close; the socket stood in FIN_WAIT2",
        "the peer's CLOSE_WAIT",
        _RESETS,
    ),
    "kernel": Entry(
        "the kernel broke it off: no memory, or it does not say why",
        "net.ipv4.tcp_mem or net.ipv4.tcp_max_orphans reached",
        "the counters TcpExtTCPAbortOnMemory and TcpExtTCPAbortFailed",
        ("tcptrace counters -d 10", "dmesg | tail"),
    ),
    "data_after_close": Entry(
        "data came after close()",
        "the peer goes on sending to what this process has closed: the one closed too early, or"
        " the other pays no heed",
        "who closed first; a request that crosses a close() is a pool's race",
        _EACH,
        "RFC 1122, 4.2.2.13; net/ipv4/tcp_input.c: tcp_rcv_state_process",
    ),
    "no_socket": Entry(
        "no listener, and no connection, there",
        "to a SYN: nobody listens on that port (not started, restarting, other address); to"
        " another packet: the connection is forgotten here, as after a restart",
        "ports without a listener below the table; who listens where",
        (*_RESETS, "ss -tlnp"),
        "RFC 9293, 3.5.2",
    ),
    "listener": Entry(
        "a packet to a listener that is no handshake's",
        "a connection from before a restart, a cookie that is no longer valid, a scan; with"
        " net.ipv4.tcp_abort_on_overflow=1 an accept queue that is full",
        "which packet it answers, TcpExtSyncookiesFailed, and the accept queue",
        (*_EACH, "tcptrace listeners -d 10"),
        "RFC 9293, 3.10.7.2",
    ),
    "time_wait": Entry(
        "data came after close()",
        "this side has closed, the peer has not and still sends: the socket is a mini-socket in"
        " FIN_WAIT2. One in TIME_WAIT proper answers with an ACK, or takes a new SYN",
        "who closed too early",
        _EACH,
        "RFC 9293, 3.10.7.4",
    ),
    "bad_packet": Entry(
        "a packet that does not fit the connection's state",
        "a stranger's old packet, a middlebox that rewrites numbers, a forged one",
        "the reason, and where it comes from",
        (*_EACH, "tcptrace resets --by peer,reason -d 10"),
        "RFC 9293, 3.5.2",
    ),
    "peer": Entry(
        "the peer, or something on the way",
        "the peer's own close, crash or restart; a load balancer or firewall that forgot it",
        "how long it had been silent: always the same number is an idle timeout. Run tcptrace on"
        " the peer to see its side",
        _RESETS,
    ),
}
MEANINGS = {name: entry.meaning for name, entry in BYS.items()}

# enum sk_rst_reason, include/net/rstreason.h, since Linux 6.10; those that answer no packet since
# 6.12. Where a packet is answered the names are those of drop reasons, and so are the sentences
SHARED = (
    *("NO_SOCKET", "TCP_INVALID_ACK_SEQUENCE", "TCP_RFC7323_PAWS", "TCP_TOO_OLD_ACK"),
    *("TCP_ACK_UNSENT_DATA", "TCP_FLAGS", "TCP_OLD_ACK", "TCP_ABORT_ON_DATA"),
)
REASONS: dict[str, Entry] = {
    "NOT_SPECIFIED": Entry("the kernel's code gives no reason at this place", commands=_EACH),
    "TCP_TIMEWAIT_SOCKET": Entry(
        "data or a SYN came for a mini-socket in FIN_WAIT2",
        "this side has closed, the peer has not and still sends",
        "who closed too early",
        _EACH,
    ),
    "INVALID_SYN": Entry(
        "a half-open connection was broken off",
        "a bad SYN for it, or net.ipv4.tcp_abort_on_overflow=1 and the accept queue full",
        "whether the listener's accept queue is full",
        (*_EACH, "tcptrace listeners -d 10"),
        "net/ipv4/tcp_minisocks.c: tcp_check_req",
    ),
    "TCP_ABORT_ON_CLOSE": Entry(
        BYS["app_close_unread"].meaning, commands=_EACH, look="see app_close_unread"
    ),
    "TCP_ABORT_ON_LINGER": Entry(
        BYS["linger2"].meaning, commands=_EACH, look="see linger2", source="net/ipv4/tcp.c"
    ),
    "TCP_ABORT_ON_MEMORY": Entry(
        "no memory, or too many orphans", commands=_EACH, look="net.ipv4.tcp_max_orphans"
    ),
    "TCP_STATE": Entry(
        "broken off from a state in which data, or the peer's close, was still due",
        "SO_LINGER 0, a disconnect, `ss -K`, a listener that closed, FIN_WAIT2 for too long",
        "`by`, which says more",
        _RESETS,
        "net/ipv4/tcp.c: tcp_disconnect",
    ),
    "TCP_KEEPALIVE_TIMEOUT": Entry(
        BYS["keepalive"].meaning, commands=_EACH, look="net.ipv4.tcp_keepalive_time"
    ),
    "TCP_DISCONNECT_WITH_DATA": Entry(
        "a disconnect while data was still to be sent", commands=_EACH, look="see disconnect"
    ),
    "MPTCP_RST_EUNSPEC": Entry("MPTCP: a path was broken off, for no stated cause"),
    "MPTCP_RST_EMPTCP": Entry("MPTCP: what came on a path is not MPTCP as it should be"),
    "MPTCP_RST_ERESOURCE": Entry("MPTCP: no memory or room for the path"),
    "MPTCP_RST_EPROHIBIT": Entry("MPTCP: the path is not allowed here"),
    "MPTCP_RST_EWQ2BIG": Entry("MPTCP: too much is waiting on the path"),
    "MPTCP_RST_EBADPERF": Entry("MPTCP: the path is too slow or loses too much"),
    "MPTCP_RST_EMIDDLEBOX": Entry("MPTCP: something on the way alters the data"),
    "ERROR": Entry("an error inside the kernel that has no name of its own", commands=_EACH),
}
