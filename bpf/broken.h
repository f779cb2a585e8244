/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Whose a socket is, or was, that a RST or an error is about, and what it was before. */
#ifndef TT_BROKEN_H
#define TT_BROKEN_H

#include "breaks.h"
#include "emit.h"
#include "marks.h"
#include "socks.h"

/* What is known of it: from the note made as it broke, or from what is kept of it. */
struct tt_was {
	tt_mono_ns opened_ns;
	tt_cookie listener_cookie;
	tt_tcp_state_t state; /* before it broke; of one that has not: as it is */
	tt_marks marks;
};

tt_inline void tt_own(struct tt_head *head, const struct tt_owner *owner, tt_owner_is_t owner_is)
{
	head->pid = owner->pid;
	head->start = owner->start;
	head->cgroup_id = owner->cgroup_id;
	head->owner_is = owner_is;
}

/* Of a mini-socket, and of one that was destroyed as one took over. */
tt_inline bool tt_recall_remains(struct tt_head *head, struct tt_was *was, tt_uid *uid)
{
	__u32 place = head->cookie % TT_REMAINS;
	const struct tt_remains *remains = MAP_GET(tt_timewaits, &place);

	if (!remains || !head->cookie || remains->cookie != head->cookie)
		return false;
	tt_own(head, &remains->owner, remains->owner_is);
	was->marks = remains->marks;
	*uid = remains->uid;
	return true;
}

/* Of one that is kept track of. */
tt_inline void tt_recall_kept(struct tt_head *head, int state, struct tt_was *was,
			      struct tt_sock *sock)
{
	const struct tt_life *life = tt_find_life(head->cookie);

	tt_mark_again(sock);
	tt_own(head, &sock->owner, sock->owner_is);
	if (state == TT_CLOSE)
		was->state = tt_state_left(sock);
	was->opened_ns = life ? life->opened_ns : 0;
	was->listener_cookie = sock->listener_cookie;
	was->marks = sock->marks;
}

/* Of a full socket in this state. */
tt_inline void tt_recall_sock(struct tt_head *head, int state, struct tt_was *was, tt_uid *uid)
{
	struct tt_sock *sock = tt_find_sock(head->cookie);
	const struct tt_break *note;

	was->state = state;
	if (sock) {
		tt_recall_kept(head, state, was, sock);
		return;
	}
	note = state == TT_CLOSE ? MAP_GET(tt_breaks, &head->cookie) : NULL;
	if (note) {
		tt_own(head, &note->owner, note->owner_is);
		was->opened_ns = note->opened_ns;
		was->listener_cookie = note->listener_cookie;
		was->state = note->left;
		was->marks = note->marks;
	} else if (state == TT_CLOSE && tt_recall_remains(head, was, uid)) {
		/* data that came with the ACK of our FIN: no mini-socket, after all */
		was->state = TT_FIN_WAIT2;
	}
}

#endif
