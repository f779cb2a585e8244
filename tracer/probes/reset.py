"""RSTs, sent and received (bpf/probes/reset.bpf.c)."""

from tracer.probes.base import Rung, Subject

RECEIVED = "tt_reset_received"  # also tells how a connection ended that data came to after close()

RESET = Subject(
    name="reset",
    kinds=("reset",),
    tells="each RST that is sent, and each that ends a connection here",
    rungs=(
        Rung(
            how="tp_btf",
            targets=("tcp_send_reset", "tcp_receive_reset"),
            programs=("tt_reset_sent", RECEIVED),
        ),
    ),
    without="RSTs are seen in the kernel's counters only",
)
