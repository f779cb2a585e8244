/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Children that have no cookie of their own yet. Until Linux 6.15 (commit in
 * probes/state.bpf.c) inet_csk_clone_lock() tells of LISTEN->SYN_RECV before it
 * gives the copy of the listener anything of its own: the cookie that stands in it
 * is the listener's. What is to be kept of such a child waits here, by the kernel's
 * pointer to it, until its next transition: in the same softirq, but with
 * TCP_FASTOPEN only when the handshake ends.
 */
#ifndef TT_UNBORN_H
#define TT_UNBORN_H

#include "maps.h"
#include "sock.h"

struct tt_unborn {
	tt_cookie listener_cookie;
	tt_mono_ns since_ns;
	__u64 live; /* its LISTEN->SYN_RECV is to be told of */
};

MAP_OF(HASH, tt_unborns, __u64, struct tt_unborn, 16384);

/* Whether this transition is the birth of a child whose cookie is another's. */
tt_inline bool tt_is_unborn(const struct sock *sk, int old, int new)
{
	const struct sock *listener;

	if (!CFG(hold_children) || old != TT_LISTEN || new != TT_SYN_RECV ||
	    sk->__sk_common.skc_dport)
		return false;
	listener = tt_read_listener(sk);
	return listener && sk->__sk_common.skc_cookie.counter ==
				   (long long)tt_kernels_cookie(&listener->__sk_common);
}

/* Keep it; false: no room. */
tt_inline bool tt_keep_unborn(const struct sock *sk, tt_mono_ns now, bool live)
{
	struct tt_unborn fresh = {
		.listener_cookie = tt_read_listener_cookie(sk),
		.since_ns = now,
		.live = live,
	};
	__u64 key = (__u64)sk;

	return !MAP_PUT(tt_unborns, &key, &fresh, BPF_ANY);
}

tt_inline bool tt_knows_unborn(const struct sock *sk)
{
	__u64 key = (__u64)sk;

	return MAP_GET(tt_unborns, &key) != NULL;
}

/* What was kept of it, and is no longer; false: nothing. */
tt_inline bool tt_take_unborn(const struct sock *sk, struct tt_unborn *unborn)
{
	__u64 key = (__u64)sk;
	const struct tt_unborn *found = MAP_GET(tt_unborns, &key);

	if (!found)
		return false;
	*unborn = *found;
	MAP_DEL(tt_unborns, &key);
	return true;
}

#endif
