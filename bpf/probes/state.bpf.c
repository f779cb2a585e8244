/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Every transition of every TCP socket, and what is kept about the socket
 * between them. inet_sock_set_state fires before sk_state is written, so the
 * states are taken from its arguments.
 *
 * Attach: tp_btf. It cannot lose a nested event to another program, as kprobes
 * and classic tracepoints do; what it skips itself is in recursion_misses.
 */
#include "../accept.h"
#include "../children.h"
#include "../counts.h"
#include "../emit.h"
#ifndef TT_BCC /* which serves no more than these sources had before */
#include "../ending.h"
#endif
#include "../handshake.h"
#include "../hearers.h"
#include "../listeners.h"
#include "../listening.h"
#include "../mib.h"
#include "../owner.h"
#include "../sock.h"
#include "../socks.h"

/* Transitions that the application makes itself: `current` is who does it. */
tt_inline bool tt_is_opening(int old, int new)
{
	return old == TT_CLOSE && (new == TT_SYN_SENT || new == TT_LISTEN);
}

tt_inline bool tt_is_closing(int old, int new)
{
	return (old == TT_ESTABLISHED && new == TT_FIN_WAIT1) ||
	       (old == TT_CLOSE_WAIT && new == TT_LAST_ACK);
}

/* A mini-socket keeps the cookie of the full one: with it a snapshot finds its owner. */
tt_inline void tt_keep_remains(tt_cookie cookie, const struct tt_sock *sock, tt_uid uid)
{
	__u32 place = cookie % TT_REMAINS;
	struct tt_remains *remains = MAP_GET(tt_timewaits, &place);

	if (!remains)
		return;
	remains->cookie = 0; /* nobody's, while the rest is written */
	remains->owner = sock->owner;
	remains->owner_is = sock->owner_is;
	remains->uid = uid;
	remains->marks = sock->marks;
	remains->cookie = cookie;
}

tt_inline void tt_count_seen(struct tt_stats *stats, __u64 old, __u64 new)
{
	__u64 place = old * TT_STATES + new;

	if (old >= TT_STATES || new >= TT_STATES)
		return;
	/* or the compiler checks one register and indexes with another */
	barrier_var(place);
	if (place < TT_STATES * TT_STATES)
		stats->transitions[0][place]++;
}

/* Who the socket belongs to from here on, where this transition decides it. */
tt_inline void tt_settle_owner(void *ctx, const struct sock *sk, int old, int new, tt_mono_ns now,
			       struct tt_sock *sock, struct tt_stats *stats)
{
	struct tt_owner closer;

	if (tt_is_opening(old, new)) {
		sock->owner_is = tt_current_owner(ctx, stats, now, &sock->owner);
		sock->marks = tt_current_marks(&sock->owner);
		if (new == TT_SYN_SENT) {
			sock->is = TT_SOCK_CONNECTING;
			sock->established_ns = now;
#ifndef TT_BCC
			if (CFG(made))
				tt_note_made(ctx, sock->cookie, &sock->owner, TT_ROLE_ACTIVE);
#endif
		}
	} else if (old == TT_LISTEN && new == TT_SYN_RECV) {
		tt_find_listener(sk);
		tt_inherit(tt_read_listener_cookie(sk), sock);
	} else if (tt_is_closing(old, new) && bpf_get_current_pid_tgid() >> 32 != sock->owner.pid) {
		/* who closes it holds it now, whoever opened it */
		if (tt_closing_owner(ctx, stats, now, &closer)) {
			sock->owner = closer;
			sock->owner_is = TT_OWNER_PROCESS;
			sock->marks = tt_current_marks(&closer);
			sock->seeded = 0;
		}
	}
}

/* Whether this may be the end of an attempt to connect, and somebody asks for those. */
tt_inline bool tt_may_end_attempt(int old)
{
	return CFG(kinds) & 1U << TT_KIND_HANDSHAKE && (old == TT_SYN_SENT || old == TT_SYN_RECV);
}

/* Whether this is the end of a connection, or of an attempt at one, and somebody asks for those. */
tt_inline bool tt_ends_life(int old, int new)
{
	return CFG(kinds) & 1U << TT_KIND_CONNECTION && old != TT_LISTEN && new == TT_CLOSE;
}

/* Whether somebody asks for this transition itself. */
tt_inline bool tt_wants_state(int old, int new)
{
	if (!(CFG(kinds) & 1U << TT_KIND_STATE))
		return false;
	return !CFG(listens_alone) || (old == TT_LISTEN && new == TT_CLOSE) || new == TT_LISTEN;
}

/* Count and send one transition, if the filters let it pass. */
tt_inline void tt_tell(void *ctx, const struct sock *sk, struct tt_state *event,
		       struct tt_sock *sock, struct tt_bench *bench, struct tt_stats *stats,
		       enum tt_slot slot)
{
	struct tt_head *head = &event->head;
	int old = event->old, new = event->new;

