/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A connection has come to its end: its whole life in one record. Told at its last transition,
 * as tcp_disconnect() clears what the kernel counted right after it.
 */
#ifndef TT_ENDING_H
#define TT_ENDING_H

#include "emit.h"
#include "lives.h"
#include "measure.h"

/*
 * Data came after close(), which nobody is to read: answered with a RST, be it that our FIN was
 * acknowledged with it (FIN_WAIT2->CLOSE, no error) or not (ECONNRESET, though no RST came:
 * tcp_rcv_state_process()). Since our FIN then segments with data came, and none was taken.
 */
tt_inline bool tt_came_too_late(const struct tcp_sock *tp, const struct tt_life *life)
{
	if (!life || !life->finished || life->rcv_nxt != tp->rcv_nxt ||
	    life->data_segs_in == tp->data_segs_in)
		return false;
	return BPF_CORE_READ_BITFIELD_PROBED(&tp->inet_conn.icsk_inet.sk, sk_shutdown) &
	       RCV_SHUTDOWN;
}

/* Without an error: whether it ended with both sides' FIN, and none was cut off by a RST. */
tt_inline bool tt_ended_by_fin(const struct tt_open_row *row, const struct tcp_sock *tp,
			       __u8 timewait, const struct tt_life *life)
{
	const bool acked = tp->snd_una == tp->write_seq;

	switch (row->state) {
	case TT_FIN_WAIT2:
		return timewait == TT_TIME_WAIT || (timewait && !tt_came_too_late(tp, life));
	case TT_LAST_ACK:
	case TT_CLOSING:
		/* closed with data unread, or (SO_LINGER 0) unsent; else nothing more is sent */
		return acked || (!row->recv_queue && tp->snd_nxt == tp->write_seq);
	default:
		return false;
	}
}

/*
 * Without an error it is our side's doing: close() with data unread, SO_LINGER 0 or connect() to
 * nowhere, which send a RST in every state but SYN_SENT (tcp_need_reset()); of one that was taken
 * down to be set up elsewhere (TCP_REPAIR) nothing is sent.
 */
tt_inline tt_end_t tt_end_of(const struct tcp_sock *tp, const struct tt_sock *sock, int error,
			     const struct tt_open_row *row, __u8 timewait,
			     const struct tt_life *life)
{
	const bool attempt = row->state == TT_SYN_SENT || row->state == TT_SYN_RECV;

	switch (error) {
	case 0:
		if (tt_ended_by_fin(row, tp, timewait, life))
			return TT_END_FIN;
		if (row->state == TT_SYN_SENT || BPF_CORE_READ_BITFIELD_PROBED(tp, repair))
			return TT_END_ABORTED;
		return TT_END_RST_SENT;
	case ECONNABORTED:
		return TT_END_KILLED;
	case ETIMEDOUT:
		return TT_END_TIMEOUT;
	case ECONNRESET:
	case EPIPE:
		if (sock->is & TT_SOCK_LATE_DATA || tt_came_too_late(tp, life))
			return TT_END_RST_SENT;
		return TT_END_RST_RECEIVED;
	case ECONNREFUSED:
		/* an ICMP message may say the same, and is no segment */
		if (attempt && tp->segs_in)
			return TT_END_RST_RECEIVED;
		/* fall through */
	default: /* what ICMP messages said, of an attempt at once, else once it has timed out */
		return attempt ? TT_END_ABORTED : TT_END_TIMEOUT;
	}
}

tt_inline tt_closed_by_t tt_closed_by(int old, __u16 visited)
{
	visited |= 1U << old;
	if (visited & 1U << TT_CLOSING)
		return TT_CLOSED_BY_BOTH;
	if (visited & (1U << TT_FIN_WAIT1 | 1U << TT_FIN_WAIT2))
		return TT_CLOSED_BY_LOCAL;
	if (visited & (1U << TT_CLOSE_WAIT | 1U << TT_LAST_ACK))
		return TT_CLOSED_BY_REMOTE;
	return TT_CLOSED_BY_ABORT;
}

/* How old it is, exactly or at least: what the kernel's own stamps say, or for how long it was
 * watched. `opened_ns` as struct tt_life has it, `old`: its state, or the one it has left.
 */
tt_inline tt_ns tt_measure_life(const struct tcp_sock *tp, tt_mono_ns opened_ns, int old,
				tt_mono_ns now, struct tt_open_row *row, tt_dwell_is_t *is)
{
	tt_ns watched;

	if (opened_ns) {
		*is = TT_DWELL_EXACT;
		return now - opened_ns;
	}
	*is = TT_DWELL_AT_LEAST;
	if (old == TT_SYN_SENT)
		tt_measure_attempt(row, tp);
	else
		tt_measure_ages(row, tp, bpf_jiffies64());
	/* one that there was no room to keep may be younger than the tracer */
	watched = tt_control.map_full ? 0 : now - tt_control.attached_ns;
	return row->life_ns > watched ? row->life_ns : watched;
}

