/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Whether a listener finished a handshake by a SYN cookie. Nothing in the child
 * says so: cookie_v4_check() and cookie_v6_check() move the namespace's counter
 * SyncookiesRecv on this CPU and make the child in the same softirq. So the
 * counter is looked at where a child could have come that way, and a difference
 * to the last look on this CPU says that it did.
 *
 * Could have: a request that kept nothing knows of no SYN-ACK sent again, and
 * has no time to measure a round trip from. The kernel then takes that from the
 * timestamps, in whole ms (tcp_rtt_tsopt_us()), or leaves it 0. Any other child
 * has one measured in us, so the counter is read for one in a thousand of them.
 *
 * A cookie that was good and made no child, as the accept queue was full, is
 * looked at as its packet is let go of (probes/unrecorded.bpf.c). If the kernel
 * skipped that run, the difference is larger here than this child's own cookie;
 * then it marks the next cookie's child, or one of those in a thousand.
 */
#ifndef TT_COOKIES_H
#define TT_COOKIES_H

#include "unrecorded.h"

#define TT_RTT_OF_STAMPS (1000 << 3) /* srtt_us has 8 times the round trip */

enum tt_by_cookie {
	TT_NOT_BY_COOKIE = 0,
	TT_BY_COOKIE = 1,
	TT_COOKIE_UNKNOWN = 2,
};

/* Asked of a child that is finished. */
tt_inline enum tt_by_cookie tt_came_by_cookie(const struct sock *sk, const struct tcp_sock *tp)
{
	struct tt_unrecorded *seen;
	struct net *net;
	__u64 offset, now, moved;

	if (tp->total_retrans || tp->srtt_us % TT_RTT_OF_STAMPS)
		return TT_NOT_BY_COOKIE;
	if (!tt_cookie_setup.received)
		return TT_COOKIE_UNKNOWN;
	offset = tt_this_cpus_offset();
	if (!offset)
		return TT_COOKIE_UNKNOWN;
	bpf_core_read(&net, sizeof(net), &sk->__sk_common.skc_net.net);
	now = tt_read_counter(net, offset, tt_cookie_setup.received);
	if (!now)
		return TT_NOT_BY_COOKIE;
	seen = tt_get_unrecorded(net);
	if (!seen)
		return TT_COOKIE_UNKNOWN;
	moved = tt_since_seen(&seen->received, now);
	/* others' before it, whose packets were let go of where no program ran */
	if (moved > 1 && tt_is_live())
		__sync_fetch_and_add(&seen->no_connection, moved - 1);
	return moved ? TT_BY_COOKIE : TT_NOT_BY_COOKIE;
}

/* One that is not to be told of: or its cookie would be taken for one without a connection. */
tt_inline void tt_pass_over_cookie(const struct sock *sk, int old, int new)
{
	const struct tcp_sock *tp;

	if (!tt_cookie_setup.received || old != TT_SYN_RECV || new != TT_ESTABLISHED)
		return;
	tp = bpf_skc_to_tcp_sock((void *)sk);
	if (tp)
		tt_came_by_cookie(sk, tp);
}

#endif
