/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Where each socket was made: what its process was in as it called connect() or
 * accept(). With CFG(made) alone; else these maps are not even made.
 *
 * The kernel's own walk follows frame pointers, which most programs leave out, and
 * which the C library's connect() and accept() have none of: of who called these it
 * tells nothing. So the registers and the top of the stack are kept beside it, and
 * user space walks as a debugger does (tracer/attribution/call_frames.py).
 */
#ifndef TT_MADE_H
#define TT_MADE_H

#include "maps.h"
#include "owner.h"
#include "stacks.h"

#define TT_TOP 48 /* words of the stack: some frames */

struct tt_made {
	tt_pid pid;
	tt_ticks start;
	tt_stack_id user_stack;
	tt_role_t role; /* active: connect(), passive: accept() */
	__u8 reserved[3];
	__u64 ip;
	__u64 sp;
	__u64 bp;
	__u64 top[TT_TOP];
};

/* As many as there are open sockets, which are few most often: each takes its room when made. */
MAP_WITH(HASH, tt_made, tt_cookie, struct tt_made, 131072, BPF_F_NO_PREALLOC);

/* Where an entry is made: in process context alone. */
MAP_OF(PERCPU_ARRAY, tt_new_made, __u32, struct tt_made, 1);

/* The process that runs acts itself: it connects, or has accepted. */
tt_inline void tt_note_made(void *ctx, tt_cookie cookie, const struct tt_owner *owner,
			    enum tt_role role)
{
	const struct task_struct *task = tt_task();
	__u32 zero = 0;
	struct tt_made *made = MAP_GET(tt_new_made, &zero);

	if (!made || !task || !owner->pid || !cookie)
		return;
	__builtin_memset(made, 0, sizeof(*made));
	made->pid = owner->pid;
	made->start = owner->start;
	made->role = role;
	made->user_stack = tt_take_user_stack(ctx);
	tt_read_registers(task, &made->ip, &made->sp, &made->bp);
	if (made->sp)
		bpf_probe_read_user(made->top, sizeof(made->top), (const void *)made->sp);
	if (MAP_PUT(tt_made, &cookie, made, BPF_ANY))
		CONTROL_COUNT(unmade);
}

#endif
