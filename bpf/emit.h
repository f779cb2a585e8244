/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Count what is seen, filter, count what matches, send it, count what cannot be sent. */
#ifndef TT_EMIT_H
#define TT_EMIT_H

#include "maps.h"
#include "send.h"
#include "sock.h"

tt_inline struct tt_stats *tt_get_stats(enum tt_slot slot)
{
	__u32 key = slot;

	return MAP_GET(tt_stats, &key);
}

tt_inline bool tt_is_live(void)
{
	return CONTROL_NOW(live);
}

tt_inline bool tt_in_ports(const volatile struct tt_portset *set, __u16 port)
{
	return set && set->bits[port >> 6] >> (port & 63) & 1;
}

tt_inline bool tt_in_either(const volatile struct tt_portset *set, const struct tt_head *head)
{
	return tt_in_ports(set, head->lport) || tt_in_ports(set, head->rport);
}

/* What an address is asked for as; an entry has what wider ones that hold it have. */
tt_inline __u8 tt_ask_addr(const __u8 *addr)
{
	struct tt_addr_key key = {.prefixlen = 128};
	__u8 *asked;

	__builtin_memcpy(key.addr, addr, sizeof(key.addr));
	asked = MAP_GET(tt_addrs, &key);
	return asked ? *asked : 0;
}

tt_inline __u8 tt_ask_netns(tt_netns netns)
{
	__u8 *asked = MAP_GET(tt_netns_set, &netns);

	return asked ? *asked : 0;
}

tt_inline __u8 tt_ask_uid(tt_uid uid)
{
	__u8 *asked = MAP_GET(tt_uids, &uid);

	return asked ? *asked : 0;
}

tt_inline enum tt_filter tt_refuses_owner(tt_marks marks)
{
	if (CFG(filter_pid) && !(marks & TT_MARK_PID))
		return TT_FILTER_PID;
	if (CFG(filter_comm) && !(marks & TT_MARK_COMM))
		return TT_FILTER_COMM;
	if (CFG(filter_cgroup) && !(marks & TT_MARK_CGROUP))
		return TT_FILTER_CGROUP;
	/* set of what is excluded alone */
	if (marks & (TT_MARK_NOT_PID | TT_MARK_NOT_COMM | TT_MARK_NOT_CGROUP))
		return TT_FILTER_EXCLUDE;
	return TT_FILTER_NONE;
}

/*
 * Counting alone, with no filter that looks at them, needs no addresses; nor
 * does what the owner's filters refuse, which are asked first.
 */
tt_inline bool tt_needs_tuple(tt_marks marks)
{
	if (CFG(asks_owners) && tt_refuses_owner(marks) != TT_FILTER_NONE)
		return false;
	return CFG(needs_tuple);
}

tt_inline enum tt_filter tt_refuses_addrs(const struct tt_head *head)
{
	__u8 local = tt_ask_addr(head->laddr), remote = tt_ask_addr(head->raddr);

	if (CFG(filter_addr) && !((local | remote) & TT_WANTED))
		return TT_FILTER_ADDR;
	if (CFG(filter_laddr) && !(local & TT_WANTED_LOCAL))
		return TT_FILTER_LADDR;
	if (CFG(filter_raddr) && !(remote & TT_WANTED_REMOTE))
		return TT_FILTER_RADDR;
	if ((local | remote) & TT_UNWANTED || local & TT_UNWANTED_LOCAL ||
	    remote & TT_UNWANTED_REMOTE)
		return TT_FILTER_EXCLUDE;
	return TT_FILTER_NONE;
}

/* Whether --exclude leaves it out, addresses aside. */
tt_inline bool tt_is_excluded(const struct tt_head *head, tt_uid uid, __u32 states)
{
	if (CFG(not_family) && head->family == CFG(not_family))
		return true;
	if (CFG(not_netns) && tt_ask_netns(head->netns) & TT_UNWANTED)
		return true;
	if (CFG(not_uid) && tt_ask_uid(uid) & TT_UNWANTED)
		return true;
	if (CFG(not_port) && tt_in_either(TABLE_AT(tt_not_ports), head))
		return true;
	if (CFG(not_lport) && tt_in_ports(TABLE_AT(tt_not_lports), head->lport))
		return true;
	if (CFG(not_rport) && tt_in_ports(TABLE_AT(tt_not_rports), head->rport))
		return true;
	return CFG(not_states) & states;
}

