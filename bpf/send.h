/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The two roads to user space. Neither wakes the reader for a record: only half full do they. A
 * ring does so for its first one too, while there has been nothing to read for so long that the
 * reader comes seldom.
 */
#ifndef TT_SEND_H
#define TT_SEND_H

#include "maps.h"

#ifdef TT_BCC /* which has no arrays of maps that are filled later */
#define tt_put(ctx, buffer, record) BUFFER_PUT(ctx, buffer, record)
#else
/*
 * Wakes whoever waits, once: with the record that fills the ring's first half, or its first. By
 * signs, not branches: each would have the verifier go twice through all that follows, and there
 * are several records to a transition.
 */
tt_inline __u64 tt_ring_flags(void *ring, __u64 size)
{
	__u64 half = bpf_ringbuf_query(ring, BPF_RB_RING_SIZE) / 2;
	__u64 waiting = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
	__u64 up_to_half = waiting - half - 1, beyond_it = half - waiting - size;
	__u64 fills_half = (up_to_half & beyond_it) >> 63;
	__u64 is_first = (waiting - 1) >> 63;

	_Static_assert(BPF_RB_FORCE_WAKEUP == BPF_RB_NO_WAKEUP + 1,
		       "of two flags the one or other");
	return BPF_RB_NO_WAKEUP + (fills_half | (is_first & CONTROL_NOW(reader_sleeps)));
}

tt_inline long tt_put_in_ring(void *rings, void *record, __u64 size)
{
	__u32 cpu = bpf_get_smp_processor_id();
	void *ring = bpf_map_lookup_elem(rings, &cpu);

	if (!ring)
		return -1;
	return bpf_ringbuf_output(ring, record, size,
				  tt_ring_flags(ring, size + BPF_RINGBUF_HDR_SZ));
}

/* Put a record into this CPU's buffer, `tt_small` or `tt_large`; 0 if there was room. */
#define tt_put(ctx, buffer, record)                                                                \
	(CFG(ring) ? tt_put_in_ring(&buffer##_rings, record, sizeof(*(record)))                    \
		   : BUFFER_PUT(ctx, buffer, record))
#endif

/* Send a record; what the buffer refuses is counted here, where it is known at once. */
#define tt_send(ctx, buffer, kind, record, stats)                                                  \
	do {                                                                                       \
		if (tt_put(ctx, buffer, record))                                                   \
			(stats)->lost_buffer[kind]++;                                              \
	} while (0)

#endif
