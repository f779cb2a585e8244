/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * accept() took a finished connection: from here on the acceptor owns it.
 *
 * Attach, first that loads: fexit of security_sock_graft(), which accept() calls
 * with the socket it has taken, for what is accepted, and of the functions that
 * serve the two system calls for what fails; else the tracepoints at the exits of
 * the two, where the socket is found through the descriptor that was returned.
 * The second costs every system call of the machine 30 to 60 ns.
 *
 * Not inet_csk_accept(): a call that waited in it when the program was attached
 * would return past it. What is grafted has been waited for.
 */
#include "../emit.h"
#include "../files.h"
#include "../listeners.h"
#include "../owner.h"
#include "../sock.h"
#include "../socks.h"

/* What a record says of the listener, while it still listens. */
tt_inline void tt_describe_listener(struct tt_accept *event, const struct tt_listener *listener)
{
	event->listener_pid = listener->owner.pid;
	event->listener_start = listener->owner.start;
	event->listener_port = listener->port;
	event->listener_family = listener->family;
	__builtin_memcpy(event->listener_addr, listener->addr, sizeof(event->listener_addr));
	tt_read_queue(listener, event->listener_cookie, &event->accept_queue,
		      &event->accept_queue_max);
}

tt_inline void tt_send_accept(void *ctx, const struct tt_head *head, const struct tt_sock *sock,
			      const struct tt_listener *listener, struct tt_stats *stats)
{
	struct tt_large large = {};
	struct tt_accept *event = &large.accept;

	event->head = *head;
	if (sock) {
		event->listener_cookie = sock->listener_cookie;
		event->established_ns = sock->established_ns;
		event->handshake_us = sock->handshake_us;
		event->state = sock->state;
		/* the child is queued some us before it is ESTABLISHED */
		if (sock->established_ns && head->mono_ns > sock->established_ns)
			event->wait_ns = head->mono_ns - sock->established_ns;
		if (listener)
			tt_describe_listener(event, listener);
	}
	tt_send(ctx, tt_large, TT_KIND_ACCEPT, &large, stats);
}

tt_inline int tt_accepted(void *ctx, const struct sock *sk)
{
	struct tt_stats *stats = tt_get_stats(TT_SLOT_PROCESS);
	struct tt_listener *listener = NULL;
	struct tt_head head = {};
	struct tt_owner acceptor;
	struct tt_sock *sock;
	bool matched;

	if (!stats)
		return 0;
	head.mono_ns = bpf_ktime_get_ns();
	head.kind = TT_KIND_ACCEPT;
	head.cookie = tt_read_cookie(&sk->__sk_common);
	head.owner_is = tt_current_owner(ctx, stats, head.mono_ns, &acceptor);
	head.pid = acceptor.pid;
	head.start = acceptor.start;
	head.cgroup_id = acceptor.cgroup_id;
	head.oncpu_pid = bpf_get_current_pid_tgid() >> 32;
	matched = tt_is_target(acceptor.pid, acceptor.start);
	/* one older than the tracer, whose listener is not to be told, is known from here on */
	sock = tt_find_sock(head.cookie);
	if (!sock)
		sock = tt_add_sock(head.cookie);
	if (sock) {
		sock->owner = acceptor;
		sock->owner_is = head.owner_is;
		sock->matched = matched;
		sock->seeded = 0;
		if (!sock->state)
			bpf_core_read(&sock->state, 1, &sk->__sk_common.skc_state);
		sock->is &= ~TT_SOCK_WAITING;
		if (sock->listener_cookie)
			listener = MAP_GET(tt_listeners, &sock->listener_cookie);
		if (CFG(listen_stats) && listener) {
			__sync_fetch_and_add(&listener->accepts, 1);
			tt_look_at_queue(listener, sock->listener_cookie, head.mono_ns);
		}
	}
	if (tt_is_live()) {
		if (tt_needs_tuple(matched)) {
			head.netns = tt_read_netns(&sk->__sk_common, false);
			tt_read_tuple(&sk->__sk_common, &head, false);
		}
		if (tt_admit(stats, TT_KIND_ACCEPT, &head, sock ? 1U << (sock->state & 15) : 0,
			     matched) &&
		    CFG(stream))
			tt_send_accept(ctx, &head, sock, listener, stats);
	}
	if (listener) {
		listener->owner = acceptor;
		listener->matched |= matched;
	}
	return 0;
}

/* accept() that took nothing, for want of descriptors or memory: told with the listener. */
tt_inline int tt_accept_failed(void *ctx, const struct sock *sk, int error)
{
	struct tt_stats *stats = tt_get_stats(TT_SLOT_PROCESS);
	struct tt_listener *listener;
	struct tt_large large = {};
	struct tt_accept *event = &large.accept;
	struct tt_head *head = &event->head;
	struct tt_owner caller;
	bool matched;

	if (!stats || !tt_is_live())
		return 0;
	head->mono_ns = bpf_ktime_get_ns();
	head->kind = TT_KIND_ACCEPT;
	head->owner_is = tt_current_owner(ctx, stats, head->mono_ns, &caller);
	head->pid = caller.pid;
	head->start = caller.start;
	head->cgroup_id = caller.cgroup_id;
	head->oncpu_pid = bpf_get_current_pid_tgid() >> 32;
	matched = tt_is_target(caller.pid, caller.start);
	head->cookie = tt_read_cookie(&sk->__sk_common);
	head->netns = tt_read_netns(&sk->__sk_common, false);
	tt_read_tuple(&sk->__sk_common, head, false);
	event->error = error;
	event->state = TT_LISTEN;
	event->listener_cookie = head->cookie;
	listener = MAP_GET(tt_listeners, &head->cookie);
	if (listener)
		tt_describe_listener(event, listener);
	if (tt_admit(stats, TT_KIND_ACCEPT, head, 1U << TT_LISTEN, matched) && CFG(stream))
		tt_send(ctx, tt_large, TT_KIND_ACCEPT, &large, stats);
	return 0;
}

/* Not failures: nothing to take, a signal, no listener at all, or an address to write it to. */
tt_inline bool tt_is_accept_failure(long error)
{
	switch (error) {
	case ENFILE:
	case EMFILE:
	case ENOBUFS:
	case ENOMEM:
	case ECONNABORTED:
	case EPERM:
		return true;
	default:
		return false;
	}
}

tt_inline int tt_accept_refused(void *ctx, long returned)
{
	const struct task_struct *task = tt_task_btf();
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
PROBE_FEXIT("security_sock_graft")
int tt_accept_graft(__u64 *ctx)
{
	const struct sock *sk = (const struct sock *)ctx[0];
	__u16 protocol = 0;

	bpf_core_read(&protocol, sizeof(protocol), &sk->sk_protocol);
	return protocol == IPPROTO_TCP ? tt_accepted(ctx, sk) : 0;
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

tt_inline int tt_accept_returned(struct trace_event_raw_sys_exit *ctx)
{
	const struct sock *sk;

	if (ctx->ret < 0)
		return tt_accept_refused(ctx, ctx->ret);
	sk = tt_sock_of_fd(ctx->ret);
	return sk ? tt_accepted(ctx, sk) : 0;
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
