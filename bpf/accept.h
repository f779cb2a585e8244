/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A connection that was taken out of its listener's queue, by whatever way: told once. */
#ifndef TT_ACCEPT_H
#define TT_ACCEPT_H

#include "emit.h"
#include "listeners.h"
#ifndef TT_BCC
#include "lives.h"
#include "made.h"
#endif
#include "owner.h"
#include "sock.h"
#include "socks.h"

/* What a record says of the listener, while it still listens. */
tt_inline void tt_describe_listener(struct tt_accept *event, const struct tt_listener *listener)
{
	event->listener_pid = listener->owner.pid;
	event->listener_start = listener->owner.start;
	event->listener_port = listener->port;
	event->listener_family = listener->family;
	__builtin_memcpy(event->listener_addr, listener->addr, sizeof(event->listener_addr));
	tt_read_queue(listener->sk, event->listener_cookie, &event->accept_queue,
		      &event->accept_queue_max);
}

/*
 * How long it waited in the queue; of one that the seed found there, whose
 * established_ns is 0, how long at least; 0: not known.
 */
tt_inline tt_ns tt_waited(const struct tt_head *head, const struct tt_sock *sock)
{
	tt_mono_ns since_ns = sock->established_ns;

	if (!since_ns && sock->seeded && sock->is & TT_SOCK_WAITING)
		since_ns = CONTROL_GET(attached_ns);
	/* the child is queued some us before it is ESTABLISHED */
	return since_ns && head->mono_ns > since_ns ? head->mono_ns - since_ns : 0;
}

tt_inline void tt_send_accept(void *ctx, const struct tt_head *head, tt_uid uid,
			      const struct tt_sock *sock, const struct tt_listener *listener,
			      tt_ns waited_ns, enum tt_precision precision, struct tt_stats *stats)
{
	struct tt_large large = {};
	struct tt_accept *event = &large.accept;

	event->head = *head;
	event->uid = uid;
	event->precision = precision;
	if (sock) {
		event->listener_cookie = sock->listener_cookie;
		event->established_ns = sock->established_ns;
		event->handshake_us = sock->handshake_us;
		event->state = tt_state_now(sock);
		event->wait_ns = waited_ns;
		if (listener)
			tt_describe_listener(event, listener);
	}
	tt_send(ctx, tt_large, TT_KIND_ACCEPT, &large, stats);
}

