/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Stacks of calls, with CFG(stacks) and, of processes, CFG(made) alone; else these maps
 * are not even made.
 *
 * The kernel keeps each once and gives it a number by its hash. None is ever
 * replaced, so a number says the same for the whole session; a stack whose
 * place another one has is told of as TT_STACK_LOST.
 */
#ifndef TT_STACKS_H
#define TT_STACKS_H

#include "maps.h"
#include "owner.h"

#define TT_FRAMES 127 /* kernel.perf_event_max_stack, if nobody changed it */

struct tt_frames {
	tt_code at[TT_FRAMES];
};

MAP_OF(STACK_TRACE, tt_kernel_stacks, __u32, struct tt_frames, 8192);

MAP_OF(STACK_TRACE, tt_user_stacks, __u32, struct tt_frames, 8192);

tt_inline tt_stack_id tt_kernel_stack(void *ctx)
{
	long place = bpf_get_stackid(ctx, &tt_kernel_stacks, 0);

	return place < 0 ? TT_STACK_LOST : place + 1;
}

/* That of the process that runs. */
tt_inline tt_stack_id tt_take_user_stack(void *ctx)
{
	long place = bpf_get_stackid(ctx, &tt_user_stacks, BPF_F_USER_STACK);

	if (place == -EEXIST || place == -ENOMEM)
		return TT_STACK_LOST;
	return place < 0 ? TT_STACK_NONE : place + 1;
}

/*
 * That of the process that runs, if it is this one. Whether it was only
 * interrupted, the kernel's stack tells: user space leaves it out then.
 */
tt_inline tt_stack_id tt_user_stack(void *ctx, const struct tt_head *head)
{
	const struct task_struct *task = (const void *)bpf_get_current_task();

	if (!head->pid || head->oncpu_pid != head->pid || tt_read_start(task) != head->start)
		return TT_STACK_NONE;
	return tt_take_user_stack(ctx);
}

#endif
