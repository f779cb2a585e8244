"""Connections taken by accept() (bpf/probes/accept.bpf.c).

No kretprobe: one that is not armed when accept() begins to wait never fires for that call, so
every call begun before tracing would be lost, and its pool runs dry with many waiting threads.
"""

from tracer.probes.base import Rung, Subject

ACCEPT = Subject(
    name="accept",
    kinds=("accept",),
    tells="who accepted a connection, and how long it waited",
    rungs=(
        Rung(
            how="fexit",
            targets=("inet_csk_accept",),
            programs=("tt_accept_fexit",),
        ),
        Rung(
            how="tracepoint",
            targets=("syscalls/sys_exit_accept4", "syscalls/sys_exit_accept"),
            programs=("tt_accept4_exit", "tt_accept_exit"),
            costs="30 to 60 ns on every system call of the machine; --no-accept-hook turns it off",
        ),
    ),
    without="accepted connections stay with their listener's owner",
)
