/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * One function per difference between kernels, each with the commit that made
 * it, and the seam between the two back ends: maps, settings and entry points
 * are only named through the macros below, so that another compiler of these
 * sources can give them another meaning.
 */
#ifndef TT_COMPAT_H
#define TT_COMPAT_H

#include "kernel.h"

#define MAP_GET(map, key) bpf_map_lookup_elem(&(map), (key))
#define MAP_PUT(map, key, value, flags) bpf_map_update_elem(&(map), (key), (value), (flags))
#define MAP_DEL(map, key) bpf_map_delete_elem(&(map), (key))
#define CFG(name) (tt_config.name)

#define PROBE_BTF(tracepoint) SEC("tp_btf/" tracepoint)
#define PROBE_FEXIT(function) SEC("fexit/" function)
#define PROBE_TRACEPOINT(name) SEC("tracepoint/" name)
#define PROBE_ITER(name) SEC("iter/" name)

#define tt_inline static __always_inline

/*
 * Read a field through a pointer the verifier trusts (`trusted`: a plain load)
 * or one that is only a number to it (a checked copy). `trusted` is constant
 * wherever this is inlined, so one of the two roads is dead code.
 */
#define READ(trusted, dst, ptr, field)                                                             \
	do {                                                                                       \
		if (trusted)                                                                       \
			(dst) = (ptr)->field;                                                      \
		else                                                                               \
			bpf_core_read(&(dst), sizeof(dst), &(ptr)->field);                         \
	} while (0)

/*
 * The task that runs, as a pointer whose fields are plain loads; NULL on older
 * kernels. The helper came with Linux commit 3ca1032ab7ab ("bpf: Implement
 * get_current_task_btf and RET_PTR_TO_BTF_ID") (in v5.11).
 */
tt_inline const struct task_struct *tt_task_btf(void)
{
	if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf))
		return (void *)bpf_get_current_task_btf();
	return NULL;
}

/*
 * The socket that inet_csk_accept() returned, from an fexit context. Its two
 * last arguments became one struct in v6.10: Linux commit 92ef0fd55ac8
 * ("net: change proto and proto_ops accept type").
 */
tt_inline struct sock *tt_accepted_sock(__u64 *ctx)
{
	if (bpf_core_type_exists(struct proto_accept_arg))
		return (struct sock *)ctx[2];
	return (struct sock *)ctx[4];
}

#endif
