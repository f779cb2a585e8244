/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* How an attempt to connect ended: told where the state changes, see probes/state.bpf.c. */
#ifndef TT_HANDSHAKE_H
#define TT_HANDSHAKE_H

#include "cookies.h"
#include "emit.h"
#include "owner.h"
#include "sock.h"

#define TT_FIRST_RTO_NS 1000000000ULL /* TCP_TIMEOUT_INIT, include/net/tcp.h */

tt_inline tt_outcome_t tt_outcome_of(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return TT_OUTCOME_REFUSED;
	case ECONNRESET:
		return TT_OUTCOME_RESET;
	case ETIMEDOUT:
		return TT_OUTCOME_TIMEOUT;
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
		return TT_OUTCOME_UNREACHABLE;
	case EADDRNOTAVAIL:
		return TT_OUTCOME_NO_PORT;
	case EPERM:
	case EACCES:
		return TT_OUTCOME_DENIED;
	default:
		return TT_OUTCOME_UNKNOWN;
	}
}

/* Closed with no error of the kernel's: by the application, or by connect() itself. */
tt_inline tt_outcome_t tt_given_up(const struct sock *sk, const struct tt_handshake *event)
{
	if (!event->head.lport)
		return TT_OUTCOME_NO_PORT;
	if (event->syn_retransmits || event->latency_ns >= TT_FIRST_RTO_NS)
		return TT_OUTCOME_GAVE_UP;
	return TT_OUTCOME_ABORTED;
}

/*
 * An active attempt that ends; false if it has not ended, or if the end of
 * connect() will tell of it, which knows the error.
 */
tt_inline bool tt_end_active(const struct sock *sk, const struct tcp_sock *tp,
			     const struct tt_state *transition, struct tt_sock *sock,
			     struct tt_handshake *event)
{
	int error = sk->sk_err, new = transition->new;

	if (new == TT_SYN_RECV)
		return false; /* simultaneous open */
	event->role = TT_ROLE_ACTIVE;
	/* one that is older than the tracer took at least as long as it was watched */
	if (sock->is & TT_SOCK_CONNECTING) {
		event->latency_ns = event->head.mono_ns - sock->established_ns;
		event->latency_from = TT_FROM_SYN;
	} else if (transition->dwell_is == TT_DWELL_AT_LEAST) {
		event->latency_ns = transition->dwell_ns;
	}
	event->syn_retransmits = tp->total_retrans;
	event->syn_sent = tp->segs_out ? tp->total_retrans + 1 : 0;
	sock->is &= ~TT_SOCK_CONNECTING;
	if (new == TT_ESTABLISHED) {
		event->outcome = TT_OUTCOME_OK;
		event->rtt_us = tp->srtt_us >> 3;
		return true;
	}
	if (!error) {
		/* nothing sent: no port, or the one it was bound to is taken. One
		 * that was killed in connect() has sent its SYN, and so has one
		 * that connect(AF_UNSPEC) gives up: their exit tells nothing.
		 */
		if (CFG(connect_exit) && !tp->segs_out && tt_is_connecting())
			return false;
		event->outcome = tt_given_up(sk, event);
		return true;
	}
	event->error = error;
	event->outcome = tt_outcome_of(error);
	sock->told_error = error;
	if (!CONTROL_GET(told_errors))
		CONTROL_SET(told_errors);
	return true;
}

tt_inline void tt_name_synack(struct tt_synack_key *key, const struct tt_head *head)
{
	__builtin_memcpy(key->laddr, head->laddr, sizeof(key->laddr));
	__builtin_memcpy(key->raddr, head->raddr, sizeof(key->raddr));
	key->lport = head->lport;
	key->rport = head->rport;
	key->netns = head->netns;
}

/*
 * Keep when the first SYN-ACK went out: tcp_make_synack() notes that in snt_synack, us of
 * CLOCK_MONOTONIC, and never changes it.
 */
tt_inline void tt_keep_synack(const struct request_sock *req, const struct tt_head *head)
{
	__u64 sent_us = BPF_CORE_READ((const struct tcp_request_sock *)req, snt_synack);
	struct tt_synack_key key = {};

	if (!sent_us)
		return;
	tt_name_synack(&key, head);
	MAP_PUT(tt_synacks, &key, &sent_us, BPF_ANY);
}

/*
 * From the first SYN-ACK to the ACK: the round trip, unless one was sent again;
 * then the kernel's measure is of another, or of none (Karn). 0: not known.
 */
tt_inline tt_ns tt_since_synack(const struct tcp_sock *tp, const struct tt_head *head)
{
	struct tt_synack_key key = {};
	__u64 *sent_us, sent_ns;

	if (!tp->total_retrans)
		return (tt_ns)(tp->srtt_us >> 3) * 1000;
	tt_name_synack(&key, head);
	sent_us = MAP_GET(tt_synacks, &key);
	if (!sent_us)
		return 0;
	sent_ns = *sent_us * 1000;
	MAP_DEL(tt_synacks, &key);
	return head->mono_ns > sent_ns ? head->mono_ns - sent_ns : 0;
}

/* Others would take the room of those that are asked for. */
tt_inline bool tt_counts_untold(tt_netns netns)
{
	return !CFG(filter_netns) || tt_ask_netns(netns) & TT_WANTED;
}

