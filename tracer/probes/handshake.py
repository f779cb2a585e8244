"""How attempts to connect end (bpf/handshake.h, bpf/probes/handshake.bpf.c).

Most ends are told by the programs of the `state` subject. What is attached here are the ends that
make no transition: connect() that fails before a SYN is sent, and requests that nobody answers
(bpf/probes/request.bpf.c); and SYN-ACKs that are sent again (bpf/probes/retransmit.bpf.c). Counted,
not told one by one: what comes to nothing as a packet comes (bpf/probes/unrecorded.bpf.c).
"""

from tracer.probes.base import KPROBE_COST, MAY_BE_MISSED, Rung, Subject, call

HANDSHAKE = Subject(
    name="handshake",
    kinds=("handshake",),
    tells="attempts to connect that fail before a SYN is sent: no route, no port, not permitted",
    rungs=(
        Rung(
            how="fexit",
            targets=(call("connect"),),
            programs=("tt_connect_fexit",),
        ),
        Rung(
            how="kprobe",
            targets=(call("connect"),),
            programs=("tt_connect_kret",),
            costs=f"{KPROBE_COST} connect(); one that fails while many wait {MAY_BE_MISSED}",
        ),
        Rung(
            how="tracepoint",
            targets=("syscalls/sys_exit_connect",),
            programs=("tt_connect_exit",),
            costs="30 to 60 ns on every system call of the machine; --no-accept-hook turns it off",
        ),
    ),
    without="attempts that fail before a SYN is sent are not seen",
)

SYNACK = Subject(
    name="synack",
    kinds=("handshake", "retransmit"),
    tells="SYN-ACKs that are sent again, and how long such a handshake took",
    rungs=(
        Rung(
            how="tp_btf",
            targets=("tcp_retransmit_synack",),
            programs=("tt_synack_again",),
        ),
    ),
    without="SYN-ACKs sent again are not told of, and their handshakes have no latency",
)

REQUEST = Subject(
    name="request",
    kinds=("handshake",),
    tells="handshakes that a listener gave up: no ACK came, or its accept queue was full",
    rungs=(
        Rung(
            how="tp_btf",
            targets=("timer_expire_entry", "timer_expire_exit"),
            programs=("tt_timer_begins", "tt_timer_over"),
        ),
    ),
    without="handshakes that a listener gives up are not seen",
)

COOKIES = Subject(
    name="cookies",
    kinds=("handshake",),
    tells="which handshakes were finished by a SYN cookie",
    rungs=(
        Rung(
            how="iter",
            targets=("tcp",),
            programs=("tt_iter_cookies",),
            helpers=("loop", "map_lookup_percpu_elem"),
        ),
    ),
    without="whether a handshake was finished by a SYN cookie is not known",
)

# what makes no record, and is counted
UNRECORDED = Subject(
    name="unrecorded",
    kinds=("handshake",),
    tells="how many half-open connections a RST ended, and good cookies made no connection",
    rungs=(
        Rung(
            how="raw_tp",
            targets=("kfree_skb",),
            programs=("tt_let_go",),
            helpers=COOKIES.rungs[0].helpers,
        ),
    ),
    without="half-open connections that a RST ends, and cookies that make no connection, are seen"
    " in the kernel's counters only",
)