/* The first filter that refuses, whatever kinds are wanted; TT_FILTER_NONE if all let it pass. */
tt_inline enum tt_filter tt_refuses(const struct tt_head *head, tt_uid uid, __u32 states,
				    tt_marks marks)
{
	enum tt_filter of_owner = CFG(asks_owners) ? tt_refuses_owner(marks) : TT_FILTER_NONE;

	if (of_owner != TT_FILTER_NONE)
		return of_owner;
	if (CFG(family) && head->family != CFG(family))
		return TT_FILTER_FAMILY;
	if (CFG(filter_netns) && !(tt_ask_netns(head->netns) & TT_WANTED))
		return TT_FILTER_NETNS;
	if (CFG(filter_uid) && !(tt_ask_uid(uid) & TT_WANTED))
		return TT_FILTER_UID;
	if (CFG(filter_port) && !tt_in_either(TABLE_AT(tt_ports), head))
		return TT_FILTER_PORT;
	if (CFG(filter_lport) && !tt_in_ports(TABLE_AT(tt_lports), head->lport))
		return TT_FILTER_LPORT;
	if (CFG(filter_rport) && !tt_in_ports(TABLE_AT(tt_rports), head->rport))
		return TT_FILTER_RPORT;
	if (CFG(states) && !(CFG(states) & states))
		return TT_FILTER_STATE;
	if (CFG(excludes) && tt_is_excluded(head, uid, states))
		return TT_FILTER_EXCLUDE;
	if (CFG(filter_addr) || CFG(filter_laddr) || CFG(filter_raddr) || CFG(not_addr) ||
	    CFG(not_laddr) || CFG(not_raddr))
		return tt_refuses_addrs(head);
	return TT_FILTER_NONE;
}

/*
 * What --failed and --slower refuse, of all that passes the rest. `took_ns`: 0 where it
 * is not known, or there is nothing that takes time.
 */
tt_inline enum tt_filter tt_refuses_end(bool failed, tt_ns took_ns)
{
	if (CFG(failed) && !failed)
		return TT_FILTER_FAILED;
	if (CFG(slower_ns) && took_ns < CFG(slower_ns))
		return TT_FILTER_SLOWER;
	return TT_FILTER_NONE;
}

/* An attempt to connect, either side's, that came to nothing. */
tt_inline bool tt_is_failure(int old, int new)
{
	return new == TT_CLOSE && (old == TT_SYN_SENT || old == TT_SYN_RECV);
}

/* Count one event of a kind that nobody asks for: as tt_admit() would, which asks that first. */
tt_inline void tt_refuse_kind(struct tt_stats *stats, const enum tt_kind kind)
{
	stats->seen[kind]++;
	stats->refused[TT_FILTER_KIND]++;
}

/*
 * Count one event as seen, and as matched or refused; true if it is to be sent.
 * `kind` is a constant where this is inlined: it indexes the counters. `end`: what
 * tt_refuses_end() says of it.
 */
tt_inline bool tt_admit(struct tt_stats *stats, const enum tt_kind kind, const struct tt_head *head,
			tt_uid uid, __u32 states, tt_marks marks, enum tt_filter end)
{
	enum tt_filter refused =
		CFG(kinds) & 1U << kind ? tt_refuses(head, uid, states, marks) : TT_FILTER_KIND;

	if (refused == TT_FILTER_NONE)
		refused = end;

	stats->seen[kind]++;
	if (refused != TT_FILTER_NONE) {
		stats->refused[refused]++;
		return false;
	}
	stats->matched[kind]++;
	return true;
}

#endif