/* What is counted of a namespace; NULL: there is no room. */
tt_inline struct tt_untold *tt_get_untold(tt_netns netns)
{
	struct tt_untold *found = MAP_GET(tt_untold, &netns);
	struct tt_untold none = {};

	if (found)
		return found;
	MAP_PUT(tt_untold, &netns, &none, BPF_NOEXIST);
	return MAP_GET(tt_untold, &netns);
}

/*
 * A child that ends without an error is a duplicate, made on two CPUs at once and thrown away on
 * one, or there was no room for it. No attempt ends with it, yet the kernel counted it as it made
 * it, as one of its PassiveOpens.
 */
tt_inline void tt_count_thrown_away(const struct tt_head *head)
{
	struct tt_untold *untold;

	if (!tt_counts_untold(head->netns))
		return;
	untold = tt_get_untold(head->netns);
	if (untold)
		__sync_fetch_and_add(&untold->children, 1);
	else
		CONTROL_COUNT(children_unplaced);
}

/*
 * tcp_rtx_synack() has just counted it as one of its TCPSynRetrans. How its handshake ends need not
 * be told: a RST ends it without a record.
 */
tt_inline void tt_count_synack(const struct tt_head *head)
{
	struct tt_untold *untold;

	if (!tt_counts_untold(head->netns))
		return;
	untold = tt_get_untold(head->netns);
	if (untold)
		__sync_fetch_and_add(&untold->synacks, 1);
	else
		CONTROL_COUNT(synacks_unplaced);
}

/* A child of a listener: finished, or gone before. */
tt_inline bool tt_end_passive(const struct sock *sk, const struct tcp_sock *tp, int new,
			      struct tt_sock *sock, struct tt_handshake *event)
{
	event->role = TT_ROLE_PASSIVE;
	event->listener_cookie = sock->listener_cookie;
	event->syn_retransmits = tp->total_retrans;
	event->syn_sent = tp->total_retrans + 1;
	if (new == TT_ESTABLISHED) {
		event->outcome = TT_OUTCOME_OK;
		event->syncookie = tt_came_by_cookie(sk, tp);
		if (event->syncookie == TT_BY_COOKIE) {
			/* the low bits of its timestamp are not time: up to 63 ms wrong */
			sock->handshake_us = 0;
			return true;
		}
		event->rtt_us = tp->srtt_us >> 3;
		event->latency_ns = tt_since_synack(tp, &event->head);
		event->latency_from = event->latency_ns ? TT_FROM_SYNACK : TT_FROM_NONE;
		return true;
	}
	if (!sk->sk_err) {
		if (new == TT_CLOSE)
			tt_count_thrown_away(&event->head);
		return false;
	}
	event->error = sk->sk_err;
	event->outcome = tt_outcome_of(sk->sk_err);
	return true;
}

tt_inline enum tt_filter tt_refuses_handshake(const struct tt_handshake *event)
{
	return tt_refuses_end(event->outcome != TT_OUTCOME_OK, event->latency_ns);
}

/*
 * One that went well, of whom the owner's filters refuse: most of all there are, with
 * --pid. They are asked first, so it is counted without being made; false if it is to be
 * made all the same, as it may have left something behind.
 */
tt_inline bool tt_refuse_early(const struct tcp_sock *tp, int new, struct tt_sock *sock,
			       bool active, struct tt_stats *stats)
{
	enum tt_filter refused = tt_refuses_owner(sock->marks);

	if (refused == TT_FILTER_NONE || new != TT_ESTABLISHED)
		return false;
	if (!active && (tp->total_retrans || !(tp->srtt_us % TT_RTT_OF_STAMPS)))
		return false; /* a SYN cookie, or a SYN-ACK whose time is kept */
	sock->is &= ~TT_SOCK_CONNECTING;
	stats->seen[TT_KIND_HANDSHAKE]++;
	stats->refused[refused]++;
	return true;
}

/* What this transition ends. */
tt_inline void tt_tell_handshake(void *ctx, const struct sock *sk,
				 const struct tt_state *transition, struct tt_sock *sock,
				 struct tt_large *large, struct tt_stats *stats)
{
	const struct tcp_sock *tp = bpf_skc_to_tcp_sock((void *)sk);
	int old = transition->old, new = transition->new;
	bool active = sock->is & TT_SOCK_CONNECTING || old == TT_SYN_SENT;
	struct tt_handshake *event;
	bool ended;

	if (!tp || (CFG(asks_owners) && tt_refuse_early(tp, new, sock, active, stats)))
		return;
	__builtin_memset(large, 0, sizeof(*large));
	event = &large->handshake;
	event->head = transition->head;
	event->head.kind = TT_KIND_HANDSHAKE;
	event->old = old;
	event->new = new;
	event->uid = transition->uid;
	if (active)
		ended = tt_end_active(sk, tp, transition, sock, event);
	else
		ended = tt_end_passive(sk, tp, new, sock, event);
	if (!ended || !tt_admit(stats, TT_KIND_HANDSHAKE, &event->head, event->uid,
				1U << old | 1U << new, sock->marks, tt_refuses_handshake(event)))
		return;
	if (CFG(stream)) {
		event->head.oncpu_pid = bpf_get_current_pid_tgid() >> 32;
		tt_send(ctx, tt_large, TT_KIND_HANDSHAKE, large, stats);
	}
}

#endif
