/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What kernels before v5.12 have in place of what later ones do: compat.h says why there is an
 * object of its own for them.
 */
#ifndef TT_OLD_H
#define TT_OLD_H

/* No bpf_loop() (in v5.17), whose callback would be refused wherever it stands. */
#define LOOP_BODY tt_inline
#define LOOP(count, most, body, context)                                                           \
	do {                                                                                       \
		for (__u32 at_ = 0; at_ < (most) && at_ < (count); at_++)                          \
			if (body(at_, context))                                                    \
				break;                                                             \
	} while (0)

/*
 * Exchanges that are none: two CPUs at one moment may both find what was there. They guard a peak
 * (one higher depth may be missed), the begin of a span in which a queue was full (it may be
 * counted twice), and a listener's place among its twins (one may take the other's).
 */
tt_inline __u64 tt_exchange_if(__u64 *at, __u64 before, __u64 value)
{
	__u64 was = *(volatile __u64 *)at;

	if (was == before)
		*(volatile __u64 *)at = value;
	return was;
}

tt_inline __u64 tt_exchange(__u64 *at, __u64 value)
{
	__u64 was = *(volatile __u64 *)at;

	*(volatile __u64 *)at = value;
	return was;
}

/*
 * A program does not run inside itself: an interrupt would find the record that it breaks into half
 * made. Kernels see to that, and count what they skip, since Linux commits ca06f55b9002 ("bpf: Add
 * per-program recursion prevention mechanism") (in v5.12) and 05b24ff9b2cf ("bpf: Prevent bpf
 * program recursion for raw tracepoint probes") (in v6.1). Here each program does so itself, by a
 * word of this CPU: nothing else runs on it between.
 */
#define TT_PROGRAMS 32

MAP_OF(PERCPU_ARRAY, tt_running, __u32, __u64, TT_PROGRAMS);

#define TT_ONCE(number, name, call)                                                                \
	_Static_assert(number < TT_PROGRAMS, "a word for each program");                           \
	__u32 place_ = number;                                                                     \
	__u64 *running_ = MAP_GET(tt_running, &place_);                                            \
                                                                                                   \
	if (!running_)                                                                             \
		return 0;                                                                          \
	if (*(volatile __u64 *)running_) {                                                         \
		__sync_fetch_and_add(&tt_skipped_##name, 1);                                       \
		return 0;                                                                          \
	}                                                                                          \
	*(volatile __u64 *)running_ = 1;                                                           \
	_Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wint-conversion\"")      \
		call;                                                                              \
	_Pragma("GCC diagnostic pop") * (volatile __u64 *)running_ = 0;                            \
	return 0

#undef BPF_PROG
#define BPF_PROG(name, args...) TT_ONCE_PROG(__COUNTER__, name, ##args)
#define TT_ONCE_PROG(number, name, args...)                                                        \
	name(unsigned long long *ctx);                                                             \
	__u64 tt_skipped_##name;                                                                   \
	static __always_inline int ____##name(unsigned long long *ctx, ##args);                    \
	int name(unsigned long long *ctx)                                                          \
	{                                                                                          \
		TT_ONCE(number, name, ____##name(___bpf_ctx_cast(args)));                          \
	}                                                                                          \
	static __always_inline int ____##name(unsigned long long *ctx, ##args)

/* The same of one that takes its arguments as they come. */
#define TT_PROG(name) TT_ONCE_ROW(__COUNTER__, name)
#define TT_ONCE_ROW(number, name)                                                                  \
	name(__u64 *ctx);                                                                          \
	__u64 tt_skipped_##name;                                                                   \
	static __always_inline int ____##name(__u64 *ctx);                                         \
	int name(__u64 *ctx)                                                                       \
	{                                                                                          \
		TT_ONCE(number, name, ____##name(ctx));                                            \
	}                                                                                          \
	static __always_inline int ____##name(__u64 *ctx)

#define TT_REG(regs, name)                                                                         \
	({                                                                                         \
		__u64 reg_ = 0; /* no const one, as the field is: that stays 0 */                  \
		bpf_core_read(&reg_, sizeof((regs)->name), &(regs)->name);                         \
		reg_;                                                                              \
	})

/* No bpf_get_current_task_btf(): its fields are copied, not loaded. */
#define TT_TRUSTS_TASK false

tt_inline const struct task_struct *tt_task_btf(void)
{
	return NULL;
}

tt_inline const struct task_struct *tt_task(void)
{
	return (const struct task_struct *)bpf_get_current_task();
}

/*
 * What the system call of a task was entered with, without bpf_task_pt_regs(): it lies at the end
 * of the task's stack (task_pt_regs() in arch/.../processor.h), of 16 kB without KASAN. NULL where
 * what lies there is not user space's.
 */
tt_inline const void *tt_task_regs(const struct task_struct *task)
{
	const char *end = (const char *)BPF_CORE_READ(task, stack) + 16384;
#if defined(__TARGET_ARCH_x86)
	const struct pt_regs___x86 *regs =
		(const void *)(end - bpf_core_type_size(struct pt_regs___x86));

	return (TT_REG(regs, cs) & 0xffff) == 0x33 ? regs : NULL;
#else
	const struct pt_regs___arm64 *regs =
		(const void *)(end - bpf_core_type_size(struct pt_regs___arm64));

	return TT_REG(regs, pstate) & 0xf ? NULL : regs;
#endif
}

#endif
