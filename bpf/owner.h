/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Socket -> owner: who will answer for it, never who was interrupted by a packet. */
#ifndef TT_OWNER_H
#define TT_OWNER_H

#include "emit.h"
#include "maps.h"
#include "marks.h"

/* Start of a process as /proc/PID/stat tells it: with the tgid, its identity. */
tt_inline tt_ticks tt_read_start(const struct task_struct *task)
{
	return BPF_CORE_READ(task, group_leader, start_boottime) / NSEC_PER_TICK;
}

/* The tgid in the tracer's own PID namespace; 0 where it cannot be seen from there. */
tt_inline tt_local_pid tt_read_local_pid(const struct task_struct *task)
{
	const struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	const struct pid *pid = BPF_CORE_READ(leader, thread_pid);
	const struct upid *entry;
	__u32 level = CONTROL_GET(pidns_level);

	/* a task that is being reaped has none */
	if (!pid || BPF_CORE_READ(pid, level) < level)
		return 0;
	entry = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
		level * bpf_core_type_size(struct upid);
	if (BPF_CORE_READ(entry, ns, ns.inum) != CONTROL_GET(pidns))
		return 0;
	return BPF_CORE_READ(entry, nr);
}

tt_inline bool tt_send_task(void *ctx, struct tt_stats *stats, tt_mono_ns now,
			    const struct task_struct *task, struct tt_owner *owner,
			    enum tt_task_event event, const char *comm)
{
	__u32 zero = 0;
	struct tt_large *large = MAP_GET(tt_task_scratch, &zero);
	const struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct tt_task *record;

	if (!large)
		return false;
	__builtin_memset(large, 0, sizeof(*large));
	record = &large->task;
	record->head.kind = TT_KIND_TASK;
	record->head.mono_ns = now;
	record->head.pid = owner->pid;
	record->head.start = owner->start;
	record->head.cgroup_id = owner->cgroup_id;
	record->head.oncpu_pid = bpf_get_current_pid_tgid() >> 32;
	record->head.owner_is = TT_OWNER_PROCESS;
	record->event = event;
	record->local_pid = tt_read_local_pid(task);
	record->local_ppid = tt_read_local_pid(BPF_CORE_READ(leader, real_parent));
	if (comm)
		bpf_probe_read_kernel_str(record->comm, sizeof(record->comm), comm);
	else
		bpf_core_read(&record->comm, sizeof(record->comm), &leader->comm);
	stats->seen[TT_KIND_TASK]++;
	stats->matched[TT_KIND_TASK]++;
	if (!tt_put(ctx, tt_large, large))
		return true;
	stats->lost_buffer[TT_KIND_TASK]++;
	return false;
}

/* Tell of a process once, at the moment it first owns a socket. */
tt_inline void tt_tell_task(void *ctx, struct tt_stats *stats, tt_mono_ns now,
			    const struct task_struct *task, struct tt_owner *owner)
{
	tt_ticks *told = MAP_GET(tt_tasks, &owner->pid);

	if (told && *told == owner->start)
		return;
	/* one that found no room is told of again at the next occasion */
	if (tt_send_task(ctx, stats, now, task, owner, TT_TASK_SEEN, 0))
		MAP_PUT(tt_tasks, &owner->pid, &owner->start, BPF_ANY);
}

/* The process that runs now, as an owner. Only where it is known to be acting itself. */
tt_inline tt_owner_is_t tt_current_owner(void *ctx, struct tt_stats *stats, tt_mono_ns now,
					 struct tt_owner *owner)
{
	const struct task_struct *task = tt_task_btf();
	unsigned int flags;

	if (task) {
		flags = task->flags;
		/* no load of group_leader where it can be spared: to follow a pointer, the
		 * verifier searches all of the kernel's types for a name
		 */
		owner->start = task->pid == task->tgid ? task->start_boottime / NSEC_PER_TICK
						       : tt_read_start(task);
	} else {
		task = (void *)bpf_get_current_task();
		flags = BPF_CORE_READ(task, flags);
		owner->start = tt_read_start(task);
	}
	if (flags & PF_KTHREAD) {
		__builtin_memset(owner, 0, sizeof(*owner));
		return TT_OWNER_KERNEL;
	}
	owner->pid = bpf_get_current_pid_tgid() >> 32;
	owner->cgroup_id = bpf_get_current_cgroup_id();
	tt_tell_task(ctx, stats, now, task, owner);
	return TT_OWNER_PROCESS;
}

/* Who closes a socket, as its owner; false if that is only someone cleaning up. */
tt_inline bool tt_closing_owner(void *ctx, struct tt_stats *stats, tt_mono_ns now,
				struct tt_owner *owner)
{
	return tt_closes_itself(tt_task()) &&
	       tt_current_owner(ctx, stats, now, owner) == TT_OWNER_PROCESS;
}

#endif