	/* where only ends are asked for, most transitions are a number and no more */
	if (!tt_wants_state(old, new) && !tt_may_end_attempt(old) && !tt_ends_life(old, new)) {
		if (tt_is_live() && !CFG(listens_alone))
			tt_refuse_kind(stats, TT_KIND_STATE);
		return;
	}
	if (old != TT_LISTEN)
		tt_mark_again(sock);
	head->pid = sock->owner.pid;
	head->start = sock->owner.start;
	head->cgroup_id = sock->owner.cgroup_id;
	head->owner_is = sock->owner_is;
	if (new == TT_CLOSE)
		event->timewait = tt_read_timewait(sk, old);
	event->uid = tt_read_uid(sk, true);
	if (tt_needs_tuple(sock->marks))
		tt_read_full_tuple(sk, new, head);
	if (tt_may_end_attempt(old))
		tt_tell_handshake(ctx, sk, event, sock, &bench->large, stats);
	if (!tt_is_live())
		return;
	tt_roads_meet();
	old = event->old;
	new = event->new;
#ifndef TT_BCC
	if (tt_ends_life(old, new))
		tt_tell_connection(ctx, sk, event, sock, bench, stats);
#endif
	if (CFG(listens_alone) && !tt_wants_state(old, new))
		return;
	if (!tt_admit(stats, TT_KIND_STATE, head, event->uid,
		      1U << old | 1U << new | 1U << event->timewait, sock->marks,
		      tt_refuses_end(CFG(failed) && tt_is_failure(old, new), event->dwell_ns)))
		return;
	tt_count_seen(stats, old, new);
	if (event->timewait)
		stats->timewait[event->timewait == TT_FIN_WAIT2]++;
	/* lost once, not from the counts and then from a buffer too */
	if (CFG(count_by_owner) && !tt_count_transition(stats, event, slot))
		return;
	if (CFG(keep_remains) && event->timewait)
		tt_keep_remains(head->cookie, sock, sk->sk_uid.val);
	if (CFG(stream)) {
		head->oncpu_pid = bpf_get_current_pid_tgid() >> 32;
		tt_send(ctx, tt_small, TT_KIND_STATE, event, stats);
	}
}

/*
 * There was no room to keep it: its owner and its past are unknown. It may be one
 * that is asked for, and is told as lost, not sent half known.
 */
tt_inline void tt_tell_lost(const struct sock *sk, struct tt_state *event, struct tt_stats *stats)
{
	struct tt_head *head = &event->head;
	int old = event->old, new = event->new;

	if (new == TT_CLOSE)
		event->timewait = tt_read_timewait(sk, old);
	event->uid = tt_read_uid(sk, true);
	if (tt_needs_tuple(TT_MARK_WANTED))
		tt_read_full_tuple(sk, new, head);
	if (tt_may_end_attempt(old) && (new == TT_ESTABLISHED || new == TT_CLOSE) &&
	    tt_admit(stats, TT_KIND_HANDSHAKE, head, event->uid, 1U << old | 1U << new,
		     TT_MARK_WANTED, tt_refuses_end(new == TT_CLOSE, CFG(slower_ns))))
		stats->lost_map[TT_KIND_HANDSHAKE]++;
	if (tt_ends_life(old, new) &&
	    tt_admit(stats, TT_KIND_CONNECTION, head, event->uid, 1U << old | 1U << new,
		     TT_MARK_WANTED, tt_refuses_end(true, CFG(slower_ns))))
		stats->lost_map[TT_KIND_CONNECTION]++;
	if (CFG(listens_alone) && !tt_wants_state(old, new))
		return;
	if (!tt_admit(stats, TT_KIND_STATE, head, event->uid,
		      1U << old | 1U << new | 1U << event->timewait, TT_MARK_WANTED,
		      tt_refuses_end(CFG(failed) && tt_is_failure(old, new), CFG(slower_ns))))
		return;
	tt_count_seen(stats, old, new);
	if (event->timewait)
		stats->timewait[event->timewait == TT_FIN_WAIT2]++;
	stats->lost_map[TT_KIND_STATE]++;
}

/*
 * The session is over, and an attempt ends that began in it. The kernel counted it
 * as it began: until the sockets that go on have been looked at, such an end is told.
 */
tt_inline bool tt_ends_late(const struct tt_sock *sock, int old, tt_mono_ns entered_ns)
{
	/* the one begins with its first SYN, a listener's child as it is made */
	tt_mono_ns began_ns = sock->is & TT_SOCK_CONNECTING ? sock->established_ns : entered_ns;

	return tt_may_end_attempt(old) && began_ns && began_ns < CONTROL_NOW(closed_ns);
}

