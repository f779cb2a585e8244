/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Which listener a packet went to that has no socket at hand: by namespace,
 * local address and port. Several on one (SO_REUSEPORT) are told apart by whose
 * sk_drops has moved; where that says nothing, nobody knows.
 */
#ifndef TT_HEARERS_H
#define TT_HEARERS_H

#include "maps.h"
#include "sock.h"

#define TT_TWINS 16 /* on one address and port; of more, the rest is not to be told */

struct tt_hearers_key {
	tt_addr addr;
	tt_netns netns;
	__u32 port;
};

struct tt_hearers {
	tt_cookie cookies[TT_TWINS];
	__u32 drops[TT_TWINS];
	__u64 hearing; /* how many of the cookies are not 0 */
};

/* The least recently used makes room: an entry outlives its listeners. */
MAP_OF(LRU_HASH, tt_hearers, struct tt_hearers_key, struct tt_hearers, 16384);

tt_inline void tt_hearers_key(const struct tt_head *head, struct tt_hearers_key *key)
{
	__builtin_memcpy(key->addr, head->laddr, sizeof(key->addr));
	key->netns = head->netns;
	key->port = head->lport;
}

/* Not on the stack: a program and what it calls may share 512 bytes. */
ZEROS(struct tt_hearers, tt_nobody_hears);

/* The last that was asked for on this CPU, as long as nobody began or ceased to listen since. */
struct tt_heard {
	struct tt_hearers_key called;
	tt_cookie cookie;
	__u64 changes; /* tt_control.hearers_changes then */
};

MAP_OF(PERCPU_ARRAY, tt_heard, __u32, struct tt_heard, 1);

/* A socket begins to listen. */
tt_inline void tt_add_hearer(const struct tt_head *head, tt_cookie cookie)
{
	struct tt_hearers_key key = {};
	const struct tt_hearers *nobody = ZEROS_AT(tt_nobody_hears);
	struct tt_hearers *hearers;

	if (!nobody) /* never; through BCC a map has it, which verifiers may not know of */
		return;
	tt_hearers_key(head, &key);
	MAP_PUT(tt_hearers, &key, nobody, BPF_NOEXIST);
	hearers = MAP_GET(tt_hearers, &key);
	if (!hearers)
		return;
	/* it may stand behind a place that was left meanwhile */
	for (int i = 0; i < TT_TWINS; i++)
		if (hearers->cookies[i] == cookie)
			return;
	for (int i = 0; i < TT_TWINS; i++) {
		/* its sk_drops begins at 0; of an older one the first look says more than is new */
		if (!hearers->cookies[i] && !tt_exchange_if(&hearers->cookies[i], 0, cookie)) {
			hearers->drops[i] = 0;
			__sync_fetch_and_add(&hearers->hearing, 1);
			CONTROL_COUNT(hearers_changes);
			return;
		}
	}
}

tt_inline void tt_remove_hearer(const struct tt_head *head, tt_cookie cookie)
{
	struct tt_hearers_key key = {};
	struct tt_hearers *hearers;

	tt_hearers_key(head, &key);
	hearers = MAP_GET(tt_hearers, &key);
	if (!hearers)
		return;
	for (int i = 0; i < TT_TWINS; i++)
		if (hearers->cookies[i] == cookie) {
			hearers->cookies[i] = 0;
			__sync_fetch_and_add(&hearers->hearing, -1);
			CONTROL_COUNT(hearers_changes);
		}
}

struct tt_search {
	struct tt_hearers *hearers;
	tt_cookie only;	 /* of those that hear there */
	tt_cookie moved; /* of those whose sk_drops has moved since the last look */
	__u32 moving;
};

LOOP_BODY long tt_find_twin(__u32 i, struct tt_search *search)
{
	if (i >= TT_TWINS)
		return 1;
	search->only = search->hearers->cookies[i];
	return search->only != 0;
}

