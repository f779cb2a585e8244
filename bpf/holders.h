/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Who holds a connection: descriptors are passed on and closed where no probe is,
 * so a look at all of them, now and then, finds what the owner let go of.
 *
 * A look is two passes over all descriptors. The first notes of each connection
 * whether its owner still holds it; only if there are some that others hold and
 * the owner was not met, the second gives each of those to its oldest holder:
 * the younger ones have it from that one. While its owner holds a connection it
 * remains the owner's, whoever else does.
 */
#ifndef TT_HOLDERS_H
#define TT_HOLDERS_H

#include "owner.h"

/* What a look found, beside its number in `held`. */
#define TT_HELD_OTHERS 0x4000 /* others hold it, and its owner was not met yet */
#define TT_HELD_CHOSEN 0x8000 /* whose it is was found by this look */
#define TT_HELD_LOOK 0x3fff

tt_inline void tt_choose_holder(struct tt_sock *sock, __u16 look, const struct tt_owner *holder,
				tt_marks marks)
{
	sock->owner = *holder;
	sock->owner_is = TT_OWNER_PROCESS;
	sock->marks = marks;
	sock->seeded = 1;
	sock->held = look | TT_HELD_CHOSEN;
}

/* It has no owner yet: it is older than the tracer, or nobody watches accept(). */
tt_inline bool tt_is_unowned(const struct tt_sock *sock)
{
	return sock->owner_is == TT_OWNER_UNKNOWN ||
	       (!CFG(accept_hook) && sock->owner_is == TT_OWNER_LISTENER);
}

/* One more descriptor for a connection: this process holds it. */
tt_inline void tt_meet_holder(struct tt_sock *sock, const struct tt_owner *holder, tt_marks marks)
{
	__u16 look = tt_control.holders_look & TT_HELD_LOOK;

	if (tt_is_unowned(sock)) {
		tt_choose_holder(sock, look, holder, marks);
	} else if (sock->owner_is != TT_OWNER_PROCESS) {
		return;
	} else if (sock->owner.pid == holder->pid && sock->owner.start == holder->start) {
		if (sock->held != (look | TT_HELD_CHOSEN))
			sock->held = look;
	} else if (sock->held == (look | TT_HELD_CHOSEN)) {
		if (sock->owner.start > holder->start)
			tt_choose_holder(sock, look, holder, marks);
	} else if (tt_control.second_pass) {
		if (sock->held == (look | TT_HELD_OTHERS))
			tt_choose_holder(sock, look, holder, marks);
	} else if (sock->held != look) {
		sock->held = look | TT_HELD_OTHERS;
		tt_control.passed_on++;
	}
}

#endif