tt_inline int tt_transition(void *ctx, const struct sock *sk, int old, int new,
			    struct tt_stats *stats, enum tt_slot slot)
{
	struct tt_sock *sock;
	struct tt_state *held = NULL;
	tt_mono_ns entered_ns;
	__u32 spare = slot;
	struct tt_bench *bench = MAP_GET(tt_benches, &spare);
	struct tt_state *event;
	struct tt_head *head;

	if (!bench)
		return 0;
	event = &bench->event;
	__builtin_memset(event, 0, sizeof(*event));
	head = &event->head;
	head->mono_ns = bpf_ktime_get_ns();
	head->cookie = tt_get_cookie(sk);
	head->netns = tt_read_netns(&sk->__sk_common, true);
	head->kind = TT_KIND_STATE;
	event->old = old;
	event->new = new;

	sock = tt_find_sock(head->cookie);
	if (!sock) {
		sock = tt_add_sock(head->cookie);
		if (!sock) {
			CONTROL_SET(map_full);
			if (tt_is_live())
				tt_tell_lost(sk, event, stats);
			return 0;
		}
	} else if (old == TT_CLOSE) {
		/* its next life */
		tt_mono_ns since_ns = sock->since_ns;

		tt_wipe_sock(sock);
		sock->since_ns = since_ns;
#ifndef TT_BCC
		/* or it stays in the hash, where the place is free by now */
		if (tt_keeps_lives())
			tt_end_life(head->cookie);
#endif
	}
	if (CFG(hold_children) && old == TT_SYN_RECV)
		tt_bear(sk, sock);
	tt_settle_owner(ctx, sk, old, new, head->mono_ns, sock, stats);
	if (new == TT_LISTEN && old == TT_CLOSE)
		tt_open_listener(sk, head->cookie, head->netns, head->mono_ns, &sock->owner,
				 sock->marks);
	if (old == TT_LISTEN && new == TT_CLOSE)
		tt_close_listener(ctx, head->cookie, head->mono_ns, sock, stats);

	tt_roads_meet();
	old = event->old;
	new = event->new;
	entered_ns = sock->since_ns;
	if (sock->since_ns) {
		event->dwell_ns = head->mono_ns - sock->since_ns;
	} else {
		event->dwell_is = TT_DWELL_AT_LEAST;
		/* a new socket and a listener's child have no past; with the map
		 * full a socket may be unknown and yet younger than the tracer
		 */
		if (old != TT_CLOSE && (old != TT_LISTEN || new == TT_CLOSE) &&
		    (!CONTROL_GET(map_full) || sock->seeded))
			event->dwell_ns = head->mono_ns - CONTROL_GET(attached_ns);
	}
	sock->since_ns = head->mono_ns;
	sock->states = new | old << 4;
#ifndef TT_BCC
	if (tt_keeps_lives())
		tt_live_on(head->cookie, sk, event);
#endif
	tt_roads_meet();
	old = event->old;
	new = event->new;
	if (old == TT_SYN_RECV && new == TT_ESTABLISHED && !(sock->is & TT_SOCK_CONNECTING)) {
		const struct tcp_sock *tp = bpf_skc_to_tcp_sock((void *)sk);

		sock->established_ns = head->mono_ns;
		sock->handshake_us = tp ? tp->srtt_us >> 3 : 0;
		tt_enqueued(sock, head->mono_ns);
	}
	if (sock->is & TT_SOCK_WAITING && (new == TT_CLOSE || tt_is_closing(old, new)))
		tt_ended_waiting(sk, new, sock);

	if (!tt_is_live() && !tt_ends_late(sock, old, entered_ns)) {
		tt_pass_over_cookie(sk, old, new);
		return 0;
	}
	if (CFG(hold_children)) {
		if (tt_hold(sk, old, new, sock))
			return 0;
		held = tt_take_held(sk, sock, entered_ns, bench);
	}
	/* a loop, not two calls: what is inlined once takes the stack once */
#pragma clang loop unroll(disable)
	for (int left = held ? 2 : 1; left > 0; left--)
		tt_tell(ctx, sk, left == 2 ? held : event, sock, bench, stats, slot);
	return 0;
}

PROBE_BTF("inet_sock_set_state")
int BPF_PROG(tt_state, const struct sock *sk, int old, int new)
{
	struct tt_stats *stats;
	struct tt_turn *turn;
	__u32 zero = 0;

	if (sk->sk_protocol != IPPROTO_TCP || old == new)
		return 0;
	stats = tt_get_stats(TT_SLOT_STATE);
	turn = MAP_GET(tt_turns, &zero);
	if (!stats || !turn)
		return 0;
	turn->sk = (__u64)sk;
	turn->old = old;
	turn->new = new;
	tt_forget_older(sk, old, new);
	if (tt_is_unborn(sk, old, new)) {
		tt_expect(sk, stats);
		return 0;
	}
	return tt_transition(ctx, sk, old, new, stats, TT_SLOT_STATE);
}

