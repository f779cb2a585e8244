/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* How many records of a flood are sent: the others are counted alone. */
#ifndef TT_RATE_H
#define TT_RATE_H

#include "maps.h"

#define TT_LIMIT 1000 /* records a second and CPU, where no more are asked for */
#define NSEC_PER_SEC 1000000000ULL

struct tt_rate {
	tt_mono_ns filled_ns;
	__u64 tokens;
};

/* Whether one more record may be sent: `most` a second, as many at once after a pause. */
tt_inline bool tt_may_send(struct tt_rate *rate, tt_mono_ns now, __u64 most)
{
	__u64 more = (now - rate->filled_ns) * most / NSEC_PER_SEC;

	if (!rate->filled_ns || more >= most) {
		rate->filled_ns = now;
		rate->tokens = most;
	} else if (more) {
		rate->filled_ns += more * (NSEC_PER_SEC / most);
		rate->tokens = rate->tokens + more < most ? rate->tokens + more : most;
	}
	if (!rate->tokens)
		return false;
	rate->tokens--;
	return true;
}

#endif
