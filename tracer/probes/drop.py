"""Packets of TCP that the kernel threw away (bpf/probes/drop.bpf.c).

One tracepoint for all that is freed and was not used up. Where final ACKs are looked at by the same
one, its program does both.
"""

from tracer.probes.base import Lack, Rung, Subject

DROP = Subject(
    name="drop",
    kinds=("drop",),
    tells="packets that the kernel threw away, with its own reason and the place",
    rungs=(
        Rung(
            how="raw_tp",
            targets=("kfree_skb",),
            programs=("tt_drop",),
            costs="about 0.2 us on every packet of IP that is thrown away, 0.5 us on those of TCP",
            helpers=("loop",),
            # since Linux commit c504e5c2f964 ("net: skb: introduce kfree_skb_reason()") (in v5.17)
            reads=3,
            blind="does not tell why a packet is thrown away",
            lacks=(
                Lack(
                    "packets' sockets",
                    "what came is known by its listener's port alone, and behind its route neither"
                    " by that nor by its namespace; this kernel's kfree_skb tells no socket",
                ),
            ),
        ),
    ),
    without="dropped packets are seen in the kernel's counters only",
)
