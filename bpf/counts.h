/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Transitions by owner, each with the time spent in the state that was left. */
#ifndef TT_COUNTS_H
#define TT_COUNTS_H

#include "maps.h"

/* 8 buckets per power of two: below 8 ns one each, then 1/8 of the power. */
tt_inline __u16 tt_bucket(__u64 ns)
{
	__u64 v = ns;
	__u32 log = 0;

	if (v < 8)
		return v;
	if (v >> 32) {
		v >>= 32;
		log += 32;
	}
	if (v >> 16) {
		v >>= 16;
		log += 16;
	}
	if (v >> 8) {
		v >>= 8;
		log += 8;
	}
	if (v >> 4) {
		v >>= 4;
		log += 4;
	}
	if (v >> 2) {
		v >>= 2;
		log += 2;
	}
	log += v >> 1;
	return (log - 2) * 8 + (ns >> (log - 3) & 7);
}

tt_inline void tt_add_up(struct tt_count_value *value, tt_ns dwell_ns)
{
	value->count++;
	value->sum_ns += dwell_ns;
	if (value->count == 1 || dwell_ns < value->min_ns)
		value->min_ns = dwell_ns;
	if (dwell_ns > value->max_ns)
		value->max_ns = dwell_ns;
}

/* The key as two numbers: compared and hashed without a loop. */
union tt_key_words {
	struct tt_count_key key;
	__u64 words[2];
};

/* The key's place in this CPU's part of the turn; NULL if another key has it. */
tt_inline struct tt_tally *tt_find_tally(const union tt_key_words *key, enum tt_slot slot,
					 __u32 turn)
{
	/* multiplied by an odd number near 2^64 / 1.618, the high bits depend on all */
	__u64 hash =
		(key->words[0] * 0x9e3779b97f4a7c15ULL ^ key->words[1]) * 0x9e3779b97f4a7c15ULL;
	__u32 part = (bpf_get_smp_processor_id() * TT_TURNS + turn) * TT_COUNTING_SLOTS + slot;
	__u32 at = part * TT_TALLIES + (hash >> 54);
	struct tt_tally *tally = MAP_GET(tt_tallies, &at);
	union tt_key_words *there;

	if (!tally)
		return NULL;
	there = (union tt_key_words *)&tally->key;
	if (!tally->value.count) {
		there->words[0] = key->words[0];
		there->words[1] = key->words[1];
	} else if (there->words[0] != key->words[0] || there->words[1] != key->words[1]) {
		return NULL;
	}
	return tally;
}

/* False if there was no room: it is counted as lost then. */
tt_inline bool tt_count_transition(struct tt_stats *stats, const struct tt_state *event,
				   enum tt_slot slot)
{
	__u32 turn = CONTROL_NOW(turn) & 1;
	union tt_key_words key = {};
	struct tt_count_value first = {};
	struct tt_count_value *value;
	struct tt_tally *tally;

	key.key.pid = event->head.pid;
	key.key.start = event->head.start;
	key.key.old = event->old;
	key.key.new = event->new;
	key.key.timewait = event->timewait;
	key.key.dwell_is = event->dwell_is;
	/* records have how long each took; who reads both looks here for numbers alone */
	if (!CFG(stream))
		key.key.bucket = tt_bucket(event->dwell_ns);
	key.key.owner_is = event->head.owner_is;
	key.key.slot = slot * TT_TURNS + turn;
	tally = tt_find_tally(&key, slot, turn);
	if (tally) {
		tt_add_up(&tally->value, event->dwell_ns);
		return true;
	}
	value = MAP_GET(tt_counts, &key.key);
	if (!value) {
		MAP_PUT(tt_counts, &key.key, &first, BPF_NOEXIST);
		value = MAP_GET(tt_counts, &key.key);
		if (!value) {
			stats->lost_map[TT_KIND_STATE]++;
			return false;
		}
	}
	tt_add_up(value, event->dwell_ns);
	return true;
}

#endif
