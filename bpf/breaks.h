/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Connections that data came to after they were closed: the RST that answers it is sent after the
 * socket was destroyed, so whose it was is noted before. The oldest notes make room.
 */
#ifndef TT_BREAKS_H
#define TT_BREAKS_H

#include "lives.h"
#include "maps.h"
#include "socks.h"

struct tt_break {
	struct tt_owner owner;
	tt_mono_ns opened_ns; /* as struct tt_life has it */
	tt_cookie listener_cookie;
	tt_tcp_state_t left;
	tt_owner_is_t owner_is;
	tt_marks marks;
	__u8 reserved[5];
};

MAP_OF(LRU_HASH, tt_breaks, tt_cookie, struct tt_break, 16384);

/* Known before the state changes: `state` is what will be left. */
tt_inline void tt_note_late_data(tt_cookie cookie, int state)
{
	const struct tt_life *life = tt_find_life(cookie);
	struct tt_sock *sock = tt_find_sock(cookie);
	struct tt_break note = {.left = state};

	if (!sock)
		return;
	sock->is |= TT_SOCK_LATE_DATA;
	note.owner = sock->owner;
	note.owner_is = sock->owner_is;
	note.marks = sock->marks;
	note.listener_cookie = sock->listener_cookie;
	note.opened_ns = life ? life->opened_ns : 0;
	MAP_PUT(tt_breaks, &cookie, &note, BPF_ANY);
}

#endif
