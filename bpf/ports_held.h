/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Who listens on a port, at whatever address, or was the last that did: whose a packet is that
 * nobody takes. A listener that closed is remembered for some minutes; then the port is nobody's.
 */
#ifndef TT_PORTS_HELD_H
#define TT_PORTS_HELD_H

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
MAP_OF(LRU_HASH, tt_ports_held, struct tt_port_key, struct tt_port_held, 16384);

tt_inline void tt_hold_port(const struct tt_listener *listener, tt_cookie cookie,
			    const struct tt_owner *owner, tt_mono_ns closed_ns)
{
	struct tt_port_key key = {.netns = listener->netns, .port = listener->port};
	struct tt_port_held held = {
		.owner = *owner,
		.cookie = cookie,
		.closed_ns = closed_ns,
		.uid = listener->uid,
		.marks = listener->marks,
	};

	MAP_PUT(tt_ports_held, &key, &held, BPF_ANY);
}

/* It closes; another may have been opened on its port meanwhile. */
tt_inline void tt_leave_port(const struct tt_listener *listener, tt_cookie cookie,
			     const struct tt_owner *closer, tt_mono_ns now)
{
	struct tt_port_key key = {.netns = listener->netns, .port = listener->port};
	const struct tt_port_held *held = MAP_GET(tt_ports_held, &key);

	if (!held || held->cookie == cookie || held->closed_ns)
		tt_hold_port(listener, cookie, closer, now);
}

/* Whose a packet to this port is; false if nobody is known. */
tt_inline bool tt_find_port_holder(struct tt_head *head, tt_uid *uid, tt_marks *marks)
{
	struct tt_port_key key = {.netns = head->netns, .port = head->lport};
	const struct tt_port_held *held = MAP_GET(tt_ports_held, &key);
	const struct tt_listener *listener;
	const struct tt_owner *owner;
	const struct tt_target *named;

	if (!held || (held->closed_ns && head->mono_ns - held->closed_ns > TT_REMEMBERED_NS))
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
