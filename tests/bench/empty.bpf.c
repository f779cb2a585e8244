/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Programs that do nothing, where ours are attached: what being called costs at least. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tp_btf/inet_sock_set_state")
int tt_empty(void *ctx)
{
	return 0;
}

/* The floor: as many as `states` has for a connection's transitions, and one clock to read. */
SEC("tp_btf/inet_sock_set_state")
int tt_floor(void *ctx)
{
	volatile unsigned long long now = bpf_ktime_get_ns();

	return now == 0;
}

SEC("tp_btf/inet_sock_set_state")
int tt_floor_nested(void *ctx)
{
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_accept4")
int tt_floor_accept(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
