/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Processes: the children of targets, new names, and ends. */
#include "../owner.h"

/* What is asked for of the parent is of the child. */
tt_inline void tt_follow(struct tt_stats *stats, const struct task_struct *parent,
			 const struct tt_owner *child)
{
	const struct tt_target *above = tt_find_target(parent->tgid, tt_read_start(parent));
	struct tt_target target = {.start = child->start};

	if (!above)
		return;
	target.marks = above->marks;
	tt_count_unmarked(stats, MAP_PUT(tt_targets, &child->pid, &target, BPF_ANY));
}

PROBE_BTF("sched_process_fork")
int BPF_PROG(tt_fork, struct task_struct *parent, struct task_struct *child)
{
	struct tt_stats *stats = tt_get_stats(TT_SLOT_PROCESS);
	struct tt_owner owner = {};

	if (child->pid != child->tgid || !stats)
		return 0;
	owner.pid = child->tgid;
	owner.start = child->start_boottime / NSEC_PER_TICK;
	if (!CFG(filter_pid)) {
		owner.cgroup_id = bpf_get_current_cgroup_id();
		if (CFG(tell_forks) && tt_is_live())
			tt_tell_task(ctx, stats, bpf_ktime_get_ns(), child, &owner);
	}
	if (CFG(follow) && (CFG(filter_pid) || CFG(not_pid)))
		tt_follow(stats, parent, &owner);
	if (tt_asks_names())
		tt_name_target(stats, owner.pid, owner.start, child->comm);
	return 0;
}

/* execve() and prctl(PR_SET_NAME) of the main thread: the process's name. */
PROBE_BTF("task_rename")
int BPF_PROG(tt_rename, struct task_struct *task, const char *comm)
{
	struct tt_stats *stats = tt_get_stats(TT_SLOT_PROCESS);
	struct tt_owner owner = {};
	tt_ticks *told;

	if (task->pid != task->tgid || !stats)
		return 0;
	owner.pid = task->tgid;
	owner.start = tt_read_start(task);
	if (tt_asks_names())
		tt_name_target(stats, owner.pid, owner.start, comm);
	told = MAP_GET(tt_tasks, &owner.pid);
	if (!told)
		return 0;
	owner.cgroup_id = bpf_get_current_cgroup_id();
	tt_send_task(ctx, stats, bpf_ktime_get_ns(), task, &owner, TT_TASK_RENAMED, comm);
	return 0;
}

/*
 * The last thread of a process begins to end. Its descriptors are closed after
 * this, still by itself; what happens to its sockets later happens to an
 * exited owner's.
 */
PROBE_BTF("sched_process_exit")
int BPF_PROG(tt_exit, struct task_struct *task)
{
	struct tt_stats *stats = tt_get_stats(TT_SLOT_PROCESS);
	struct tt_owner owner = {};
	tt_ticks *told;

	if (!stats || BPF_CORE_READ(task, signal, live.counter))
		return 0;
	owner.pid = task->tgid;
	owner.start = tt_read_start(task);
	told = MAP_GET(tt_tasks, &owner.pid);
	if (told && *told == owner.start)
		tt_send_task(ctx, stats, bpf_ktime_get_ns(), task, &owner, TT_TASK_EXITED, 0);
	return 0;
}

/* The main thread is reaped: all others are gone and every descriptor is closed. */
PROBE_BTF("sched_process_free")
int BPF_PROG(tt_free, struct task_struct *task)
{
	tt_ticks *told, start;
	tt_pid pid = task->tgid;

	if (task->pid != task->tgid)
		return 0;
	start = task->start_boottime / NSEC_PER_TICK;
	if (tt_find_target(pid, start))
		MAP_DEL(tt_targets, &pid);
	if (tt_find_named(pid, start))
		MAP_DEL(tt_named, &pid);
	told = MAP_GET(tt_tasks, &pid);
	if (told && *told == start)
		MAP_DEL(tt_tasks, &pid);
	return 0;
}
