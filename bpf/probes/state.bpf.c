/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Every transition of every TCP socket, and what is kept about the socket
 * between them. inet_sock_set_state fires before sk_state is written, so the
 * states are taken from its arguments.
 *
 * Attach: tp_btf. It cannot lose a nested event to another program, as kprobes
 * and classic tracepoints do; what it skips itself is in recursion_misses.
 */
#include "../emit.h"
#include "../owner.h"
#include "../sock.h"

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

tt_inline void tt_count_transition(struct tt_stats *stats, const struct tt_state *event,
				   enum tt_slot slot)
{
	struct tt_count_key key = {
		.pid = event->head.pid,
		.start = event->head.start,
		.old = event->old,
		.new = event->new,
		.timewait = event->timewait,
		.dwell_is = event->dwell_is,
		.bucket = tt_bucket(event->dwell_ns),
		.owner_is = event->head.owner_is,
		.slot = slot,
	};
	struct tt_count_value *value = MAP_GET(tt_counts, &key);

	if (!value) {
		struct tt_count_value first = {};

		MAP_PUT(tt_counts, &key, &first, BPF_NOEXIST);
		value = MAP_GET(tt_counts, &key);
		if (!value) {
			stats->lost_map[TT_KIND_STATE]++;
			return;
		}
	}
	value->count++;
	value->sum_ns += event->dwell_ns;
	if (value->count == 1 || event->dwell_ns < value->min_ns)
		value->min_ns = event->dwell_ns;
	if (event->dwell_ns > value->max_ns)
		value->max_ns = event->dwell_ns;
}

/* A mini-socket keeps the cookie of the full one: with it a snapshot finds its owner. */
tt_inline void tt_keep_remains(tt_cookie cookie, const struct tt_sock *sock)
{
	__u32 place = cookie % TT_REMAINS;
	struct tt_remains *remains = MAP_GET(tt_timewaits, &place);

	if (!remains)
		return;
	remains->owner = sock->owner;
	remains->owner_is = sock->owner_is;
	remains->matched = sock->matched;
	remains->cookie = cookie;
}

