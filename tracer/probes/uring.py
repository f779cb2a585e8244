"""Connections taken through io_uring (bpf/probes/uring.bpf.c), where accept() alone is watched."""

from tracer.probes.base import Rung, Subject

URING = Subject(
    name="io_uring",
    kinds=("accept",),
    tells="who accepted a connection through io_uring, where accept() is watched by system call",
    rungs=(
        Rung(
            how="raw_tp",
            targets=("io_uring_complete", "io_uring_cqe_overflow", "io_uring_poll_arm"),
            programs=("tt_uring_complete", "tt_uring_overflow", "tt_uring_waits"),
        ),
    ),
    without="what io_uring accepted is told as it ends",
)
