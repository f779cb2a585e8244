"""Settings of the kernel that bear on TCP."""

from __future__ import annotations

from tracer.words.entry import Entry
from tracer.words.sysctls_ipv4 import IPV4, SOURCE

CORE = "Documentation/admin-guide/sysctl/net.rst"
CONNTRACK = "Documentation/networking/nf_conntrack-sysctl.rst"
KERNEL = "Documentation/admin-guide/sysctl/kernel.rst"


def _core(meaning: str, cause: str = "", look: str = "", *commands: str) -> Entry:
    return Entry(meaning, cause, look, commands, CORE)


OTHERS: dict[str, Entry] = {
    "net.core.somaxconn": Entry(
        "the most that listen(backlog) may ask for: the accept queue's limit is the smaller of"
        " both. 4096 (128 before Linux 5.4). A listener must call listen() again to have a new one",
        "raised together with the application's own backlog",
        "SET BY of the listeners, and how deep their queues get: a queue that is always full wants"
        " a faster accept(), not a longer queue",
        ("tcptrace listeners -d 10", "ss -tlnp"),
        SOURCE,
    ),
    "net.core.netdev_max_backlog": _core(
        "packets that may wait for a CPU that takes them from a device without polling, or from"
        " another CPU (RPS)",
        "raised where bursts overrun it",
        "softnet_dropped; CPU_BACKLOG among drops",
        "tcptrace counters -d 10",
    ),
    "net.core.netdev_budget": _core(
        "packets that a CPU takes in one round of polling",
        "",
        "softnet_time_squeeze",
        "tcptrace counters -d 10",
    ),
    "net.core.netdev_budget_usecs": _core("the time, in us, of such a round"),
    "net.core.rmem_max": _core(
        "the most that SO_RCVBUF may ask for; buffers that grow by themselves go by"
        " net.ipv4.tcp_rmem"
    ),
    "net.core.wmem_max": _core("the most that SO_SNDBUF may ask for"),
    "net.core.rmem_default": _core("receive buffer of sockets other than TCP's"),
    "net.core.wmem_default": _core("send buffer of sockets other than TCP's"),
    "net.core.optmem_max": _core("memory for options and filters of one socket"),
    "net.core.default_qdisc": _core(
        "the qdisc of new devices: fq_codel, fq", "", "what it dropped", "tc -s qdisc show"
    ),
    "net.core.rps_sock_flow_entries": _core("flows that are steered to the CPU of their process"),
    "net.ipv6.conf.all.disable_ipv6": Entry("1: no IPv6, on no device", source=SOURCE),
    "net.netfilter.nf_conntrack_max": Entry(
        "how many connections may be tracked; beyond it new ones are dropped",
        "raised on gateways and container hosts",
        "nf_conntrack_count beside it; nf_conntrack_drop",
        ("tcptrace counters -d 10", "conntrack -S"),
        CONNTRACK,
    ),
    "net.netfilter.nf_conntrack_tcp_timeout_established": Entry(
        "after so much silence, in seconds, a connection is forgotten and its next packet may be"
        " dropped: 432000",
        "lowered on busy gateways: idle connections then hang",
        "how long connections had been silent when a RST came",
        ("tcptrace resets -d 10",),
        CONNTRACK,
    ),
    "net.netfilter.nf_conntrack_tcp_timeout_time_wait": Entry(
        "how long a connection that has ended is still tracked, s",
        "120 is the default: twice as long as TIME_WAIT; many short connections fill the table",
        "nf_conntrack_count",
        ("conntrack -L", "tcptrace counters -d 10"),
        CONNTRACK,
    ),
    "net.netfilter.nf_conntrack_tcp_be_liberal": Entry(
        "1: packets out of the window are not taken for invalid",
        "",
        "nf_conntrack_invalid",
        ("conntrack -S",),
        CONNTRACK,
    ),
    "net.netfilter.nf_conntrack_tcp_loose": Entry(
        "1: connections older than the tracking are taken up in the middle", source=CONNTRACK
    ),
    "kernel.kptr_restrict": Entry(
        "2: addresses of the kernel's code are hidden from everybody: where packets were dropped"
        " cannot be told",
        commands=("sysctl kernel.kptr_restrict", "tcptrace doctor"),
        source=KERNEL,
    ),
    "kernel.unprivileged_bpf_disabled": Entry(
        "1, 2: BPF programs need CAP_BPF", commands=("tcptrace doctor",), source=KERNEL
    ),
    "kernel.perf_event_mlock_kb": Entry(
        "memory that perf buffers may lock without CAP_IPC_LOCK", source=KERNEL
    ),
    "kernel.perf_event_paranoid": Entry(
        "how much of perf is open without CAP_PERFMON", commands=("tcptrace doctor",), source=KERNEL
    ),
    "fs.file-max": Entry(
        "how many files the machine may have open",
        "",
        "ENFILE",
        ("cat /proc/sys/fs/file-nr",),
        "Documentation/admin-guide/sysctl/fs.rst",
    ),
}
SYSCTLS: dict[str, Entry] = {f"net.ipv4.{name}": entry for name, entry in IPV4.items()} | OTHERS