tt_inline int tt_accepted(void *ctx, const struct sock *sk, enum tt_precision precision)
{
	struct tt_stats *stats = tt_get_stats(TT_SLOT_PROCESS);
	struct tt_listener *listener = NULL;
	struct tt_queue *queue;
	struct tt_head head = {};
	struct tt_owner acceptor;
	struct tt_sock *sock;
	tt_ns waited_ns = 0;
	tt_marks marks;
	tt_uid uid;

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
	marks = tt_current_marks(&acceptor);
	/* one older than the tracer, whose listener is not to be told, is known from here on */
	sock = tt_find_sock(head.cookie);
	if (!sock)
		sock = tt_add_sock(head.cookie);
	if (sock) {
		waited_ns = tt_waited(&head, sock);
		sock->owner = acceptor;
		sock->owner_is = head.owner_is;
		sock->marks = marks;
		sock->seeded = 0;
		if (!tt_state_now(sock))
			bpf_core_read(&sock->states, 1, &sk->__sk_common.skc_state);
		sock->is &= ~TT_SOCK_WAITING;
#ifndef TT_BCC
		if (tt_keeps_lives())
			tt_note_wait(head.cookie, waited_ns);
		if (CFG(made))
			tt_note_made(ctx, head.cookie, &acceptor, TT_ROLE_PASSIVE);
#endif
		if (sock->listener_cookie)
			listener = MAP_GET(tt_listeners, &sock->listener_cookie);
		queue = tt_find_queue(sock->listener_cookie);
		if (queue) {
			__sync_fetch_and_add(&queue->accepts, 1);
			tt_look_at_queue(queue, sock->listener_cookie, head.mono_ns);
		}
	}
	if (tt_is_live() && !(CFG(kinds) & 1U << TT_KIND_ACCEPT)) {
		tt_refuse_kind(stats, TT_KIND_ACCEPT);
	} else if (tt_is_live()) {
		uid = tt_read_uid(sk, false);
		if (tt_needs_tuple(marks)) {
			head.netns = tt_read_netns(&sk->__sk_common, false);
			tt_read_tuple(&sk->__sk_common, &head, false);
		}
		if (tt_admit(stats, TT_KIND_ACCEPT, &head, uid, sock ? 1U << tt_state_now(sock) : 0,
			     marks, tt_refuses_end(false, waited_ns)) &&
		    CFG(stream))
			tt_send_accept(ctx, &head, uid, sock, listener, waited_ns, precision,
				       stats);
	}
	if (listener)
		tt_pass_listener(listener, &acceptor, marks);
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
	tt_marks marks;

	if (!stats || !tt_is_live())
		return 0;
	head->mono_ns = bpf_ktime_get_ns();
	head->kind = TT_KIND_ACCEPT;
	head->owner_is = tt_current_owner(ctx, stats, head->mono_ns, &caller);
	head->pid = caller.pid;
	head->start = caller.start;
	head->cgroup_id = caller.cgroup_id;
	head->oncpu_pid = bpf_get_current_pid_tgid() >> 32;
	marks = tt_current_marks(&caller);
	head->cookie = tt_read_cookie(&sk->__sk_common);
	head->netns = tt_read_netns(&sk->__sk_common, false);
	tt_read_tuple(&sk->__sk_common, head, false);
	event->uid = tt_read_uid(sk, false);
	event->error = error;
	event->state = TT_LISTEN;
	event->listener_cookie = head->cookie;
	listener = MAP_GET(tt_listeners, &head->cookie);
	if (listener)
		tt_describe_listener(event, listener);
	if (!tt_admit(stats, TT_KIND_ACCEPT, head, event->uid, 1U << TT_LISTEN, marks,
		      tt_refuses_end(true, 0)))
		return 0;
	stats->accepts_failed++;
	if (CFG(stream))
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

/*
 * One that somebody took unseen, told as it ends. How long it waited nobody knows;
 * tcp_disconnect() has taken its peer away by then.
 */
tt_inline void tt_tell_taken(void *ctx, const struct sock *sk, const struct tt_sock *sock,
			     struct tt_large *large, struct tt_stats *stats)
{
	struct tt_accept *event = &large->accept;
	struct tt_listener *listener = MAP_GET(tt_listeners, &sock->listener_cookie);
	struct tt_head *head = &event->head;

	__builtin_memset(large, 0, sizeof(*large));
	head->mono_ns = bpf_ktime_get_ns();
	head->kind = TT_KIND_ACCEPT;
	head->cookie = sock->cookie;
	head->netns = tt_read_netns(&sk->__sk_common, true);
	head->pid = sock->owner.pid;
	head->start = sock->owner.start;
	head->cgroup_id = sock->owner.cgroup_id;
	head->owner_is = sock->owner_is;
	head->oncpu_pid = bpf_get_current_pid_tgid() >> 32;
	tt_read_full_tuple(sk, TT_CLOSE, head);
	event->uid = tt_read_uid(sk, true);
	event->precision = TT_PRECISION_FIRST_IO;
	event->listener_cookie = sock->listener_cookie;
	event->handshake_us = sock->handshake_us;
	event->state = tt_state_now(sock);
	if (listener)
		tt_describe_listener(event, listener);
	if (tt_admit(stats, TT_KIND_ACCEPT, head, event->uid, 1U << tt_state_now(sock), sock->marks,
		     tt_refuses_end(false, 0)) &&
	    CFG(stream))
		tt_send(ctx, tt_large, TT_KIND_ACCEPT, large, stats);
}

#endif
