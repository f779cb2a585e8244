"""SYNs and final ACKs that listeners threw away (bpf/probes/syn_drop.bpf.c)."""

from tracer.probes.base import Rung, Subject

HELPERS = ("loop", "map_lookup_percpu_elem")

SYN_DROP = Subject(
    name="syn_drop",
    kinds=("syn_drop",),
    tells="SYNs and final ACKs that a listener threw away, and why",
    rungs=(
        Rung(
            how="fexit",
            targets=("tcp_conn_request", "tcp_check_req", "cookie_v4_check", "cookie_v6_check"),
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
    ),
    without="dropped SYNs are seen in the kernel's counters only",
)
