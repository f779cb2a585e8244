/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The seam's other side: these sources through BCC, which compiles them at run time
 * against the running kernel's own types (a vmlinux.h made from its BTF, or headers).
 *
 * BCC knows its maps by BPF_TABLE, reads fields of the kernel's structs by
 * bpf_probe_read wherever a pointer comes from the context, and has no sections, no
 * relocations, no functions but programs and no constants set at load. clang -E takes
 * these macros and ours away when the tracer is built, as BCC cannot rewrite what a
 * macro made; settings are put into the text that is left (tracer/kernel/bcc.py).
 */
#ifndef TT_BCC_H
#define TT_BCC_H

#define const /* what BCC puts in for a read of a const field is const, and then written */
#define __noinline __always_inline /* it loads one function a program */
#define NULL ((void *)0)
#define TT_NONE TT_NO_STATE		     /* the kernel has one of its own */
#define trace_event_raw_sys_exit tt_sys_exit /* which no header has */
#define pt_regs___x86 pt_regs
#define pt_regs___arm64 pt_regs
#define offsetof(type, member) __builtin_offsetof(type, member)
#define barrier_var(var) asm volatile("" : "=r"(var) : "0"(var))

#define MAP_GET(map, key) map.lookup(key)
#define MAP_PUT(map, key, value, flags)                                                            \
	((flags) == BPF_NOEXIST ? map.insert(key, value) : map.update(key, value))
