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
 * A cookie that was good and made no child, as the accept queue was full, leaves
 * a difference behind. It marks the next cookie's child, which is right, or one
 * of those in a thousand, which is not.
 */
#ifndef TT_COOKIES_H
#define TT_COOKIES_H

#include "mib.h"

#define TT_RTT_OF_STAMPS (1000 << 3) /* srtt_us has 8 times the round trip */

struct tt_cookie_setup {
	__u32 mib; /* index of LINUX_MIB_SYNCOOKIESRECV, 0: cookies are not looked for */
	__u32 cpus;
};

SETTING(struct tt_cookie_setup, tt_cookie_setup);

enum tt_by_cookie {
	TT_NOT_BY_COOKIE = 0,
	TT_BY_COOKIE = 1,
	TT_COOKIE_UNKNOWN = 2,
};

/*
 * By namespace (its cookie), the counter at the last look. One that is not there
 * is younger than the tracer, or had none yet when tracing began: it was 0.
 */
MAP_OF(LRU_PERCPU_HASH, tt_cookies_seen, __u64, __u64, 1024);

tt_inline __u64 tt_read_cookies_received(const struct net *net, __u64 offset)
{
	const void *counters = BPF_CORE_READ(net, mib.net_statistics);
	__u64 value = 0;

	counters += offset + bpf_core_field_offset(struct linux_mib, mibs);
	bpf_probe_read_kernel(&value, sizeof(value), counters + tt_cookie_setup.mib * sizeof(long));
	return value;
}

/* Asked of a child that is finished. */
tt_inline enum tt_by_cookie tt_came_by_cookie(const struct sock *sk, const struct tcp_sock *tp)
{
	struct tt_here *here;
	struct net *net;
	__u64 cookie, now, before, *seen;
	__u32 zero = 0;

	if (tp->total_retrans || tp->srtt_us % TT_RTT_OF_STAMPS)
		return TT_NOT_BY_COOKIE;
	if (!tt_cookie_setup.mib)
		return TT_COOKIE_UNKNOWN;
	here = MAP_GET(tt_here, &zero);
	if (!here)
		return TT_COOKIE_UNKNOWN;
	if (!here->offset)
		here->offset = tt_percpu_offset(here);
	if (!here->offset)
		return TT_COOKIE_UNKNOWN;
	bpf_core_read(&net, sizeof(net), &sk->__sk_common.skc_net.net);
	now = tt_read_cookies_received(net, here->offset);
	cookie = BPF_CORE_READ(net, net_cookie);
	seen = MAP_GET(tt_cookies_seen, &cookie);
	before = seen ? *seen : 0;
	if (seen)
		*seen = now;
	else if (now)
		MAP_PUT(tt_cookies_seen, &cookie, &now, BPF_NOEXIST);
	return now > before ? TT_BY_COOKIE : TT_NOT_BY_COOKIE;
}

#endif
