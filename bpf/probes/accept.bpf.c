/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * accept() took a finished connection: from here on the acceptor owns it.
 *
 * Attach, first that loads: fexit/inet_csk_accept; else the exits of accept4
 * and accept, where the socket is found through the descriptor that was
 * returned. The second costs every system call of the machine 30 to 60 ns.
 */
#include "../accept.h"
#include "../files.h"

PROBE_FEXIT("inet_csk_accept")
int tt_accept_fexit(__u64 *ctx)
{
	const struct sock *sk = tt_accepted_sock(ctx);
	__u16 protocol = 0;

	if (!sk)
		return 0;
	bpf_core_read(&protocol, sizeof(protocol), &sk->sk_protocol);
	return protocol == IPPROTO_TCP ? tt_accepted(ctx, sk, TT_PRECISION_EXACT) : 0;
}

tt_inline int tt_accept_returned(struct trace_event_raw_sys_exit *ctx)
{
	const struct task_struct *task = tt_task_btf();
	const struct sock *sk;

	if (ctx->ret < 0) {
		if (!tt_is_accept_failure(-ctx->ret) || !task)
			return 0;
		sk = tt_sock_of_fd(tt_call_argument(task, 0));
		return sk ? tt_accept_failed(ctx, sk, -ctx->ret) : 0;
	}
	sk = tt_sock_of_fd(ctx->ret);
	return sk ? tt_accepted(ctx, sk, TT_PRECISION_EXACT) : 0;
}

PROBE_TRACEPOINT("syscalls/sys_exit_accept4")
int tt_accept4_exit(struct trace_event_raw_sys_exit *ctx)
{
	return tt_accept_returned(ctx);
}

PROBE_TRACEPOINT("syscalls/sys_exit_accept")
int tt_accept_exit(struct trace_event_raw_sys_exit *ctx)
{
	return tt_accept_returned(ctx);
}
