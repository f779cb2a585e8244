/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What BCC compiles. It follows the kernel's pointers from the context on, so each
 * program takes them from there.
 */
#include "probes/state.bpf.c"
#include "probes/accept.bpf.c"
#include "probes/handshake.bpf.c"
#include "probes/task.bpf.c"
#include "probes/syn_drop.bpf.c"

ENTRY(tt_state, struct sock, ctx->args[1], ctx->args[2])
ENTRY(tt_state_nested, struct sock, ctx->args[1], ctx->args[2])
ENTRY(tt_destroy, struct sock)
ENTRY_TWO(tt_fork, struct task_struct, struct task_struct)
ENTRY_TWO(tt_rename, struct task_struct, char)
ENTRY(tt_exit, struct task_struct)
ENTRY(tt_free, struct task_struct)

/* A SYN-ACK goes out once more: see probes/retransmit.bpf.c, of which this is a part. */
PROBE_RAW("tcp_retransmit_synack")
int tt_synack_again(struct bpf_raw_tracepoint_args *ctx)
{
	const struct request_sock *req = (const struct request_sock *)ctx->args[1];
	struct tt_head head = {};

	head.netns = tt_read_netns(&req->__req_common, false);
	tt_read_tuple(&req->__req_common, &head, false);
	tt_keep_synack(req, &head);
	return 0;
}

/* Run by user space, in a network namespace that is older than the tracer. */
PROBE_RUN
int tt_prime_here(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	tt_prime(BPF_CORE_READ(task, nsproxy, net_ns));
	return 0;
}
