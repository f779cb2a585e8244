"""Connections taken by accept() (bpf/probes/accept.bpf.c).

Nothing at the end of inet_csk_accept(): neither fexit nor a kretprobe sees the end of a call that
was begun before it was attached, and servers wait in accept() for a long time.
"""

from tracer.probes.base import KPROBE_COST, MAY_BE_MISSED, Rung, Subject, call

ACCEPT = Subject(
    name="accept",
    kinds=("accept",),
    tells="who accepted a connection, and how long it waited",
    rungs=(
        Rung(
            how="fexit",
            targets=("security_sock_graft", call("accept4"), call("accept")),
            programs=("tt_accept_graft", "tt_accept4_fexit", "tt_accept_fexit"),
        ),
        Rung(
            how="kprobe",
            targets=("security_sock_graft", call("accept4"), call("accept")),
            programs=("tt_accept_kgraft", "tt_accept4_kret", "tt_accept_kret"),
            costs=f"{KPROBE_COST} accept(); one that fails while many wait {MAY_BE_MISSED}",
        ),
        Rung(
            how="tracepoint",
            targets=("syscalls/sys_exit_accept4", "syscalls/sys_exit_accept"),
            programs=("tt_accept_exit",),
            also=(("tt_accept_exit", "syscalls/sys_exit_accept"),),
            costs="30 to 60 ns on every system call of the machine; --no-accept-hook turns it off",
        ),
    ),
    without="accepted connections stay with their listener's owner",
)
