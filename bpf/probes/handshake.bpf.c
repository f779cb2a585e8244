/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the transitions do not say of attempts to connect; the rest is told where
 * the state changes. Those that end before a SYN is sent (no route, not
 * permitted, no free port) make no transition, or none that says why, so the end
 * of connect() is looked at. How long a handshake took whose SYN-ACK was sent
 * again, only the request knew (probes/retransmit.bpf.c).
 *
 * Attach, first that loads: fexit of the function that serves connect(); else its
 * kretprobe, which no more calls are seen to end by than the kernel keeps places
 * for; else the tracepoint at its exit, where the accept hook stands on such an exit and has
 * paid the price on every system call already.
 */
#include "../emit.h"
#include "../files.h"
#include "../handshake.h"
#include "../owner.h"
#include "../sock.h"
#include "../socks.h"

struct tt_sockaddr_in {
	__u16 family;
	__be16 port;
	__be32 addr;
};

struct tt_sockaddr_in6 {
	__u16 family;
	__be16 port;
	__u32 flowinfo;
	__u8 addr[16];
};

/* Not an end: it goes on, is done already, or was interrupted. */
tt_inline bool tt_is_connect_end(long error)
{
	return error > 0 && error != EINPROGRESS && error != EALREADY && error != EISCONN &&
	       error != EINTR && !(error >= ERESTARTSYS && error <= ERESTART_RESTARTBLOCK);
}

/* Where it was to go: what the application asked for, as the socket was not told of it. */
tt_inline void tt_read_wanted(const void *where, struct tt_head *head)
{
	struct tt_sockaddr_in6 six = {};
	struct tt_sockaddr_in four = {};

	if (bpf_probe_read_user(&four, sizeof(four), where))
		return;
	head->rport = bpf_ntohs(four.port);
	if (four.family == AF_INET) {
		tt_map_v4(head->raddr, four.addr);
	} else if (four.family == AF_INET6 && !bpf_probe_read_user(&six, sizeof(six), where)) {
		__builtin_memcpy(head->raddr, six.addr, sizeof(head->raddr));
	}
	head->family = tt_is_v4mapped(head->raddr) ? 4 : 6;
}

/* connect() to nowhere: the socket is free for another attempt, and how the last ended is over. */
tt_inline void tt_forget_error(const struct task_struct *task)
{
	__u16 family = AF_UNSPEC + 1;
	const struct sock *sk;
	struct tt_sock *sock;

	if (bpf_probe_read_user(&family, sizeof(family), (const void *)tt_call_argument(task, 1)) ||
	    family != AF_UNSPEC)
		return;
	sk = tt_sock_of_fd(tt_call_argument(task, 0));
	sock = sk ? tt_find_sock(tt_read_cookie(&sk->__sk_common)) : NULL;
	if (sock)
		sock->told_error = 0;
}

tt_inline void tt_tell_connect(void *ctx, const struct task_struct *task, long error)
{
	struct tt_stats *stats = tt_get_stats(TT_SLOT_PROCESS);
	struct tt_large large = {};
	struct tt_handshake *event = &large.handshake;
	struct tt_head *head = &event->head;
	struct tt_owner caller;
	const struct sock *sk;
	struct tt_sock *sock;
	tt_marks marks;

	if (!stats)
		return;
	sk = tt_sock_of_fd(tt_call_argument(task, 0));
	if (!sk)
		return;
	head->cookie = tt_read_cookie(&sk->__sk_common);
	sock = tt_find_sock(head->cookie);
	if (sock && sock->told_error && (sock->told_error == error || error == ECONNABORTED)) {
		/* told already: this is how the application hears of it, as
		 * ECONNABORTED if it has asked for SO_ERROR before
		 */
		sock->told_error = 0;
		return;
	}
	head->mono_ns = bpf_ktime_get_ns();
	head->kind = TT_KIND_HANDSHAKE;
	head->owner_is = tt_current_owner(ctx, stats, head->mono_ns, &caller);
	head->pid = caller.pid;
	head->start = caller.start;
	head->cgroup_id = caller.cgroup_id;
	head->oncpu_pid = head->pid;
	marks = tt_current_marks(&caller);
	head->netns = tt_read_netns(&sk->__sk_common, false);
	tt_read_tuple(&sk->__sk_common, head, false);
	tt_read_wanted((const void *)tt_call_argument(task, 1), head);
	event->uid = tt_read_uid(sk, false);
	event->role = TT_ROLE_ACTIVE;
	event->old = TT_CLOSE;
	event->new = TT_CLOSE;
	event->error = error;
	event->outcome = tt_outcome_of(error);
	if (tt_admit(stats, TT_KIND_HANDSHAKE, head, event->uid, 1U << TT_CLOSE, marks,
		     tt_refuses_handshake(event)) &&
	    CFG(stream))
		tt_send(ctx, tt_large, TT_KIND_HANDSHAKE, &large, stats);
}

tt_inline int tt_connect_returned(void *ctx, long returned)
{
	const struct task_struct *task = tt_task();
	long error = -returned;

	if (!task || !tt_is_live())
		return 0;
	if (!error && CONTROL_NOW(told_errors))
		tt_forget_error(task);
	else if (tt_is_connect_end(error))
		tt_tell_connect(ctx, task, error);
	return 0;
}

PROBE_FEXIT_CALL("connect")
int tt_connect_fexit(__u64 *ctx)
{
	return tt_connect_returned(ctx, ctx[1]);
}

#ifndef TT_BCC
PROBE_KRETPROBE_CALL("connect")
int tt_connect_kret(void *ctx)
{
	return tt_connect_returned(ctx, tt_left_with(ctx));
}
#endif

PROBE_TRACEPOINT("syscalls/sys_exit_connect")
int tt_connect_exit(struct trace_event_raw_sys_exit *ctx)
{
	return tt_connect_returned(ctx, ctx->ret);
}
