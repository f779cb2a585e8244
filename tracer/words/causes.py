"""Why a listener throws SYNs and final ACKs away (net/ipv4/tcp_input.c: tcp_conn_request)."""

from __future__ import annotations

from tracer.words.entry import Entry

_LOOK = ("tcptrace listeners -d 10", "tcptrace drops --syn -d 10")

CAUSES: dict[str, Entry] = {
    "accept_queue_full": Entry(
        "finished connections wait for accept() up to the listener's limit",
        "the process accepts too slowly: blocked, too few workers, out of descriptors; or a burst"
        " above the limit, which is the smaller of listen(backlog) and net.core.somaxconn",
        "how long connections wait for accept(), who is to accept, and what sets the limit; a"
        " longer queue helps against bursts alone",
        ("tcptrace accepts -d 10", *_LOOK),
    ),
    "syn_queue_full": Entry(
        "half-open connections up to the listener's limit, cookies off",
        "a SYN flood, clients whose final ACK does not come, or a small limit (that of the accept"
        " queue)",
        "net.ipv4.tcp_syncookies: 1 answers with cookies instead; where the SYNs come from",
        ("sysctl net.ipv4.tcp_syncookies", "tcptrace drops --syn --by peer/24 -d 10", *_LOOK),
    ),
    "syn_queue_reserve": Entry(
        "the last quarter of tcp_max_syn_backlog is kept for known peers",
        "cookies are off, and three quarters of net.ipv4.tcp_max_syn_backlog are half-open",
        "where the SYNs come from; a larger net.ipv4.tcp_max_syn_backlog, or cookies",
        (
            "sysctl net.ipv4.tcp_max_syn_backlog net.ipv4.tcp_syncookies",
            "tcptrace drops --syn --by peer/24 -d 10",
        ),
    ),
    "memory": Entry(
        "no memory for the request",
        "the machine or its control group is short of memory",
        "TCP's memory beside net.ipv4.tcp_mem",
        ("cat /proc/net/sockstat", "dmesg | tail"),
    ),
    "route": Entry(
        "no way back to the peer",
        "a route that is missing, or in another table or network namespace",
        "the route to the peer's address",
        ("ip route get ADDRESS", "tcptrace drops --syn --by peer -d 10"),
    ),
    "lsm": Entry(
        "a security module refused it",
        "SELinux, AppArmor, Smack or a BPF LSM",
        "the audit log",
        ("journalctl -k | grep -i denied",),
    ),
    "other": Entry(
        "no memory, or a security module; the kernel's counters do not say which",
        "this way of attaching sees less",
        "whether doctor names a better one; memory, then the audit log",
        ("tcptrace doctor", "cat /proc/net/sockstat"),
    ),
}
MEANINGS = {name: entry.meaning for name, entry in CAUSES.items()}
