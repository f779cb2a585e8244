/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Who listens at an address and port, or was the last that did: whose a packet is that nobody
 * takes. Where nobody did there, it is of who listens on the port at another address. A listener
 * that closed is remembered for some minutes; then the port is nobody's.
 */
#ifndef TT_PORTS_HELD_H
#define TT_PORTS_HELD_H

#include "hearers.h"
#include "maps.h"
#include "marks.h"

#define TT_REMEMBERED_NS 600000000000ULL

struct tt_port_held {
	struct tt_owner owner;
	tt_cookie cookie;     /* of the listener, the last that was opened */
	tt_mono_ns closed_ns; /* 0: it listens */
	tt_uid uid;
	tt_marks marks;
	__u8 reserved[3];
};

/* The least recently used makes room. */
MAP_OF(LRU_HASH, tt_ports_held, struct tt_hearers_key, struct tt_port_held, 16384);

/* Of no address: stands for whichever. */
tt_inline void tt_at_any_address(struct tt_hearers_key *key)
{
	__builtin_memset(key->addr, 0xff, sizeof(key->addr));
}

tt_inline void tt_held_at(const struct tt_listener *listener, struct tt_hearers_key *key)
{
	__builtin_memcpy(key->addr, listener->addr, sizeof(key->addr));
	key->netns = listener->netns;
	key->port = listener->port;
}

tt_inline void tt_hold_port(const struct tt_listener *listener, tt_cookie cookie,
			    const struct tt_owner *owner)
{
	struct tt_hearers_key key = {};
	struct tt_port_held held = {
		.owner = *owner,
		.cookie = cookie,
		.uid = listener->uid,
		.marks = listener->marks,
	};

	tt_held_at(listener, &key);
	MAP_PUT(tt_ports_held, &key, &held, BPF_ANY);
	tt_at_any_address(&key);
	MAP_PUT(tt_ports_held, &key, &held, BPF_ANY);
}

/* What is remembered of one that closes, if it was the last that was opened there. */
tt_inline void tt_close_held(const struct tt_hearers_key *key, const struct tt_listener *listener,
			     tt_cookie cookie, const struct tt_owner *closer, tt_mono_ns now)
{
	struct tt_port_held *held = MAP_GET(tt_ports_held, key);

	if (!held || held->cookie != cookie)
		return;
	held->owner = *closer;
	held->marks = listener->marks;
	held->closed_ns = now;
}

tt_inline void tt_leave_port(const struct tt_listener *listener, tt_cookie cookie,
			     const struct tt_owner *closer, tt_mono_ns now)
{
	struct tt_hearers_key key = {};

	tt_held_at(listener, &key);
	tt_close_held(&key, listener, cookie, closer, now);
	tt_at_any_address(&key);
	tt_close_held(&key, listener, cookie, closer, now);
}

tt_inline const struct tt_port_held *tt_find_held(const struct tt_hearers_key *key, tt_mono_ns now)
{
	const struct tt_port_held *held = MAP_GET(tt_ports_held, key);

	if (!held || (held->closed_ns && now - held->closed_ns > TT_REMEMBERED_NS))
		return NULL;
	return held;
}

/* As the kernel looks: the address itself, all of its family, all; then any other. */
tt_inline const struct tt_port_held *tt_who_held(const struct tt_head *head)
{
	struct tt_hearers_key key = {};
	const struct tt_port_held *held;

	tt_hearers_key(head, &key);
	held = tt_find_held(&key, head->mono_ns);
	if (!held && head->family == 4) {
		tt_map_v4(key.addr, 0);
		held = tt_find_held(&key, head->mono_ns);
	}
	if (!held) {
		__builtin_memset(key.addr, 0, sizeof(key.addr));
		held = tt_find_held(&key, head->mono_ns);
	}
	if (!held) {
		tt_at_any_address(&key);
		held = tt_find_held(&key, head->mono_ns);
	}
	return held;
}

/* Whose a packet to this port is; false if nobody is known. */
tt_inline bool tt_find_port_holder(struct tt_head *head, tt_uid *uid, tt_marks *marks)
{
	const struct tt_port_held *held = tt_who_held(head);
	const struct tt_listener *listener;
	const struct tt_owner *owner;
	const struct tt_target *named;

	if (!held)
		return false;
	listener = held->closed_ns ? NULL : MAP_GET(tt_listeners, &held->cookie);
	owner = listener ? &listener->owner : &held->owner;
	*uid = held->uid;
	*marks = listener ? tt_marks_of_listener(listener) : held->marks;
	named = listener || !tt_asks_names() ? NULL : tt_find_named(owner->pid, owner->start);
	if (named)
		*marks |= named->marks;
	head->pid = owner->pid;
	head->start = owner->start;
	head->cgroup_id = owner->cgroup_id;
	head->owner_is = owner->pid ? TT_OWNER_LISTENER : TT_OWNER_KERNEL;
	return true;
}

#endif
