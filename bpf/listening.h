/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A socket begins to listen, and ceases to: what is kept of it, and what is counted from then on.
 */
#ifndef TT_LISTENING_H
#define TT_LISTENING_H

#include "hearers.h"
#include "listeners.h"
#include "mib.h"
#include "owner.h"
#include "unrecorded.h"
#ifndef TT_BCC
#include "ports_held.h"
#endif

tt_inline void tt_limit_queue(struct tt_queue *queue, const struct sock *sk)
{
	struct net *net = NULL;

	queue->accept_queue_max = sk->sk_max_ack_backlog;
	bpf_core_read(&net, sizeof(net), &sk->__sk_common.skc_net.net);
	bpf_core_read(&queue->somaxconn, sizeof(__u32), &net->core.sysctl_somaxconn);
}

tt_inline void tt_open_queue(const struct sock *sk, tt_cookie cookie, tt_mono_ns now)
{
	__u32 zero = 0;
	struct tt_queue *queue = tt_find_queue(cookie);

	/* shutdown() and listen() again: user space has not taken yet what it counted */
	if (queue) {
		tt_limit_queue(queue, sk);
		queue->closed_ns = 0;
		return;
	}
	queue = MAP_GET(tt_new_queue, &zero);
	if (!queue)
		return;
	__builtin_memset(queue, 0, sizeof(*queue));
	queue->sk = (__u64)sk;
	queue->opened_ns = now;
	tt_limit_queue(queue, sk);
	MAP_PUT(tt_queues, &cookie, queue, BPF_ANY);
}

/* SYNs that come for it are looked at from now on. */
tt_inline void tt_begin_hearing(const struct sock *sk, struct tt_head *head, tt_cookie cookie,
				tt_netns netns)
{
	struct net *net = NULL;

	bpf_core_read(&net, sizeof(net), &sk->__sk_common.skc_net.net);
	tt_prime(net);
	head->netns = netns;
	tt_add_hearer(head, cookie);
}

/* A listener is remembered by its cookie. */
tt_inline void tt_open_listener(const struct sock *sk, tt_cookie cookie, tt_netns netns,
				tt_mono_ns now, const struct tt_owner *owner, tt_marks marks)
{
	struct tt_head head = {};
	struct tt_listener listener = {
		.owner = *owner,
		.opener_pid = owner->pid,
		.opener_start = owner->start,
		.sk = (__u64)sk,
		.netns = netns,
		.marks = marks & ~TT_MARKS_OF_NAME,
		.uid = sk->sk_uid.val,
	};

	tt_read_tuple(&sk->__sk_common, &head, true);
	listener.port = head.lport;
	listener.family = head.family;
	__builtin_memcpy(listener.addr, head.laddr, sizeof(listener.addr));
	if (CFG(see_drops))
		tt_begin_hearing(sk, &head, cookie, netns);
	/* its counters first: who finds a listener counts */
	if (CFG(listen_stats))
		tt_open_queue(sk, cookie, now);
	MAP_PUT(tt_listeners, &cookie, &listener, BPF_ANY);
#ifndef TT_BCC
	if (tt_cookie_setup.received)
		tt_prime_if_new(sk);
	if (CFG(kinds) & 1U << TT_KIND_RESET)
		tt_hold_port(&listener, cookie, owner);
#endif
}

tt_inline void tt_end_hearing(const struct tt_listener *listener, tt_cookie cookie)
{
	struct tt_head head = {.netns = listener->netns, .lport = listener->port};

	__builtin_memcpy(head.laddr, listener->addr, sizeof(head.laddr));
	tt_remove_hearer(&head, cookie);
}

tt_inline void tt_close_listener(void *ctx, tt_cookie cookie, tt_mono_ns now, struct tt_sock *sock,
				 struct tt_stats *stats)
{
	struct tt_listener *listener = MAP_GET(tt_listeners, &cookie);
	struct tt_owner closer;
	struct tt_queue *queue;

	if (!listener)
		return;
	sock->owner = listener->owner;
	/* the last that held it closes it */
	if (tt_closing_owner(ctx, stats, now, &closer))
		sock->owner = closer;
	/* asked for is it as all that held it */
	listener->marks = sock->marks = tt_marks_of_listener(listener);
	if (CFG(see_drops))
		tt_end_hearing(listener, cookie);
#ifndef TT_BCC
	if (CFG(kinds) & 1U << TT_KIND_RESET)
		tt_leave_port(listener, cookie, &sock->owner, now);
#endif
	queue = tt_find_queue(cookie);
	if (!queue) {
		MAP_DEL(tt_listeners, &cookie);
		return;
	}
	/* its children end after it, and what it counted is read once more */
	queue->closed_ns = now;
	tt_end_full(queue, now);
}

#endif
