/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What stands for a socket's cookie where no helper gives one out: programs of
 * raw_tp can only read it (bcc.h). Somebody may ask for the cookie while the socket
 * lives; so one that is met without keeps a number of ours until it is destroyed.
 */
#ifndef TT_NUMBERS_H
#define TT_NUMBERS_H

#include "maps.h"

#define TT_OURS (1ULL << 63) /* no cookie is as high */

MAP_OF(HASH, tt_numbers, __u64, tt_cookie, 131072); /* as many as sockets: --sockets */

/* How many were given out on this CPU. */
MAP_OF(PERCPU_ARRAY, tt_numbered, __u32, __u64, 1);

/* What it is known by; 0: it was not met, and has no cookie. */
tt_inline tt_cookie tt_read_cookie(const struct sock_common *skc)
{
	__u64 key = (__u64)skc;
	tt_cookie *number = MAP_GET(tt_numbers, &key);

	return number ? *number : tt_kernels_cookie(skc);
}

tt_inline tt_cookie tt_known_cookie(const struct sock *sk)
{
	return tt_read_cookie(&sk->__sk_common);
}

/* The same, never 0 where there is room. */
tt_inline tt_cookie tt_get_cookie(const struct sock *sk)
{
	tt_cookie cookie = tt_read_cookie(&sk->__sk_common);
	__u64 key = (__u64)sk, *count;
	__u32 zero = 0;

	if (cookie)
		return cookie;
	count = MAP_GET(tt_numbered, &zero);
	if (!count)
		return 0;
	/* a softirq that breaks in counts on this CPU, too */
	cookie = TT_OURS | (__u64)bpf_get_smp_processor_id() << 48 | __sync_fetch_and_add(count, 1);
	MAP_PUT(tt_numbers, &key, &cookie, BPF_NOEXIST);
	return tt_read_cookie(&sk->__sk_common);
}

/* Its memory may be another socket's from here on. */
tt_inline void tt_forget_cookie(const struct sock *sk)
{
	__u64 key = (__u64)sk;

	MAP_DEL(tt_numbers, &key);
}

#endif
