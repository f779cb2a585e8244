"""Births, names and ends of processes (bpf/probes/task.bpf.c)."""

from tracer.probes.base import Rung, Subject

TASK = Subject(
    name="task",
    kinds=("task",),
    tells="names of processes, and the descendants of --pid",
    rungs=(
        Rung(
            how="tp_btf",
            targets=(
                "sched_process_fork",
                "task_rename",
                "sched_process_exit",
                "sched_process_free",
            ),
            programs=("tt_fork", "tt_rename", "tt_exit", "tt_free"),
        ),
    ),
    without="--pid cannot follow children, new names are not seen",
)
