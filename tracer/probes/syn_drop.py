"""SYNs and final ACKs that listeners threw away (bpf/probes/syn_drop.bpf.c).

Better rungs, where a kernel has them, go before this one: the exit of tcp_conn_request() knows
what became of a SYN without any look at counters, and is no hot hook.
"""

from tracer.probes.base import Rung, Subject

SYN_DROP = Subject(
    name="syn_drop",
    kinds=("syn_drop",),
    tells="SYNs and final ACKs that a listener threw away, and why",
    rungs=(
        Rung(
            how="raw_tp",
            targets=("consume_skb", "kfree_skb"),
            programs=("tt_consumed", "tt_freed"),
            costs="about 110 ns on every packet that the machine frees",
        ),
    ),
    without="dropped SYNs are seen in the kernel's counters only",
)
