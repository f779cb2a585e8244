/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The life of a connection, where its end is to be told: how long it was in each state, and
 * how long it waited for accept(). Kept beside struct tt_sock, by the same rule (socks.h): at
 * its place in an array, or, where that is another's, in a hash.
 */
#ifndef TT_LIVES_H
#define TT_LIVES_H

#include "maps.h"

struct tt_life {
	tt_cookie cookie;     /* 0: nobody's */
	tt_mono_ns opened_ns; /* ESTABLISHED, before that the first SYN; 0: before tracing */
	tt_ns closing_ns[2];
	tt_us syn_sent_us;
	tt_us syn_recv_us;
	tt_us accept_wait_us;
	__u16 visited;	/* bit per enum tt_tcp_state: its time is known */
	__u16 finished; /* our FIN went first, when the two below were this */
	__u32 rcv_nxt;
	__u32 data_segs_in;
};

MAP_OF(ARRAY, tt_lives, __u32, struct tt_life, 65536);

MAP_OF(HASH, tt_other_lives, tt_cookie, struct tt_life, 131072);

tt_inline bool tt_keeps_lives(void)
{
	return CFG(kinds) & (1U << TT_KIND_CONNECTION | 1U << TT_KIND_RESET);
}

#ifdef TT_OLD /* as its entry, found in a hash alone (socks.h) */
tt_inline struct tt_life *tt_find_life(tt_cookie cookie)
{
	return cookie ? MAP_GET(tt_other_lives, &cookie) : NULL;
}

/* All zero but its cookie; whatever was kept of an earlier life of the socket is gone. */
tt_inline struct tt_life *tt_begin_life(tt_cookie cookie)
{
	struct tt_life fresh = {.cookie = cookie};

	if (!cookie)
		return NULL;
	MAP_PUT(tt_other_lives, &cookie, &fresh, BPF_ANY);
	return MAP_GET(tt_other_lives, &cookie);
}

tt_inline void tt_end_life(tt_cookie cookie)
{
	MAP_DEL(tt_other_lives, &cookie);
}
#else
/* NULL if none is kept: it began before tracing, or there was no room. */
tt_inline struct tt_life *tt_find_life(tt_cookie cookie)
{
	__u32 place = cookie & CFG(last_place);
	struct tt_life *life = MAP_GET(tt_lives, &place);

	if (!life || !cookie)
		return NULL;
	return life->cookie == cookie ? life : MAP_GET(tt_other_lives, &cookie);
}

/* All zero but its cookie; whatever was kept of an earlier life of the socket is gone. */
tt_inline struct tt_life *tt_begin_life(tt_cookie cookie)
{
	__u32 place = cookie & CFG(last_place);
	struct tt_life fresh = {.cookie = cookie};
	struct tt_life *life = MAP_GET(tt_lives, &place);
	tt_cookie taken;

	if (!life || !cookie)
		return NULL;
	taken = tt_exchange_if(&life->cookie, 0, cookie);
	if (!taken || taken == cookie) {
		__builtin_memset(&life->opened_ns, 0,
				 sizeof(*life) - offsetof(struct tt_life, opened_ns));
		return life;
	}
	MAP_PUT(tt_other_lives, &cookie, &fresh, BPF_ANY);
	return MAP_GET(tt_other_lives, &cookie);
}

tt_inline void tt_end_life(tt_cookie cookie)
{
	__u32 place = cookie & CFG(last_place);
	struct tt_life *life = MAP_GET(tt_lives, &place);

	if (!life || !cookie)
		return;
	if (life->cookie == cookie)
		tt_exchange(&life->cookie, 0);
	else
		MAP_DEL(tt_other_lives, &cookie);
}
#endif

/* A span in us, the largest for all that are longer. */
tt_inline tt_us tt_as_us(tt_ns span)
{
	__u64 us = span / 1000;

	return us >> 32 ? ~0U : us;
}

/* It was accepted after so long; 0: not known. */
tt_inline void tt_note_wait(tt_cookie cookie, tt_ns waited_ns)
{
	struct tt_life *life = tt_find_life(cookie);

	if (life)
		life->accept_wait_us = waited_ns ? tt_as_us(waited_ns + 999) : 0;
}

/* A state is left after so long. */
tt_inline void tt_note_time(struct tt_life *life, int old, tt_ns dwell_ns)
{
	switch (old) {
	case TT_SYN_SENT:
		life->syn_sent_us = tt_as_us(dwell_ns);
		break;
	case TT_SYN_RECV:
		life->syn_recv_us = tt_as_us(dwell_ns);
		break;
	case TT_FIN_WAIT1:
	case TT_CLOSE_WAIT:
		life->closing_ns[0] = dwell_ns;
		break;
	case TT_FIN_WAIT2:
	case TT_CLOSING:
	case TT_LAST_ACK:
		life->closing_ns[1] = dwell_ns;
		break;
	case TT_ESTABLISHED: /* what is left of its life */
		break;
	default:
		return;
	}
	life->visited |= 1U << old;
}

/* What had come when our FIN was written, which was the first. */
tt_inline void tt_note_fin(struct tt_life *life, const struct sock *sk)
{
	const struct tcp_sock *tp = bpf_skc_to_tcp_sock((void *)sk);

	if (!tp)
		return;
	life->finished = 1;
	life->rcv_nxt = tp->rcv_nxt;
	life->data_segs_in = tp->data_segs_in;
}

/*
 * What a transition means for a life; begun by the first SYN, or with a listener's child, and of
 * one that is older than the tracer by the first thing that befalls it.
 */
tt_inline void tt_live_on(tt_cookie cookie, const struct sock *sk, const struct tt_state *event)
{
	int old = event->old, new = event->new;
	struct tt_life *life;

	if (old == TT_LISTEN || new == TT_LISTEN)
		life = new == TT_SYN_RECV ? tt_begin_life(cookie) : NULL;
	else if (old == TT_CLOSE)
		life = tt_begin_life(cookie);
	else
		life = tt_find_life(cookie);
	/* also a child that comes into its own with its second transition (unborn.h) */
	if (!life && old != TT_LISTEN && new != TT_LISTEN &&
	    (new != TT_CLOSE || (old == TT_SYN_RECV && event->dwell_is == TT_DWELL_EXACT)))
		life = tt_begin_life(cookie);
	if (!life) {
		if (!(old == TT_LISTEN || new == TT_LISTEN || new == TT_CLOSE))
			CONTROL_SET(map_full);
		return;
	}
	if (event->dwell_is == TT_DWELL_EXACT)
		tt_note_time(life, old, event->dwell_ns);
	if (new == TT_SYN_SENT || new == TT_ESTABLISHED || old == TT_LISTEN)
		life->opened_ns = event->head.mono_ns;
	else if (old == TT_SYN_RECV && !life->opened_ns && event->dwell_is == TT_DWELL_EXACT)
		life->opened_ns = event->head.mono_ns - event->dwell_ns;
	if (new == TT_FIN_WAIT1)
		tt_note_fin(life, sk);
}

#endif
