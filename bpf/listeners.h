/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What happens in the queues of a listener, counted where it happens, so that no peak is missed. */
#ifndef TT_LISTENERS_H
#define TT_LISTENERS_H

#include "maps.h"
#include "sock.h"

/*
 * Raise the peak since the last look. The look's number stands above the depth
 * in one word, so that a later look's first depth replaces whatever was there;
 * the look before keeps its own word until it has been read.
 */
tt_inline void tt_raise(__u64 *peaks, tt_count depth)
{
	__u64 look = CONTROL_NOW(look);
	__u64 *peak = &peaks[look & (TT_TURNS - 1)];
	__u64 raised = look << 32 | depth;
	__u64 before = *peak;

	/* another CPU may raise it at the same moment: once more, then it is as good */
	if (raised > before && tt_exchange_if(peak, before, raised) != before) {
		before = *peak;
		if (raised > before)
			tt_exchange_if(peak, before, raised);
	}
}

/* The peak of the look that is being made; nothing happened in it: 0. */
tt_inline tt_count tt_peak(const __u64 *peaks)
{
	__u64 look = CONTROL_GET(look) - 1;
	__u64 peak = peaks[look & (TT_TURNS - 1)];

	return peak >> 32 == (look & 0xffffffff) ? (tt_count)peak : 0;
}

/* What is counted of a listener; NULL where nothing is. */
tt_inline struct tt_queue *tt_find_queue(tt_cookie cookie)
{
	return CFG(listen_stats) ? MAP_GET(tt_queues, &cookie) : NULL;
}

/* Of several CPUs that find it full no longer, the one that takes the moment adds the span. */
tt_inline void tt_end_full(struct tt_queue *queue, tt_mono_ns now)
{
	tt_mono_ns since = tt_exchange(&queue->full_since_ns, 0);

	/* it may have become full on another CPU after this one took the time */
	if (since && now > since)
		__sync_fetch_and_add(&queue->full_ns, now - since);
}

/* The queue's depth after a change. A queue of max is full with max + 1 in it. */
tt_inline void tt_note_depth(struct tt_queue *queue, tt_count depth, tt_count max, tt_mono_ns now)
{
	queue->accept_queue_max = max;
	tt_raise(queue->accept_queue_peaks, depth);
	if (depth > max)
		tt_exchange_if(&queue->full_since_ns, 0, now);
	else if (queue->full_since_ns)
		tt_end_full(queue, now);
}

/* The queue as it stands; false if the pointer is another socket's by now. */
tt_inline bool tt_read_queue(__u64 listener, tt_cookie cookie, tt_count *depth, tt_count *max)
{
	const struct sock *sk = (const struct sock *)listener;

	if (!sk || tt_read_cookie(&sk->__sk_common) != cookie)
		return false;
	bpf_core_read(depth, sizeof(*depth), &sk->sk_ack_backlog);
	bpf_core_read(max, sizeof(*max), &sk->sk_max_ack_backlog);
	return true;
}

tt_inline void tt_look_at_queue(struct tt_queue *queue, tt_cookie cookie, tt_mono_ns now)
{
	tt_count depth = 0, max = 0;

	if (tt_read_queue(queue->sk, cookie, &depth, &max))
		tt_note_depth(queue, depth, max, now);
}

/* A child finished its handshake: it waits in the queue. */
tt_inline void tt_enqueued(struct tt_sock *child, tt_mono_ns now)
{
	struct tt_queue *queue;

	/* with TCP_FASTOPEN it may have been accepted before it is finished */
	if (child->owner_is == TT_OWNER_PROCESS)
		return;
	child->is |= TT_SOCK_WAITING;
	queue = tt_find_queue(child->listener_cookie);
	if (!queue)
		return;
	__sync_fetch_and_add(&queue->finished, 1);
	tt_look_at_queue(queue, child->listener_cookie, now);
}

/*
 * A child that waits comes to its end: reset by its peer, or closed with its
 * listener; or, as it has a struct socket, somebody accepted it and nobody saw.
 */
tt_inline void tt_ended_waiting(const struct sock *sk, int new, struct tt_sock *child)
{
	struct tt_queue *queue;
	bool taken = tt_has_file(sk);

	child->is ^= TT_SOCK_WAITING | taken * (new == TT_CLOSE ? TT_SOCK_LEFT : TT_SOCK_TAKEN);
	queue = tt_find_queue(child->listener_cookie);
	if (!queue)
		return;
	if (taken)
		__sync_fetch_and_add(&queue->accepts, 1);
	else if (queue->closed_ns)
		__sync_fetch_and_add(&queue->never_accepted, 1);
	else
		__sync_fetch_and_add(&queue->reset_in_queue, 1);
}

#endif
