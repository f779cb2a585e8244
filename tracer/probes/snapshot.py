"""What was there before the tracer, and what is there now (bpf/probes/seed.bpf.c)."""

from tracer.probes.base import Rung, Subject

OWNERS = Subject(
    name="owners",
    kinds=(),
    tells="who owns the sockets that are older than the tracer",
    rungs=(
        Rung(
            how="iter",
            targets=("task", "task_file"),
            programs=("tt_iter_task", "tt_iter_files"),
        ),
    ),
    without="older sockets have no owner",
)

SOCKETS = Subject(
    name="sockets",
    kinds=(),
    tells="sockets by state now, TIME_WAIT and SYN_RECV ones too",
    rungs=(Rung(how="iter", targets=("tcp",), programs=("tt_iter_tcp",)),),
    without="states has no snapshot",
)

CONNECTIONS = Subject(
    name="connections",
    kinds=(),
    tells="what is open, with queues, round trips and bytes as the kernel keeps them",
    rungs=(Rung(how="iter", targets=("tcp",), programs=("tt_iter_open",)),),
    without="connections cannot be shown",
)

HOLDERS = Subject(
    name="holders",
    kinds=(),
    tells="who holds the sockets of a snapshot",
    rungs=(
        Rung(
            how="iter", targets=("task", "task_file"), programs=("tt_iter_task", "tt_iter_holders")
        ),
    ),
    without="the sockets of a snapshot have no owner",
)

LISTENERS = Subject(
    name="listeners",
    kinds=(),
    tells="listening sockets and their queues as they stand",
    rungs=(Rung(how="iter", targets=("tcp",), programs=("tt_iter_listeners",)),),
    without="listeners cannot be shown",
)
