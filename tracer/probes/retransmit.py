"""Segments that are sent again (bpf/probes/retransmit.bpf.c); SYN-ACKs: `synack`."""

from tracer.probes.base import Rung, Subject

RETRANSMIT = Subject(
    name="retransmit",
    kinds=("retransmit",),
    tells="segments that are sent again, and why",
    rungs=(
        Rung(
            how="tp_btf",
            targets=("tcp_retransmit_skb",),
            programs=("tt_retransmit",),
        ),
    ),
    without="retransmissions are seen in the kernel's counters only",
)