/*
 * The kernel runs no program inside itself: when an interrupt breaks into
 * tt_state and the softirq behind it works off packets, tt_state is skipped for
 * every transition they make, hundreds at a time under load. Softirqs do not
 * nest, so this second program, attached after the first, is never skipped in
 * that place. It takes up what the first did not, and nothing else: what that
 * took up stands in this CPU's turn or, if an interrupt came between the two
 * and has overwritten it, in the state kept for the socket.
 */
PROBE_BTF("inet_sock_set_state")
int BPF_PROG(tt_state_nested, const struct sock *sk, int old, int new)
{
	struct tt_stats *stats;
	struct tt_turn *turn;
	struct tt_sock *sock;
	tt_cookie cookie;
	__u32 zero = 0;

	if (sk->sk_protocol != IPPROTO_TCP || old == new)
		return 0;
	turn = MAP_GET(tt_turns, &zero);
	if (!turn || (turn->sk == (__u64)sk && turn->old == (__u32)old && turn->new == (__u32) new))
		return 0;
	stats = tt_get_stats(TT_SLOT_NESTED);
	if (!stats)
		return 0;
	if (tt_is_unborn(sk, old, new)) {
		if (tt_knows_unborn(sk))
			return 0;
		stats->nested++;
		tt_forget_older(sk, old, new);
		tt_expect(sk, stats);
		return 0;
	}
	cookie = tt_get_cookie(sk);
	sock = tt_find_sock(cookie);
	if (sock && tt_state_now(sock) == new)
		return 0;
	stats->nested++;
	tt_forget_older(sk, old, new);
	return tt_transition(ctx, sk, old, new, stats, TT_SLOT_NESTED);
}

/*
 * One that was accepted unseen. If nobody had closed it when it came to CLOSE, its
 * last holder does so now; else this is where its last packet is.
 */
tt_inline void tt_end_taken(void *ctx, const struct sock *sk, tt_cookie cookie)
{
	__u32 slot = TT_SLOT_NESTED;
	struct tt_stats *stats = tt_get_stats(slot);
	struct tt_bench *bench = MAP_GET(tt_benches, &slot);
	struct tt_sock *sock = tt_find_sock(cookie);
	struct tt_owner closer;
	bool left;

	if (!sock || !(sock->is & TT_SOCK_TAKEN) || !stats || !bench || !tt_is_live())
		return;
	left = (sock->is & TT_SOCK_LEFT) == TT_SOCK_LEFT;
	sock->is &= ~TT_SOCK_LEFT;
	if (left && tt_closing_owner(ctx, stats, bpf_ktime_get_ns(), &closer)) {
		sock->owner = closer;
		sock->owner_is = TT_OWNER_PROCESS;
		sock->marks = tt_current_marks(&closer);
	}
	tt_tell_taken(ctx, sk, sock, &bench->large, stats);
}

/* Whether all transitions are told of: what a mini-socket takes over is kept there. */
tt_inline bool tt_wants_states(void)
{
	return CFG(kinds) & 1U << TT_KIND_STATE && !CFG(listens_alone);
}

/* Of one that a mini-socket has taken over from. */
tt_inline void tt_keep_last(const struct sock *sk, tt_cookie cookie)
{
	const struct tt_sock *sock = tt_find_sock(cookie);

	if (sock && tt_read_timewait(sk, tt_state_left(sock)))
		tt_keep_remains(cookie, sock, sk->sk_uid.val);
}

/*
 * The last that is heard of a full socket; its number can be used again from here on.
 *
 * One program is enough, unlike with the states: a socket is destroyed in a softirq or with
 * softirqs disabled (inet_csk_destroy_sock()), so none breaks in that would destroy another;
 * one that could not even be made (sk_common_release() in inet_create()) has no entry. Where
 * a state is told this runs on top of tt_state, never on top of tt_state_nested.
 */
PROBE_BTF("tcp_destroy_sock")
int BPF_PROG(tt_destroy, const struct sock *sk)
{
	tt_cookie cookie = tt_known_cookie(sk);

	if (CFG(accept_hook))
		tt_end_taken(ctx, sk, cookie);
#ifndef TT_BCC
	if (tt_keeps_lives())
		tt_end_life(cookie);
	if (CFG(made))
		MAP_DEL(tt_made, &cookie);
#endif
	if (CFG(keep_remains) && !tt_wants_states())
		tt_keep_last(sk, cookie);
	tt_forget_sock(cookie);
	tt_forget_cookie(sk);
	return 0;
}
