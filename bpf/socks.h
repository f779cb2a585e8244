/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Where a socket's entry lies. Cookies are given out in rising order, so the
 * low bits of one are its place in an array: found by one load, without hashing,
 * and most often still in the CPU's cache. A socket whose place is taken by a
 * longer-lived one is in a hash, and the place counts such neighbours, so that
 * one without any is not searched for further.
 */
#ifndef TT_SOCKS_H
#define TT_SOCKS_H

#include "maps.h"

tt_inline __u8 tt_state_now(const struct tt_sock *sock)
{
	return sock->states & 15;
}

/* 0: it is in its first, or was when it was met. */
tt_inline __u8 tt_state_left(const struct tt_sock *sock)
{
	return sock->states >> 4;
}

#ifdef TT_NUMBERED /* and user space adds what is older: a hash takes that from several at once */
tt_inline struct tt_sock *tt_find_sock(tt_cookie cookie)
{
	return MAP_GET(tt_socks, &cookie);
}

/* All zero but its cookie, or, if somebody was quicker, as that one left it; NULL: no room. */
tt_inline struct tt_sock *tt_add_sock(tt_cookie cookie)
{
	struct tt_sock fresh = {.cookie = cookie};

	if (!cookie)
		return NULL;
	MAP_PUT(tt_socks, &cookie, &fresh, BPF_NOEXIST);
	return MAP_GET(tt_socks, &cookie);
}
#else
tt_inline struct tt_sock *tt_get_place(tt_cookie cookie)
{
	__u32 place = cookie & CFG(last_place);

	return MAP_GET(tt_places, &place);
}

/* NULL if it is not known. */
tt_inline struct tt_sock *tt_find_sock(tt_cookie cookie)
{
	struct tt_sock *place = tt_get_place(cookie);

	if (!place || !cookie)
		return NULL;
	if (place->cookie == cookie)
		return place;
	return place->crowd ? MAP_GET(tt_socks, &cookie) : NULL;
}

/* All zero but its cookie, or, if somebody was quicker, as that one left it; NULL: no room. */
tt_inline struct tt_sock *tt_add_sock(tt_cookie cookie)
{
	struct tt_sock *place = tt_get_place(cookie);
	struct tt_sock fresh = {.cookie = cookie};
	tt_cookie taken;

	if (!place || !cookie)
		return NULL;
	taken = tt_exchange_if(&place->cookie, 0, cookie);
	if (!taken || taken == cookie)
		return place;
	if (!MAP_PUT(tt_socks, &cookie, &fresh, BPF_NOEXIST))
		__sync_fetch_and_add(&place->crowd, 1);
	return MAP_GET(tt_socks, &cookie);
}

#endif

/* As when it was added. */
tt_inline void tt_wipe_sock(struct tt_sock *sock)
{
	__builtin_memset(&sock->owner, 0,
			 offsetof(struct tt_sock, crowd) - offsetof(struct tt_sock, owner));
}

#ifdef TT_NUMBERED
tt_inline void tt_forget_sock(tt_cookie cookie)
{
	MAP_DEL(tt_socks, &cookie);
}
#else
tt_inline void tt_forget_sock(tt_cookie cookie)
{
	struct tt_sock *place = tt_get_place(cookie);

	if (!place || !cookie)
		return;
	if (place->cookie == cookie) {
		tt_wipe_sock(place);
		/* the exchange is a barrier: who takes the place finds it wiped */
		tt_exchange(&place->cookie, 0);
	}
	if (place->crowd && !MAP_DEL(tt_socks, &cookie))
		__sync_fetch_and_add(&place->crowd, -1);
}
#endif

#endif
