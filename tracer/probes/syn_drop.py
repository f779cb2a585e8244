"""SYNs and final ACKs that listeners threw away (bpf/probes/syn_drop.bpf.c)."""

from tracer.probes.base import KPROBE_COST, Rung, Subject

HELPERS = ("loop", "map_lookup_percpu_elem")
FUNCTIONS = ("tcp_conn_request", "tcp_check_req", "cookie_v4_check", "cookie_v6_check")
BY_ACKS = ("tt_ack_kprobe", "tt_ack_kret")

SYN_DROP = Subject(
    name="syn_drop",
    kinds=("syn_drop",),
    tells="SYNs and final ACKs that a listener threw away, and why",
    rungs=(
        Rung(
            how="fexit",
            targets=FUNCTIONS,
            programs=(
                "tt_syn_fexit",
                "tt_ack_fexit",
                "tt_cookie4_fexit",
                "tt_cookie6_fexit",
            ),
            helpers=HELPERS,
        ),
        Rung(
            how="raw_tp",
            targets=("consume_skb", "kfree_skb"),
            programs=("tt_consumed", "tt_freed"),
            costs="about 110 ns on every packet that the machine frees",
            helpers=HELPERS,
            # since Linux commit dd1b527831a3 ("net: add location to trace_consume_skb()") (in v6.3)
            reads=2,
            blind="does not tell where it was called from",
        ),
        Rung(
            how="kprobe",
            targets=FUNCTIONS,
            programs=("tt_syn_kprobe", "tt_syn_kret", *BY_ACKS),
            also=tuple((program, function) for program in BY_ACKS for function in FUNCTIONS[2:]),
            costs=f"{KPROBE_COST} SYN and each ACK that answers a SYN-ACK",
            helpers=HELPERS,
        ),
    ),
    without="dropped SYNs are seen in the kernel's counters only",
)
