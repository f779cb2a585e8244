/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a connection was before it broke. A RST of our own, and the error that an application is
 * told of, come after the transition to CLOSE, and the RST that answers data to a closed socket
 * even after the socket was destroyed. So whose it was, and the state it left, are noted at a
 * transition that is no regular end: few are. The oldest notes make room.
 */
#ifndef TT_BREAKS_H
#define TT_BREAKS_H

#include "lives.h"
#include "maps.h"
#include "sock.h"

struct tt_break {
	struct tt_owner owner;
	tt_mono_ns opened_ns; /* as struct tt_life has it */
	tt_cookie listener_cookie;
	tt_tcp_state_t left; /* 0: not there yet */
	tt_owner_is_t owner_is;
	tt_marks marks;
	__u8 late_data; /* what breaks it is data that came after close(), not a RST */
	__u8 unheard;	/* our side lets go of it: no application is there to be told */
	__u8 reserved[3];
};

MAP_OF(LRU_HASH, tt_breaks, tt_cookie, struct tt_break, 16384);

tt_inline bool tt_notes_breaks(void)
{
	return CFG(kinds) & (1U << TT_KIND_RESET | 1U << TT_KIND_ERROR | 1U << TT_KIND_CONNECTION);
}

/* Data came after close(): known before the state changes. */
tt_inline void tt_note_late_data(tt_cookie cookie)
{
	struct tt_break mark = {.late_data = 1};

	MAP_PUT(tt_breaks, &cookie, &mark, BPF_ANY);
}

/* A transition to CLOSE that is no regular end. */
tt_inline void tt_note_break(const struct sock *sk, const struct tt_sock *sock, int old)
{
	const tt_cookie cookie = sock->cookie;
	const struct tt_break *before = MAP_GET(tt_breaks, &cookie);
	const struct tt_life *life = tt_find_life(cookie);
	struct tt_break note = {
		.owner = sock->owner,
		.opened_ns = life ? life->opened_ns : 0,
		.listener_cookie = sock->listener_cookie,
		.left = old,
		.owner_is = sock->owner_is,
		.marks = sock->marks,
	};

	/* that of an earlier life of the same socket has left a state */
	note.unheard = !sk->sk_err && (sk->sk_shutdown == SHUTDOWN_MASK || !tt_has_file(sk));
	note.late_data = before && !before->left && before->late_data;
	MAP_PUT(tt_breaks, &cookie, &note, BPF_ANY);
}

tt_inline bool tt_broke_by_late_data(tt_cookie cookie)
{
	const struct tt_break *note = MAP_GET(tt_breaks, &cookie);

	return note && note->late_data;
}

#endif
