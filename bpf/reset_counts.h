/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * RSTs, counted where they are told: whatever of a storm is sent, limited or lost.
 *
 * What finds no room by peer and owner is counted by its sort alone, which are few; what finds none
 * there either, as one of those. All are shared by all CPUs: few places are busy, and none is
 * counted twice.
 */
#ifndef TT_RESET_COUNTS_H
#define TT_RESET_COUNTS_H

#include "maps.h"

MAP_OF(HASH, tt_resets, struct tt_reset_key, struct tt_reset_value, 16384);
MAP_OF(HASH, tt_resets_rest, struct tt_reset_key, struct tt_reset_value, 8192);

ZEROS(struct tt_reset_value, tt_no_resets);

tt_inline struct tt_reset_value *tt_find_reset_place(const struct tt_reset_key *key)
{
	struct tt_reset_value *value = MAP_GET(tt_resets, key);

	if (value)
		return value;
	MAP_PUT(tt_resets, key, ZEROS_AT(tt_no_resets), BPF_NOEXIST);
	return MAP_GET(tt_resets, key);
}

tt_inline struct tt_reset_value *tt_find_reset_rest(struct tt_reset_key *key)
{
	struct tt_reset_value *value;

	__builtin_memset(key->raddr, 0, sizeof(key->raddr));
	key->pid = 0;
	key->start = 0;
	key->owner_is = TT_OWNER_UNKNOWN;
	key->family = 0;
	value = MAP_GET(tt_resets_rest, key);
	if (value)
		return value;
	MAP_PUT(tt_resets_rest, key, ZEROS_AT(tt_no_resets), BPF_NOEXIST);
	return MAP_GET(tt_resets_rest, key);
}

/* One that matched, of a socket in `state` before it. */
tt_inline void tt_count_reset(const struct tt_reset *event, tt_tcp_state_t state)
{
	const struct tt_head *head = &event->head;
	struct tt_reset_key key = {
		.netns = head->netns,
		.pid = head->pid,
		.start = head->start,
		.reason = event->reason,
		.error = event->error,
		.state = state,
		.way = event->way,
		.by = event->by,
		.answers = event->answers,
		.owner_is = head->owner_is,
		.family = head->family,
	};
	struct tt_reset_value *value;

	if (!CFG(count_resets))
		return;
	__builtin_memcpy(key.raddr, head->raddr, sizeof(key.raddr));
	value = tt_find_reset_place(&key);
	if (!value)
		value = tt_find_reset_rest(&key);
	if (value)
		__sync_fetch_and_add(&value->resets, 1);
	else
		CONTROL_COUNT(resets_unplaced);
}

#endif
