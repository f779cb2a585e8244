"""Transitions of TCP sockets (bpf/probes/state.bpf.c)."""

from tracer.probes.base import Lack, Rung, Subject

STATE = Subject(
    name="state",
    kinds=("state", "connection"),
    tells="every transition of every TCP socket, and each connection that ends",
    rungs=(
        Rung(
            how="tp_btf",
            targets=("inet_sock_set_state", "tcp_destroy_sock"),
            programs=("tt_state", "tt_state_nested", "tt_destroy"),
            lacks=(
                Lack(
                    "cookies",
                    "numbers of ours stand for the cookies of new sockets, and ss does not know"
                    " them; this kernel gives programs none",
                ),
            ),
        ),
    ),
    without="nothing can be traced",
)
