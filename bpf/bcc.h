/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The seam's other side: these sources through BCC, which compiles them at run time
 * against the running kernel's own types (a vmlinux.h made from its BTF).
 *
 * BCC knows its maps by BPF_TABLE, reads fields of the kernel's structs by
 * bpf_probe_read wherever a pointer comes from the context, and has no sections,
 * no relocations and no constants set at load. clang -E takes these macros and
 * ours away first, as BCC cannot rewrite what a macro made; what is left is given
 * to it. Programs are raw_tp: no helper takes a pointer of theirs.
 */
#ifndef TT_BCC_H
#define TT_BCC_H

#define const /* what BCC puts in for a read of a const field is const, and then written */
#define __noinline __always_inline /* it loads one function a program */
#define NULL ((void *)0)
#define TT_NONE TT_NO_STATE /* the kernel has one of its own */
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
	BPF_TABLE(TT_MAP_##kind, key_type, value_type, name, entries)
/* 1: BPF_F_NO_PREALLOC, which a trie needs; that a map can be mapped into memory is for Python */
#define MAP_WITH(kind, name, key_type, value_type, entries, flags)                                 \
	BPF_F_TABLE(TT_MAP_##kind, key_type, value_type, name, entries, (flags)&1)
#define MAP_PERF(name) BPF_PERF_OUTPUT(name)
#define BUFFER_PUT(ctx, buffer, record) buffer.perf_submit(ctx, record, sizeof(*(record)))

/* given on the command line: -DTT_SETTINGS=.kinds=1,.stream=1 */
#define SETTINGS(type, name) static __const type name = {TT_SETTINGS}
#define SETTING(type, name) static __const type name = {}
#define CFG(name) (tt_config.name)
/* nothing is seeded, so nothing is waited for */
#define CONTROL(type, name) static __const type name = {.live = 1}
#define CONTROL_NOW(name) (tt_control.name)
#define CONTROL_SET(name) (void)0
#define CONTROL_COUNT(name) (void)0

#define PROBE_BTF(tracepoint)
/* the body; it is entered by the function that bpf/state.bcc.c makes after it */
#define BPF_PROG(name, ...)                                                                        \
	static __always_inline name##_body(struct bpf_raw_tracepoint_args *ctx, __VA_ARGS__)
#define ENTRY(name, ...)                                                                           \
	int name(struct bpf_raw_tracepoint_args *ctx)                                              \
	{                                                                                          \
		struct sock *sk = (struct sock *)ctx->args[0];                                     \
		return name##_body(ctx, sk, ##__VA_ARGS__);                                        \
	}

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

/* the cookie is given out on first asking, which no helper of raw_tp does: an address will do */
#define bpf_get_socket_cookie(sk) ((__u64)(sk))
#define bpf_skc_to_tcp_sock(sk) ((struct tcp_sock *)(sk))

#endif