LOOP_BODY long tt_look_at_twin(__u32 i, struct tt_search *search)
{
	struct tt_listener *listener;
	const struct sock *sk;
	tt_cookie cookie;
	__u32 drops = 0;

	if (i >= TT_TWINS)
		return 1;
	cookie = search->hearers->cookies[i];
	listener = MAP_GET(tt_listeners, &cookie);
	if (!listener)
		return 0;
	sk = (const struct sock *)listener->sk;
	if (!sk || tt_read_cookie(&sk->__sk_common) != cookie)
		return 0;
	bpf_core_read(&drops, sizeof(drops), &sk->sk_drops.counter);
	if (drops != search->hearers->drops[i]) {
		search->hearers->drops[i] = drops;
		search->moved = cookie;
		search->moving++;
	}
	return 0;
}

/* Whether anybody hears there; `cookie` is which of them, 0: not to be told. */
tt_inline bool tt_hearers_at(const struct tt_hearers_key *key, tt_cookie *cookie)
{
	struct tt_search search = {.hearers = MAP_GET(tt_hearers, key)};

	if (!search.hearers || !search.hearers->hearing)
		return false;
	if (search.hearers->hearing > 1) {
		LOOP(TT_TWINS, TT_TWINS, tt_look_at_twin, &search);
		*cookie = search.moving == 1 ? search.moved : 0;
	} else {
		/* most often the first */
		LOOP(TT_TWINS, TT_TWINS, tt_find_twin, &search);
		*cookie = search.only;
	}
	return true;
}

/* The one that hears there, if it is the only one; 0 if there is none, or there are several. */
tt_inline tt_cookie tt_only_hearer_at(const struct tt_hearers_key *key, bool *any)
{
	struct tt_search search = {.hearers = MAP_GET(tt_hearers, key)};

	*any = search.hearers && search.hearers->hearing;
	if (!*any || search.hearers->hearing > 1)
		return 0;
	LOOP(TT_TWINS, TT_TWINS, tt_find_twin, &search);
	return search.only;
}

/* Likewise by the local address of a packet; `wild`: one of any address may be meant, too. */
tt_inline tt_cookie tt_find_only_hearer(struct tt_hearers_key *key, tt_family family, bool wild)
{
	bool any;
	tt_cookie cookie = tt_only_hearer_at(key, &any);

	if (any || !wild)
		return cookie;
	if (family == 4) {
		tt_map_v4(key->addr, 0);
		cookie = tt_only_hearer_at(key, &any);
		if (any)
			return cookie;
	}
	__builtin_memset(key->addr, 0, sizeof(key->addr));
	return tt_only_hearer_at(key, &any);
}

/* By the local address of a packet: as the kernel looks, the more exact address first. */
tt_inline tt_cookie tt_find_hearer(struct tt_hearers_key *key, tt_family family)
{
	tt_cookie cookie = 0;

	if (tt_hearers_at(key, &cookie))
		return cookie;
	if (family == 4) {
		tt_map_v4(key->addr, 0);
		if (tt_hearers_at(key, &cookie))
			return cookie;
	}
	__builtin_memset(key->addr, 0, sizeof(key->addr));
	tt_hearers_at(key, &cookie);
	return cookie;
}

tt_inline bool tt_is_same_place(const struct tt_hearers_key *one,
				const struct tt_hearers_key *other)
{
	const __u64 *a = (const __u64 *)one, *b = (const __u64 *)other;

	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2];
}

/* Of the place that tt_find_hearer() came to. */
tt_inline bool tt_hears_alone(const struct tt_hearers_key *key)
{
	const struct tt_hearers *hearers = MAP_GET(tt_hearers, key);

	return hearers && hearers->hearing == 1;
}

/*
 * The same for a packet that was taken up, of which there are many to one listener: what was
 * found last is remembered. Not where several hear, as which of them is asked each time.
 */
tt_inline tt_cookie tt_hear(const struct tt_hearers_key *called, tt_family family)
{
	const __u64 changes = CONTROL_NOW(hearers_changes);
	struct tt_hearers_key key = *called;
	struct tt_heard *heard;
	tt_cookie cookie;
	__u32 zero = 0;

	heard = MAP_GET(tt_heard, &zero);
	if (!heard)
		return tt_find_hearer(&key, family);
	if (heard->changes == changes && tt_is_same_place(&heard->called, called))
		return heard->cookie;
	cookie = tt_find_hearer(&key, family);
	heard->called = *called;
	heard->cookie = cookie;
	heard->changes = tt_hears_alone(&key) ? changes : 0;
	return cookie;
}

#endif
