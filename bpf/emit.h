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
	return *(volatile __u64 *)&tt_control.live;
}

tt_inline bool tt_in_ports(const volatile struct tt_portset *set, __u16 port)
{
	return set->bits[port >> 6] >> (port & 63) & 1;
}

tt_inline bool tt_in_addrs(const __u8 *addr)
{
	struct tt_addr_key key = {.prefixlen = 128};

	__builtin_memcpy(key.addr, addr, sizeof(key.addr));
	return MAP_GET(tt_addrs, &key) != NULL;
}

/*
 * Counting alone, with no filter that looks at them, needs no addresses; nor
 * does what --pid refuses, which is asked first.
 */
tt_inline bool tt_needs_tuple(bool matched)
{
	if (CFG(filter_pid) && !matched)
		return false;
	return CFG(stream) || CFG(family) || CFG(filter_netns) || CFG(filter_port) ||
	       CFG(filter_lport) || CFG(filter_rport) || CFG(filter_addr);
}

/* The first filter that refuses, whatever kinds are wanted; TT_FILTER_NONE if all let it pass. */
tt_inline enum tt_filter tt_refuses(const struct tt_head *head, __u32 states, bool matched)
{
	if (CFG(filter_pid) && !matched)
		return TT_FILTER_PID;
	if (CFG(family) && head->family != CFG(family))
		return TT_FILTER_FAMILY;
	if (CFG(filter_netns) && !MAP_GET(tt_netns_set, &head->netns))
		return TT_FILTER_NETNS;
	if (CFG(filter_port) && !tt_in_ports(&tt_ports, head->lport) &&
	    !tt_in_ports(&tt_ports, head->rport))
		return TT_FILTER_PORT;
	if (CFG(filter_lport) && !tt_in_ports(&tt_lports, head->lport))
		return TT_FILTER_LPORT;
	if (CFG(filter_rport) && !tt_in_ports(&tt_rports, head->rport))
		return TT_FILTER_RPORT;
	if (CFG(filter_addr) && !tt_in_addrs(head->laddr) && !tt_in_addrs(head->raddr))
		return TT_FILTER_ADDR;
	if (CFG(states) && !(CFG(states) & states))
		return TT_FILTER_STATE;
	return TT_FILTER_NONE;
}

/*
 * Count one event as seen, and as matched or refused; true if it is to be sent.
 * `kind` is a constant where this is inlined: it indexes the counters.
 */
tt_inline bool tt_admit(struct tt_stats *stats, const enum tt_kind kind, const struct tt_head *head,
			__u32 states, bool matched)
{
	enum tt_filter refused =
		CFG(kinds) & 1U << kind ? tt_refuses(head, states, matched) : TT_FILTER_KIND;

	stats->seen[kind]++;
	if (refused != TT_FILTER_NONE) {
		stats->refused[refused]++;
		return false;
	}
	stats->matched[kind]++;
	return true;
}

#endif
