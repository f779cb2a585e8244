/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * accept() took a finished connection: from here on the acceptor owns it.
 *
 * Attach, first that loads: fexit of security_sock_graft(), which accept() calls
 * with the socket it has taken, for what is accepted, and of the functions that
 * serve the two system calls for what fails; else kprobes of the same; else the
 * tracepoints at the exits of the two, where the socket is found through the
 * descriptor that was returned. The last costs every system call of the machine
 * 30 to 60 ns.
 *
 * Not inet_csk_accept(): a call that waited in it when the program was attached
 * would return past it. What is grafted has been waited for. Of kretprobes no
 * more calls are seen to end than the kernel keeps places for, which those that
 * wait take: what fails meanwhile is not told.
 *
 * A kprobe is skipped while a program of another one, or of a classic tracepoint,
 * or a system call that changes a map has that CPU: these here run in system
 * calls, which interrupt no program, but may take over from such a call.
 */
#include "../accept.h"
#include "../files.h"

tt_inline int tt_accept_refused(void *ctx, long returned)
{
	const struct task_struct *task = tt_task();
	const struct sock *sk;

	if (!tt_is_accept_failure(-returned) || !task)
		return 0;
	sk = tt_sock_of_fd(tt_call_argument(task, 0));
	return sk ? tt_accept_failed(ctx, sk, -returned) : 0;
}

/*
 * Called by sock_graft(), which accept() alone does with a TCP socket
 * (net/ipv4/af_inet.c: inet_accept(), __inet_accept() since v6.10); where
 * CONFIG_SECURITY_NETWORK is off it is no function.
 */
tt_inline int tt_accept_grafted(void *ctx, const struct sock *sk)
{
	__u16 protocol = 0;

	bpf_core_read(&protocol, sizeof(protocol), &sk->sk_protocol);
	return protocol == IPPROTO_TCP ? tt_accepted(ctx, sk, TT_PRECISION_EXACT) : 0;
}

PROBE_FEXIT("security_sock_graft")
int tt_accept_graft(__u64 *ctx)
{
	return tt_accept_grafted(ctx, (const struct sock *)ctx[0]);
}

PROBE_FEXIT_CALL("accept4")
int tt_accept4_fexit(__u64 *ctx)
{
	return tt_accept_refused(ctx, ctx[1]);
}

PROBE_FEXIT_CALL("accept")
int tt_accept_fexit(__u64 *ctx)
{
	return tt_accept_refused(ctx, ctx[1]);
}

#ifndef TT_BCC
PROBE_KPROBE("security_sock_graft")
int tt_accept_kgraft(void *ctx)
{
	return tt_accept_grafted(ctx, (const struct sock *)tt_entered_with(ctx, 0));
}

PROBE_KRETPROBE_CALL("accept4")
int tt_accept4_kret(void *ctx)
{
	return tt_accept_refused(ctx, tt_left_with(ctx));
}

PROBE_KRETPROBE_CALL("accept")
int tt_accept_kret(void *ctx)
{
	return tt_accept_refused(ctx, tt_left_with(ctx));
}
#endif

tt_inline int tt_accept_returned(struct trace_event_raw_sys_exit *ctx)
{
	const struct sock *sk;

	if (ctx->ret < 0)
		return tt_accept_refused(ctx, ctx->ret);
	sk = tt_sock_of_fd(ctx->ret);
	return sk ? tt_accepted(ctx, sk, TT_PRECISION_EXACT) : 0;
}

/* User space attaches it to sys_exit_accept as well: verified once, it serves both. */
PROBE_TRACEPOINT("syscalls/sys_exit_accept4")
int tt_accept_exit(struct trace_event_raw_sys_exit *ctx)
{
	return tt_accept_returned(ctx);
}
