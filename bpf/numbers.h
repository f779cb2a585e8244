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

#ifdef TT_OLD
/*
 * Where it lies makes it its own among those that live, and the time another than that of what lay
 * there before. Sockets lie on lines of the cache, which 41 bits tell apart.
 */
tt_inline tt_cookie tt_new_number(const struct sock_common *skc)
{
	return TT_OURS | (tt_as_number(skc) >> 6 & ((1ULL << 41) - 1)) << 22 |
	       (bpf_ktime_get_ns() >> 8 & ((1U << 22) - 1));
}
#else
/* How many were given out on this CPU. */
MAP_OF(PERCPU_ARRAY, tt_numbered, __u32, __u64, 1);

tt_inline tt_cookie tt_new_number(const struct sock_common *skc)
{
	__u32 zero = 0;
	__u64 *count = MAP_GET(tt_numbered, &zero);

	if (!count)
		return 0;
	/* a softirq that breaks in counts on this CPU, too */
	return TT_OURS | (__u64)bpf_get_smp_processor_id() << 48 | __sync_fetch_and_add(count, 1);
}
#endif

/* What it is known by; 0: it was not met, and has no cookie. With nothing traced: where it lies. */
tt_inline tt_cookie tt_read_cookie(const struct sock_common *skc)
{
	tt_cookie cookie = tt_kernels_cookie(skc);
	__u64 key = (__u64)skc;
	tt_cookie *number;

#ifdef TT_OLD
	if (CFG(alone))
		return cookie ? cookie : TT_OURS | tt_as_number(skc);
#endif
	number = MAP_GET(tt_numbers, &key);
	return number ? *number : cookie;
}

tt_inline tt_cookie tt_known_cookie(const struct sock *sk)
{
	return tt_read_cookie(&sk->__sk_common);
}

/* The same, never 0 where there is room. */
tt_inline tt_cookie tt_get_cookie(const struct sock *sk)
{
	tt_cookie cookie = tt_read_cookie(&sk->__sk_common);
	__u64 key = (__u64)sk;

	if (cookie || CFG(alone))
		return cookie;
	cookie = tt_new_number(&sk->__sk_common);
	if (!cookie)
		return 0;
	MAP_PUT(tt_numbers, &key, &cookie, BPF_NOEXIST);
	return tt_read_cookie(&sk->__sk_common);
}

#ifdef TT_OLD
/*
 * Of what an iterator meets. Mini-sockets have what the kernel gave them: at their end nothing is
 * told that would forget a number.
 */
tt_inline tt_cookie tt_give_cookie(struct sock_common *skc)
{
	tt_cookie cookie = tt_kernels_cookie(skc);
	__u8 state = 0;

	bpf_core_read(&state, 1, &skc->skc_state);
	if (state == TT_TIME_WAIT || state == TT_NEW_SYN_RECV)
		return cookie;
	return tt_get_cookie((const struct sock *)skc);
}
#endif

/* Its memory may be another socket's from here on. */
tt_inline void tt_forget_cookie(const struct sock *sk)
{
	__u64 key = (__u64)sk;

	MAP_DEL(tt_numbers, &key);
}

#endif
