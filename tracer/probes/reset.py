"""RSTs, sent and received (bpf/probes/reset.bpf.c, answer.bpf.c)."""

from tracer.probes.base import Lack, Rung, Subject

SENT = "tt_reset_sent"
RECEIVED = "tt_reset_received"  # also tells how a connection ended that data came to after close()

RESET = Subject(
    name="reset",
    kinds=("reset",),
    tells="each RST that is sent, and each that ends a connection here",
    rungs=(
        Rung(
            how="tp_btf",
            targets=("tcp_send_reset", "tcp_receive_reset"),
            programs=(SENT, RECEIVED),
            lacks=(
                Lack(
                    "errors",
                    "what a RST ended is not told where no socket is, nor what timed out without"
                    " one; this kernel has no inet_sk_error_report",
                ),
            ),
        ),
    ),
    without="RSTs are seen in the kernel's counters only",
)

ANSWER = Subject(
    name="answer",
    kinds=("reset",),
    tells="RSTs that answer what there is no socket for, or none any more",
    rungs=(
        Rung(
            how="tp_btf",
            targets=("tcp_send_reset",),
            programs=(SENT,),
            # the third is the reason: both came in one release, the one with Linux commit
            # 19822a980e19 ("trace: tcp: fully support trace_tcp_send_reset") (in v6.10)
            reads=3,
            blind="tells of RSTs of open sockets alone",
        ),
        Rung(
            how="fexit",
            targets=("tcp_v4_send_reset", "tcp_v6_send_reset"),
            programs=("tt_answered_v4", "tt_answered_v6"),
        ),
    ),
    without="RSTs to what there is no socket for are seen in the kernel's counters only",
)
