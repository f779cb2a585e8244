/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Children of listeners: whose they are, and those that are told of later than they are born. */
#ifndef TT_CHILDREN_H
#define TT_CHILDREN_H

#include "emit.h"
#include "socks.h"
#include "unborn.h"

/* A child before its accept belongs to its listener's owner. */
tt_inline void tt_inherit(tt_cookie cookie, struct tt_sock *child)
{
	struct tt_listener *listener = MAP_GET(tt_listeners, &cookie);

	if (!listener)
		return;
	child->listener_cookie = cookie;
	child->owner = listener->owner;
	child->owner_is = listener->owner.pid ? TT_OWNER_LISTENER : TT_OWNER_KERNEL;
	child->marks = tt_marks_of_listener(listener);
}

#ifdef TT_NUMBERED
/* Where an older listener lies, nobody but its child says: user space found it by its cookie. */
tt_inline void tt_find_listener(const struct sock *child)
{
	tt_cookie cookie = tt_read_listener_cookie(child);
	struct tt_listener *listener = MAP_GET(tt_listeners, &cookie);

	if (listener && !listener->sk)
		listener->sk = (__u64)tt_read_listener(child);
}

/*
 * That what lay there before was destroyed may not have been seen: its number is not the
 * child's. A socket that connects or listens may have had its own before; it begins anew.
 */
tt_inline void tt_forget_older(const struct sock *sk, int old, int new)
{
	__u64 key = (__u64)sk;
	tt_cookie *number, older;

	if (old != TT_LISTEN || new != TT_SYN_RECV)
		return;
	number = MAP_GET(tt_numbers, &key);
	if (!number)
		return;
	older = *number;
	tt_forget_sock(older);
	tt_forget_cookie(sk);
}
#else
tt_inline void tt_forget_older(const struct sock *sk, int old, int new)
{
}

tt_inline void tt_find_listener(const struct sock *child)
{
}
#endif

/*
 * Until Linux 6.15 a child has no addresses and no remote port yet when its
 * LISTEN->SYN_RECV is told: it is kept back until the next transition, which
 * follows in the same softirq.
 */
tt_inline bool tt_hold(const struct sock *sk, int old, int new, struct tt_sock *sock)
{
	if (old != TT_LISTEN || new != TT_SYN_RECV)
		return false;
	if (CFG(hold_children) < 2 && sk->__sk_common.skc_dport)
		return false;
	sock->is |= TT_SOCK_HELD;
	return true;
}

/* The transition that was kept back; NULL: none. */
tt_inline struct tt_state *tt_take_held(const struct sock *sk, struct tt_sock *sock,
					tt_mono_ns entered_ns, struct tt_bench *bench)
{
	struct tt_state *event = &bench->held;

	if (!(sock->is & TT_SOCK_HELD))
		return NULL;
	sock->is &= ~TT_SOCK_HELD;
	__builtin_memset(event, 0, sizeof(*event));
	event->head.mono_ns = entered_ns;
	event->head.cookie = sock->cookie;
	event->head.netns = tt_read_netns(&sk->__sk_common, true);
	event->head.kind = TT_KIND_STATE;
	event->old = TT_LISTEN;
	event->new = TT_SYN_RECV;
	event->dwell_is = TT_DWELL_AT_LEAST;
	return event;
}

/* A child comes into its own with this transition, its second: what waited for it is its past. */
tt_inline void tt_bear(const struct sock *sk, struct tt_sock *sock)
{
	struct tt_unborn unborn;

	if (!tt_take_unborn(sk, &unborn))
		return;
	tt_inherit(unborn.listener_cookie, sock);
	sock->since_ns = unborn.since_ns;
	sock->states = TT_SYN_RECV;
	if (unborn.live)
		sock->is |= TT_SOCK_HELD;
}

/* A birth that is told of later, or not at all for want of room. */
tt_inline void tt_expect(const struct sock *sk, struct tt_stats *stats)
{
	bool live = tt_is_live();

	tt_find_listener(sk);
	if (tt_keep_unborn(sk, bpf_ktime_get_ns(), live) || !live)
		return;
	stats->seen[TT_KIND_STATE]++;
	stats->matched[TT_KIND_STATE]++;
	stats->lost_map[TT_KIND_STATE]++;
}

#endif
