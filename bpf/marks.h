/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What owners are asked for as: --pid, --comm and --cgroup, and what of these is excluded. */
#ifndef TT_MARKS_H
#define TT_MARKS_H

#include "maps.h"

#define TT_MARKS_OF_NAME (TT_MARK_COMM | TT_MARK_NOT_COMM)

tt_inline bool tt_asks_names(void)
{
	return CFG(filter_comm) || CFG(not_comm);
}

/* What is asked for as a process of this name: 16 bytes, zero from its end on. */
static __noinline __u32 tt_mark_name(const char *name)
{
	const volatile struct tt_globs *globs = TABLE_AT(tt_globs);
	__u32 marks = 0;

	if (!name || !globs)
		return 0;
	for (int word = 0; word < TT_GLOB_WORDS; word++) {
		__u64 at = globs->starts[word];

		for (int i = 0; i < 16; i++) {
			__u8 byte = name[i];

			if (byte)
				at = (at & globs->takes[word][byte]) << 1 |
				     (at & globs->stays[word]);
		}
		if (at & globs->wanted[word])
			marks |= TT_MARK_COMM;
		if (at & globs->unwanted[word])
			marks |= TT_MARK_NOT_COMM;
	}
	return marks;
}

/* What is asked for and finds no room is not known to be: how much of it there was is told. */
tt_inline void tt_count_unmarked(struct tt_stats *stats, long failed)
{
	if (failed)
		stats->lost_map[TT_KIND_TASK]++;
}

/* A process has this name from now on; one that loses a name keeps an entry to say so. */
tt_inline void tt_name_target(struct tt_stats *stats, tt_pid pid, tt_ticks start, const char *comm)
{
	long failed;

	struct tt_target target = {.start = start};
	char name[16] = {};

	bpf_probe_read_kernel_str(name, sizeof(name), comm);
	target.marks = tt_mark_name(name);
	/* while processes are looked over, the row that names it may be older than this */
	if (target.marks || !CONTROL_GET(live) || MAP_GET(tt_named, &pid)) {
		failed = MAP_PUT(tt_named, &pid, &target, BPF_ANY);
		if (target.marks)
			tt_count_unmarked(stats, failed);
	}
}

/* NULL where nothing is known of it, or of another of the same PID alone. */
tt_inline struct tt_target *tt_find_target(tt_pid pid, tt_ticks start)
{
	struct tt_target *target = MAP_GET(tt_targets, &pid);

	return target && target->start == start ? target : NULL;
}

/* Likewise. */
tt_inline struct tt_target *tt_find_named(tt_pid pid, tt_ticks start)
{
	struct tt_target *target = MAP_GET(tt_named, &pid);

	return target && target->start == start ? target : NULL;
}

/* Of a process that lives, or of what its name was. */
tt_inline tt_marks tt_marks_of(const struct tt_owner *owner)
{
	const struct tt_target *target;
	tt_marks marks = 0;

	if (CFG(filter_pid) || CFG(not_pid)) {
		target = tt_find_target(owner->pid, owner->start);
		if (target)
			marks |= target->marks;
	}
	if (tt_asks_names()) {
		target = tt_find_named(owner->pid, owner->start);
		if (target)
			marks |= target->marks;
	}
	if (CFG(filter_cgroup) || CFG(not_cgroup)) {
		const tt_marks *of_cgroup = MAP_GET(tt_cgroups, &owner->cgroup_id);

		marks |= of_cgroup ? *of_cgroup : 0;
	}
	return marks;
}

/* Of the process that runs now. */
tt_inline tt_marks tt_current_marks(const struct tt_owner *owner)
{
	return CFG(asks_owners) ? tt_marks_of(owner) : 0;
}

/* Of those that hold it, as the owner is called now. */
tt_inline tt_marks tt_marks_of_listener(const struct tt_listener *listener)
{
	const struct tt_target *owner;

	if (!tt_asks_names())
		return listener->marks;
	owner = tt_find_named(listener->owner.pid, listener->owner.start);
	return listener->marks | (owner ? owner->marks : 0);
}

/* It passes to another owner: what the one before is called is one of the others' from here on. */
tt_inline void tt_pass_listener(struct tt_listener *listener, const struct tt_owner *owner,
				tt_marks marks)
{
	if (CFG(asks_owners))
		listener->marks = tt_marks_of_listener(listener) | (marks & ~TT_MARKS_OF_NAME);
	listener->owner = *owner;
}

/* A process may be called something else than when the socket became its own. */
tt_inline void tt_mark_again(struct tt_sock *sock)
{
	const struct tt_listener *listener;
	const struct tt_target *owner;

	if (!tt_asks_names())
		return;
	if (sock->owner_is == TT_OWNER_LISTENER) {
		listener = MAP_GET(tt_listeners, &sock->listener_cookie);
		if (listener)
			sock->marks = tt_marks_of_listener(listener);
		return;
	}
	owner = tt_find_named(sock->owner.pid, sock->owner.start);
	if (owner) /* not gone yet */
		sock->marks = (sock->marks & ~TT_MARKS_OF_NAME) | owner->marks;
}

#endif
