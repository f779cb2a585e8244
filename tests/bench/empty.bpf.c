/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A program that does nothing, where tt_state is attached: what being called costs at least. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tp_btf/inet_sock_set_state")
int tt_empty(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