tt_inline void tt_recall_life(struct tt_connection *event, const struct tt_life *life)
{
	event->visited = life->visited;
	event->closing_ns[0] = life->closing_ns[0];
	event->closing_ns[1] = life->closing_ns[1];
	event->syn_sent_us = life->syn_sent_us;
	event->syn_recv_us = life->syn_recv_us;
	event->accept_wait_us = life->accept_wait_us;
}

/* What the kernel counted of it. */
tt_inline void tt_sum_up(struct tt_connection *event, const struct sock *sk,
			 const struct tcp_sock *tp, struct tt_open_row *row)
{
	const struct sock_common *skc = &sk->__sk_common;

	tt_measure_bytes(row, skc, tp);
	tt_measure_limits(row, tp, bpf_jiffies64());
	tt_measure_keepalive(row, skc, tp);
	event->tx_bytes = row->tx_bytes;
	event->rx_bytes = row->rx_bytes;
	event->retransmit_bytes = row->retransmit_bytes;
	event->segs_out = row->segs_out;
	event->segs_in = row->segs_in;
	event->retransmits = row->retransmits;
	event->recv_queue = row->recv_queue;
	event->send_queue = row->send_queue;
	event->busy_ns = row->busy_ns;
	event->rwnd_limited_ns = row->rwnd_limited_ns;
	event->sndbuf_limited_ns = row->sndbuf_limited_ns;
	event->keepalive_idle_ms = row->keepalive_idle_ms;
	event->keepalive_interval_ms = row->keepalive_interval_ms;
	event->keepalive_probes = row->keepalive_probes;
	event->srtt_us = tp->srtt_us >> 3;
	event->min_rtt_us = tp->rtt_min.s[0].v == NO_RTT ? 0 : tp->rtt_min.s[0].v;
	event->cwnd = tp->snd_cwnd;
	event->mss = tp->mss_cache;
	BPF_CORE_READ_INTO(&event->congestion, tp, inet_conn.icsk_ca_ops, name);
	if (!event->role)
		event->role = row->role;
}

tt_inline void tt_tell_connection(void *ctx, const struct sock *sk,
				  const struct tt_state *transition, const struct tt_sock *sock,
				  struct tt_bench *bench, struct tt_stats *stats)
{
	const struct tcp_sock *tp = bpf_skc_to_tcp_sock((void *)sk);
	const struct tt_life *life = tt_find_life(transition->head.cookie);
	struct tt_large *large = &bench->large;
	struct tt_connection *event = &large->connection;
	struct tt_open_row *row = &bench->open;
	int old = transition->old;

	/* a duplicate child, made on two CPUs at once and thrown away on one, has no error, nor
	 * data as one of TCP_FASTOPEN may
	 */
	if (!tp || (old == TT_SYN_RECV && !sk->sk_err && !(sock->is & TT_SOCK_CONNECTING) &&
		    !tp->bytes_received))
		return;
	__builtin_memset(large, 0, sizeof(*large));
	__builtin_memset(row, 0, sizeof(*row));
	row->state = old;
	row->head.mono_ns = transition->head.mono_ns;
	event->head = transition->head;
	event->head.kind = TT_KIND_CONNECTION;
	event->uid = transition->uid;
	event->old = old;
	if (life)
		tt_recall_life(event, life);
	event->life_ns = tt_measure_life(tp, life ? life->opened_ns : 0, old, event->head.mono_ns,
					 row, &event->life_is);
	tt_measure_queues(row, &sk->__sk_common, tp);
	event->error = tt_read_end_error(sk, old);
	event->end = tt_end_of(tp, sock, event->error, row, transition->timewait, life);
	event->closed_by = tt_closed_by(old, event->visited);
	tt_roads_meet();
	old = transition->old;
	if (!tt_admit(stats, TT_KIND_CONNECTION, &event->head, event->uid,
		      1U << old | 1U << TT_CLOSE, sock->marks,
		      tt_refuses_end(event->end != TT_END_FIN, event->life_ns)) ||
	    !CFG(stream))
		return;
	event->uid = sk->sk_uid.val;
	event->listener_cookie = sock->listener_cookie;
	event->handshake_us = sock->handshake_us;
	if (event->visited & 1U << TT_SYN_SENT || old == TT_SYN_SENT)
		event->role = TT_ROLE_ACTIVE;
	else if (event->listener_cookie)
		event->role = TT_ROLE_PASSIVE;
	if (event->role == TT_ROLE_ACTIVE && event->visited & 1U << TT_SYN_SENT &&
	    old != TT_SYN_SENT)
		event->handshake_us = event->syn_sent_us + event->syn_recv_us;
	/* connect() found no port of its own, and sent nothing */
	if (old == TT_SYN_SENT && !event->error && !event->head.lport)
		event->error = EADDRNOTAVAIL;
	tt_sum_up(event, sk, tp, row);
	event->head.oncpu_pid = bpf_get_current_pid_tgid() >> 32;
	tt_send(ctx, tt_large, TT_KIND_CONNECTION, large, stats);
}

#endif