#define MAP_DEL(map, key) map.delete(key)
#define TT_MAP_HASH "hash"
#define TT_MAP_ARRAY "array"
#define TT_MAP_PERCPU_HASH "percpu_hash"
#define TT_MAP_PERCPU_ARRAY "percpu_array"
#define TT_MAP_LRU_HASH "lru_hash"
#define TT_MAP_LRU_PERCPU_HASH "lru_percpu_hash"
#define TT_MAP_LPM_TRIE "lpm_trie"
#define MAP_OF(kind, name, key_type, value_type, entries)                                          \
	BPF_F_TABLE(TT_MAP_##kind, key_type, value_type, name, entries, 0)
#define MAP_WITH(kind, name, key_type, value_type, entries, flags)                                 \
	BPF_F_TABLE(TT_MAP_##kind, key_type, value_type, name, entries, flags)
#define MAP_PERF(name) BPF_PERF_OUTPUT(name)
/* what BCC makes of this names the map alone: see tracer/kernel/bcc.py */
#define MAP_POINTER(name) name.sk_storage_get(0, 0, 0)
#define BUFFER_PUT(ctx, buffer, record) buffer.perf_submit(ctx, record, sizeof(*(record)))

/* user space writes the values in place of the last word */
#define SETTING(type, name) static __const type name = {TT_SETTING_##name}
#define CFG(name) (tt_config.name)
/* what is too large for that, or changes while the programs run, is a map with one value */
#define MAP_ONE(type, name) BPF_F_TABLE("array", __u32, type, name, 1, BPF_F_MMAPABLE)
#define MAP_ONE_AT(name)                                                                           \
	({                                                                                         \
		__u32 first_ = 0;                                                                  \
		name.lookup(&first_);                                                              \
	})
#define TABLE(type, name) MAP_ONE(type, name)
#define TABLE_AT(name) MAP_ONE_AT(name)
#define ZEROS(type, name) MAP_ONE(type, name)
#define ZEROS_AT(name) MAP_ONE_AT(name)
#define CONTROL(type, name) MAP_ONE(type, name)
#define CONTROL_NOW(name)                                                                          \
	({                                                                                         \
		struct tt_control *control_ = MAP_ONE_AT(tt_control);                              \
		control_ ? *(volatile __u64 *)&control_->name : 0;                                 \
	})
#define CONTROL_GET(name)                                                                          \
	({                                                                                         \
		struct tt_control *control_ = MAP_ONE_AT(tt_control);                              \
		control_ ? control_->name : 0;                                                     \
	})
#define CONTROL_SET(name)                                                                          \
	({                                                                                         \
		struct tt_control *control_ = MAP_ONE_AT(tt_control);                              \
		if (control_)                                                                      \
			control_->name = 1;                                                        \
	})
#define CONTROL_COUNT(name)                                                                        \
	({                                                                                         \
		struct tt_control *control_ = MAP_ONE_AT(tt_control);                              \
		if (control_)                                                                      \
			__sync_fetch_and_add(&control_->name, 1);                                  \
	})
#define LOOP_BODY static __always_inline
#define LOOP(count, most, body, context)                                                           \
	do {                                                                                       \
		for (__u32 at_ = 0; at_ < (most) && at_ < (count); at_++)                          \
			if (body(at_, context))                                                    \
				break;                                                             \
	} while (0)

/* what cannot be attached through BCC is left out by the compiler */
#define PROBE_FEXIT(function) static __always_inline
#define PROBE_FEXIT_CALL(name) static __always_inline
#define PROBE_ITER(name) static __always_inline
#define PROBE_RAW(tracepoint) TT_ATTACH("raw_tp", tracepoint)
#define PROBE_KPROBE(function) TT_ATTACH("kprobe", function)
#define PROBE_KRETPROBE(function) TT_ATTACH("kretprobe", function)
#define PROBE_TRACEPOINT(name) TT_ATTACH("tracepoint", name)
/* never attached */
#define PROBE_RUN TT_ATTACH("raw_tp", "none")
#define PROBE_BTF(tracepoint) TT_ATTACH("raw_tp", tracepoint)
/* the body; it is entered by the function that ENTRY makes after it */
#define BPF_PROG(name, ...)                                                                        \
	static __always_inline name##_body(struct bpf_raw_tracepoint_args *ctx, __VA_ARGS__)
#define ENTRY(name, type, ...)                                                                     \
	int name(struct bpf_raw_tracepoint_args *ctx)                                              \
	{                                                                                          \
		type *first_ = (type *)ctx->args[0];                                               \
		return name##_body(ctx, first_, ##__VA_ARGS__);                                    \
	}
#define ENTRY_TWO(name, type, other)                                                               \
	int name(struct bpf_raw_tracepoint_args *ctx)                                              \
	{                                                                                          \
		type *first_ = (type *)ctx->args[0];                                               \
		other *second_ = (other *)ctx->args[1];                                            \
		return name##_body(ctx, first_, second_);                                          \
	}

/* what a program on such a tracepoint is given: struct trace_entry first */
struct tt_sys_exit {
	__u64 entry;
	long id;
	long ret;
};

#define READ(trusted, dst, ptr, field) bpf_core_read(&(dst), sizeof(dst), &(ptr)->field)
#define bpf_core_read(dst, size, src) bpf_probe_read_kernel(dst, size, (const void *)(src))
#define bpf_core_field_exists(...) 1
#define bpf_core_enum_value_exists(...) 0 /* what is asked for so is a helper that BCC may lack */
#define bpf_core_field_offset(type, field) __builtin_offsetof(type, field)
#define bpf_core_type_size(type) sizeof(type)
#define TT_HOP(from, field)                                                                        \
	({                                                                                         \
		typeof((void)0, (from)->field) hop;                                                \
		bpf_probe_read_kernel(&hop, sizeof(hop), &(from)->field);                          \
		hop;                                                                               \
	})
#define TT_READ_1(src, a) TT_HOP(src, a)
#define TT_READ_2(src, a, b)                                                                       \
	({                                                                                         \
		const typeof((src)->a) at1 = TT_HOP(src, a);                                       \
		TT_HOP(at1, b);                                                                    \
	})
#define TT_READ_3(src, a, b, c)                                                                    \
	({                                                                                         \
		const typeof((src)->a) at2 = TT_HOP(src, a);                                       \
		TT_READ_2(at2, b, c);                                                              \
	})
#define BPF_CORE_READ(src, ...) TT_READ_PICK(__VA_ARGS__, 3, 2, 1)(src, __VA_ARGS__)
#define TT_READ_PICK(a, b, c, n, ...) TT_READ_##n

#define bpf_skc_to_tcp_sock(sk) ((struct tcp_sock *)(sk))

#define TT_REG(regs, name) TT_HOP(regs, name)

/*
 * Where a task's registers lie as it entered the kernel: at the end of its stack
 * (task_pt_regs() in arch/.../processor.h). How long a stack is, and what is left
 * free behind it, is a matter of configuration: the place is that of which the
 * registers say that they are user space's.
 */
#define TT_STACKS 2 /* KASAN doubles it */
#define TT_STACK_SIZE 16384
#define TT_PADDING 16 /* with CONFIG_X86_FRED */

tt_inline void *tt_task_regs(struct task_struct *task)
{
	__u64 stack = (__u64)TT_HOP(task, stack);

	for (int i = 0; i < 2 * TT_STACKS; i++) {
		struct pt_regs *regs = (struct pt_regs *)(stack + (TT_STACK_SIZE << (i >> 1)) -
							  (i & 1) * TT_PADDING) -
				       1;
#if defined(__TARGET_ARCH_x86)
		if ((TT_HOP(regs, cs) & 0xffff) == 0x33 && (TT_HOP(regs, ss) & 0xffff) == 0x2b)
			return regs;
#else
		if (!(TT_HOP(regs, pstate) & 0xf) && TT_HOP(regs, syscallno) > 0)
			return regs;
#endif
	}
	return NULL;
}

#endif
