"""What `ss` prints of TCP sockets, and netstat's table under the same names (ss(8), netstat(8))."""

from __future__ import annotations

from tracer.words.entry import Entry

_INFO = "ss -ti"
_KERNEL = "include/uapi/linux/tcp.h: struct tcp_info"


def _plain(meaning: str, command: str = "ss -tan", also: tuple[str, ...] = ()) -> Entry:
    return Entry(meaning, commands=(command,), source="ss(8)", also=also)


def _info(meaning: str, look: str = "") -> Entry:
    return Entry(meaning, look=look, commands=(_INFO,), source=_KERNEL)


def _memory(meaning: str) -> Entry:
    return Entry(f"of skmem: {meaning}", commands=("ss -tm",), source="ss(8)")


SS: dict[str, Entry] = {
    "State": _plain("the socket's state; ESTAB is ESTABLISHED, SYN-RECV is NEW_SYN_RECV"),
    "Recv-Q": Entry(
        "of a connection: bytes that came and were not read, a FIN counted as one more; of a"
        " listener: finished connections that wait for accept()",
        "the process does not read, or does not accept",
        "whose it is, and for how long",
        ("tcptrace connections --open --sort recv-q", "tcptrace listeners -d 10"),
        "ss(8); net/ipv4/tcp_diag.c: tcp_diag_get_info",
    ),
    "Send-Q": Entry(
        "of a connection: bytes written and not acknowledged, SYN and FIN counted as one more; of a"
        " listener: the limit of its accept queue, which holds one more",
        "the peer does not read, is slow or gone; or packets are lost",
        "what was sent again, and what limits it",
        ("tcptrace connections --open --sort send-q", "tcptrace listeners -d 10"),
        "ss(8); net/ipv4/tcp_diag.c: tcp_diag_get_info",
    ),
    "Local Address:Port": _plain(
        "this side; * is any address, and %DEV the device it is bound to", also=("Local Address",)
    ),
    "Peer Address:Port": _plain("the other side", also=("Peer Address", "Foreign Address")),
    "Process": _plain(
        "who holds it: name, PID and descriptor of each", "ss -tanp", ("PID/Program name", "users")
    ),
    "Netid": _plain("the kind of socket: tcp, udp, u_str", also=("Proto",)),
    "timer": _plain(
        "which timer runs, how long it has to go, how often it ran out: on (sent again), keepalive,"
        " timewait, persist (a closed window is asked about)",
        "ss -tano",
    ),
    "uid": _plain("the user who made the socket", "ss -tane"),
    "ino": _plain("the socket's inode, as /proc/PID/fd has it", "ss -tane"),
    "sk": _plain("the socket's cookie in hex: `cookie` of tcptrace's records", "ss -tane"),
    "skmem": _plain(
        "memory of the socket, bytes: r came and was not read, of at most rb; t given to the"
        " device, w queued to be sent, of at most tb; f kept in hand, o options and filters, bl"
        " backlog; d packets thrown away",
        "ss -tm",
    ),
    "rb": _memory("the receive buffer, at most"),
    "tb": _memory("the send buffer, at most"),
    "bl": _memory("bytes that came while the process held the socket: its backlog"),
    "wscale": _info("how far windows are scaled: the peer's, ours"),
    "rto": _info("the timeout, ms, after which it is sent again"),
    "backoff": _info("how often that was doubled: nobody has answered since"),
    "rtt": _info("smoothed round trip / its variation, ms"),
    "minrtt": _info("the shortest round trip of late, ms"),
    "ato": _info("how long an ACK may be put off, ms"),
    "mss": _info("payload of a full segment, bytes"),
    "pmtu": _info("the largest packet for the way, bytes"),
    "rcvmss": _info("the largest segment that came of late"),
    "advmss": _info("the segment that we offered to take"),
    "cwnd": _info("congestion window: segments that may be under way"),
    "ssthresh": _info("where slow start ends; there once something was lost"),
    "bytes_sent": _info("payload sent, what was sent again too"),
    "bytes_retrans": _info("of that, sent again"),
    "bytes_acked": _info("payload that the peer acknowledged"),
    "bytes_received": _info("payload that came, each byte once"),
    "segs_out": _info("segments sent"),
    "segs_in": _info("segments that came"),
    "data_segs_out": _info("of those sent, with data"),
    "data_segs_in": _info("of those that came, with data"),
    "send": _info("rate that cwnd, mss and rtt allow; not what is sent"),
    "lastsnd": _info("ms since data was sent"),
    "lastrcv": _info("ms since data came"),
    "lastack": _info("ms since an ACK came"),
    "pacing_rate": _info("at which rate segments are spread out"),
    "delivery_rate": _info("rate at which data arrived of late"),
    "delivered": _info("segments that arrived"),
    "app_limited": _info("the application had nothing to send when that was measured"),
    "busy": _info("ms with data to send"),
    "rwnd_limited": _info("of that, held up by the peer's window", "LIMITED"),
    "sndbuf_limited": _info("of that, held up by the own send buffer", "LIMITED"),
    "unacked": _info("segments sent and not acknowledged; of a listener: waiting for accept()"),
    "retrans": _info("segments sent again and not acknowledged / in all"),
    "lost": _info("segments taken for lost just now"),
    "sacked": _info("segments that came out of order at the peer"),
    "dsack_dups": _info("segments that the peer got twice"),
    "reordering": _info("how far packets may overtake each other before that is loss"),
    "reord_seen": _info("how often they did"),
    "rcv_rtt": _info("round trip as the receiver sees it, ms"),
    "rcv_space": _info("what the receive buffer is to hold, from how fast it is read"),
    "rcv_ssthresh": _info("the window that is offered, at most"),
    "notsent": _info("bytes written and never sent yet"),
    "rcv_ooopack": _info("segments that came out of order"),
    "snd_wnd": _info("the peer's window, bytes"),
    "rcv_wnd": _info("the window offered to the peer, bytes"),
}
