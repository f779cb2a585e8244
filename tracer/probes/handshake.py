"""How attempts to connect end (bpf/handshake.h, bpf/probes/handshake.bpf.c).

Most ends are told by the programs of the `state` subject. What is attached here are the ends that
make no transition, connect() that fails before a SYN is sent, and SYN-ACKs that are sent again.
"""

from tracer.probes.base import Rung, Subject, call

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
    kinds=("handshake",),
    tells="how long a handshake took whose SYN-ACK was sent again",
    rungs=(
        Rung(
            how="tp_btf",
            targets=("tcp_retransmit_synack",),
            programs=("tt_synack_again",),
        ),
    ),
    without="handshakes whose SYN-ACK was sent again have no latency",
)