/* A listener is remembered by its cookie, in its own storage for its children to copy. */
tt_inline void tt_open_listener(const struct sock *sk, const struct tt_head *head,
				const struct tt_owner *owner, bool matched)
{
	struct tt_listener listener = {
		.owner = *owner,
		.opener_pid = owner->pid,
		.opener_start = owner->start,
		.sk = (__u64)sk,
		.netns = head->netns,
		.port = head->lport,
		.family = head->family,
		.matched = matched,
	};
	struct tt_origin *origin;

	__builtin_memcpy(listener.addr, head->laddr, sizeof(listener.addr));
	MAP_PUT(tt_listeners, &head->cookie, &listener, BPF_ANY);
	origin = bpf_sk_storage_get(&tt_origins, (void *)sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (origin) {
		origin->listener_cookie = head->cookie;
		origin->owner = *owner;
	}
}

/* A child before its accept belongs to its listener's owner. */
tt_inline void tt_inherit(const struct sock *sk, struct tt_sock *child)
{
	struct tt_origin *origin = bpf_sk_storage_get(&tt_origins, (void *)sk, 0, 0);
	struct tt_listener *listener;

	if (!origin)
		return;
	child->listener_cookie = origin->listener_cookie;
	child->owner = origin->owner;
	child->owner_is = origin->owner.pid ? TT_OWNER_LISTENER : TT_OWNER_KERNEL;
	listener = MAP_GET(tt_listeners, &child->listener_cookie);
	if (listener) {
		child->owner = listener->owner;
		child->matched = listener->matched;
	}
}

/*
 * Keep a socket met for the first time. An older one may have been seeded
 * meanwhile, with its owner: then only what has just happened is put there.
 */
tt_inline bool tt_keep_sock(tt_cookie cookie, struct tt_sock *fresh, bool is_new)
{
	long error = MAP_PUT(tt_socks, &cookie, fresh, is_new ? BPF_ANY : BPF_NOEXIST);
	struct tt_sock *seeded;

	if (!error)
		return true;
	seeded = MAP_GET(tt_socks, &cookie);
	if (!seeded) {
		tt_control.map_full = 1;
		return false;
	}
	seeded->since_ns = fresh->since_ns;
	seeded->state = fresh->state;
	fresh->owner = seeded->owner;
	fresh->owner_is = seeded->owner_is;
	fresh->matched = seeded->matched;
	return true;
}

tt_inline int tt_transition(void *ctx, const struct sock *sk, int old, int new,
			    struct tt_stats *stats, enum tt_slot slot)
{
	struct tt_sock fresh = {};
	struct tt_sock *sock;
	struct tcp_sock *tp = NULL;
	struct tt_state event = {};
	struct tt_head *head = &event.head;
	bool kept = true;

	head->mono_ns = bpf_ktime_get_ns();
	head->cookie = tt_get_cookie(sk);
	head->kind = TT_KIND_STATE;
	if (CFG(stream))
		head->oncpu_pid = bpf_get_current_pid_tgid() >> 32;
	event.old = old;
	event.new = new;
	if (tt_needs_tuple() || new == TT_LISTEN)
		tt_read_tuple(&sk->__sk_common, head, true);
	if (new == TT_CLOSE || (old == TT_SYN_RECV && new == TT_ESTABLISHED))
		tp = bpf_skc_to_tcp_sock((void *)sk);
	if (new == TT_CLOSE) {
		event.timewait = tt_read_timewait(sk, tp, old);
		if (tt_needs_tuple() && !head->lport && tp)
			head->lport = tt_read_sport(tp);
	}

	sock = MAP_GET(tt_socks, &head->cookie);
	if (!sock || old == TT_CLOSE || old == TT_LISTEN) {
		/* a socket's first transition, or the start of its next life */
		if (sock && old == TT_CLOSE)
			fresh.since_ns = sock->since_ns;
		if (tt_is_opening(old, new)) {
			fresh.owner_is = tt_current_owner(ctx, stats, head->mono_ns, &fresh.owner);
			fresh.matched = tt_is_target(fresh.owner.pid, fresh.owner.start);
		} else if (old == TT_LISTEN && new == TT_SYN_RECV) {
			tt_inherit(sk, &fresh);
		} else if (sock) {
			fresh = *sock;
		}
		if (sock)
			*sock = fresh;
		else
			sock = &fresh;
	}
	if (tt_is_closing(old, new) && bpf_get_current_pid_tgid() >> 32 != sock->owner.pid) {
		/* who closes it holds it now, whoever opened it */
		struct tt_owner closer;

		if (tt_closing_owner(ctx, stats, head->mono_ns, &closer)) {
			sock->owner = closer;
			sock->owner_is = TT_OWNER_PROCESS;
			sock->matched = tt_is_target(closer.pid, closer.start);
			sock->seeded = 0;
		}
	}
	if (new == TT_LISTEN && old == TT_CLOSE)
		tt_open_listener(sk, head, &sock->owner, sock->matched);
	if (old == TT_LISTEN && new == TT_CLOSE) {
		struct tt_listener *listener = MAP_GET(tt_listeners, &head->cookie);

		if (listener) {
			struct tt_owner closer;

			sock->owner = listener->owner;
			/* the last that held it closes it */
			if (tt_closing_owner(ctx, stats, head->mono_ns, &closer))
				sock->owner = closer;
			sock->matched = listener->matched;
			MAP_DEL(tt_listeners, &head->cookie);
		}
	}

	if (sock->since_ns) {
		event.dwell_ns = head->mono_ns - sock->since_ns;
	} else {
		event.dwell_is = TT_DWELL_AT_LEAST;
		/* a new socket and a listener's child have no past; with the map
		 * full a socket may be unknown and yet younger than the tracer
		 */
		if (old != TT_CLOSE && (old != TT_LISTEN || new == TT_CLOSE) &&
		    (!tt_control.map_full || sock->seeded))
			event.dwell_ns = head->mono_ns - tt_control.attached_ns;
	}
	sock->since_ns = head->mono_ns;
	sock->state = new;
	if (old == TT_SYN_RECV && new == TT_ESTABLISHED) {
		sock->established_ns = head->mono_ns;
		sock->handshake_us = tp ? tp->srtt_us >> 3 : 0;
	}

	if (sock == &fresh)
		kept = tt_keep_sock(head->cookie, &fresh, old == TT_CLOSE || old == TT_LISTEN);

	if (!tt_is_live())
		return 0;
	head->pid = sock->owner.pid;
	head->start = sock->owner.start;
	head->cgroup_id = sock->owner.cgroup_id;
	head->owner_is = sock->owner_is;
	if (!tt_admit(stats, TT_KIND_STATE, head, 1U << old | 1U << new | 1U << event.timewait,
		      sock->matched))
		return 0;
	if (old >= 0 && old < TT_STATES && new >= 0 && new < TT_STATES)
		stats->transitions[old][new]++;
	if (event.timewait)
		stats->timewait[event.timewait == TT_FIN_WAIT2]++;
	if (!kept) {
		/* its owner and its past are unknown: told as lost, not sent half known */
		stats->lost_map[TT_KIND_STATE]++;
		return 0;
	}
	if (CFG(count_by_owner))
		tt_count_transition(stats, &event, slot);
	if (CFG(keep_remains) && event.timewait)
		tt_keep_remains(head->cookie, sock);
	if (CFG(stream))
		tt_send(ctx, tt_small, TT_KIND_STATE, &event, stats);
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
	cookie = tt_get_cookie(sk);
	sock = MAP_GET(tt_socks, &cookie);
	if (sock && sock->state == new)
		return 0;
	stats = tt_get_stats(TT_SLOT_NESTED);
	if (!stats)
		return 0;
	stats->nested++;
	return tt_transition(ctx, sk, old, new, stats, TT_SLOT_NESTED);
}

/* The last that is heard of a full socket; its number can be used again from here on. */
PROBE_BTF("tcp_destroy_sock")
int BPF_PROG(tt_destroy, const struct sock *sk)
{
	tt_cookie cookie = sk->__sk_common.skc_cookie.counter;
	struct tt_turn *turn;
	__u32 zero = 0;

	turn = MAP_GET(tt_turns, &zero);
	if (turn)
		turn->destroyed = (__u64)sk;
	if (cookie)
		MAP_DEL(tt_socks, &cookie);
	return 0;
}

/* For those that the first is skipped for, as with the states; to forget twice is harmless. */
PROBE_BTF("tcp_destroy_sock")
int BPF_PROG(tt_destroy_also, const struct sock *sk)
{
	tt_cookie cookie = sk->__sk_common.skc_cookie.counter;
	struct tt_turn *turn;
	__u32 zero = 0;

	turn = MAP_GET(tt_turns, &zero);
	if (turn && turn->destroyed == (__u64)sk) {
		turn->destroyed = 0; /* the next socket may get the same address */
		return 0;
	}
	if (cookie)
		MAP_DEL(tt_socks, &cookie);
	return 0;
}
