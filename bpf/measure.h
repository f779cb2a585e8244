/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the kernel keeps of an open socket, as people count it: bytes of payload, nanoseconds. */
#ifndef TT_MEASURE_H
#define TT_MEASURE_H

#include "maps.h"
#include "sock.h"

#define NO_RTT (~0U) /* tcp_min_rtt() of one that was never measured */

/* Since a stamp of the kernel's tcp_jiffies32. */
tt_inline tt_ns tt_since(__u32 stamp, __u32 jiffies)
{
	return (__u64)(__u32)(jiffies - stamp) * CFG(tick_ns);
}

/*
 * How long one has at least been in CLOSE_WAIT, 0: not known. The FIN came with
 * an ACK, so what was acknowledged last was then or later; less a tick, for a
 * stamp may be of the very end of one. (tcp_ack(), net/ipv4/tcp_input.c)
 */
tt_inline tt_ns tt_in_close_wait(const struct tcp_sock *tp, __u32 jiffies)
{
	tt_ns since = tp->rcv_tstamp ? tt_since(tp->rcv_tstamp, jiffies) : 0;

	return since > CFG(tick_ns) ? since - CFG(tick_ns) : 0;
}

tt_inline bool tt_had_fin(const struct sock_common *skc)
{
	return skc->skc_flags & (1UL << SOCK_DONE);
}

/* Whether our FIN was written and the peer has not acknowledged it. */
tt_inline bool tt_fin_waits(__u8 state)
{
	return state == TT_FIN_WAIT1 || state == TT_CLOSING || state == TT_LAST_ACK;
}

/*
 * Unread and unacknowledged bytes. The sequence numbers count a SYN and a FIN
 * as well, which no one reads or wrote.
 */
tt_inline void tt_measure_queues(struct tt_open_row *row, const struct sock_common *skc,
				 const struct tcp_sock *tp)
{
	__s32 unread = tp->rcv_nxt - tp->copied_seq;
	__s32 unacked = tp->write_seq - tp->snd_una;

	unread -= unread > 0 && tt_had_fin(skc);
	if (row->state == TT_SYN_SENT || row->state == TT_SYN_RECV || tt_fin_waits(row->state))
		unacked -= unacked > 0;
	row->recv_queue = unread > 0 ? unread : 0;
	row->send_queue = unacked > 0 ? unacked : 0;
}

/*
 * Payload sent, each byte once, and who began. What was acknowledged and what is
 * under way is exact, and of one that connected has its SYN in it (RFC 4898); a
 * child begins behind its SYN-ACK. What the kernel counts as sent has no SYN, but
 * twice what the machine's own queue refused: where that befell, only a child
 * that keeps its listener's backlog (sk_clone() copies it) tells who it is.
 */
tt_inline void tt_measure_sent(struct tt_open_row *row, const struct tcp_sock *tp)
{
	const bool child = tp->inet_conn.icsk_inet.sk.sk_max_ack_backlog;
	const __u64 counted = tp->bytes_sent - tp->bytes_retrans;
	__u64 sent = tp->bytes_acked + (__u32)(tp->snd_nxt - tp->snd_una);
	__u64 syn;

	sent -= row->state == TT_FIN_WAIT2 ||
		(tt_fin_waits(row->state) && tp->snd_nxt == tp->write_seq);
	syn = sent - counted;
	if (child || syn == 0)
		row->role = TT_ROLE_PASSIVE;
	else if (syn == 1)
		row->role = TT_ROLE_ACTIVE;
	row->tx_bytes = syn <= 1 ? counted : sent - !child;
}

tt_inline void tt_measure_bytes(struct tt_open_row *row, const struct sock_common *skc,
				const struct tcp_sock *tp)
{
	tt_measure_sent(row, tp);
	row->rx_bytes = tp->bytes_received;
	if (row->rx_bytes && tt_had_fin(skc))
		row->rx_bytes--;
	row->retransmit_bytes = tp->bytes_retrans;
	row->segs_out = tp->segs_out;
	row->segs_in = tp->segs_in;
	row->retransmits = tp->total_retrans;
}

/* How long it had something to send and what held it up: tcp_get_info_chrono_stats(). */
tt_inline void tt_measure_limits(struct tt_open_row *row, const struct tcp_sock *tp, __u32 jiffies)
{
	const __u32 now = BPF_CORE_READ_BITFIELD(tp, chrono_type);
	const __u32 running = jiffies - tp->chrono_start;
	__u32 busy = tp->chrono_stat[0], rwnd = tp->chrono_stat[1], sndbuf = tp->chrono_stat[2];

	busy += now == 1 ? running : 0;
	rwnd += now == 2 ? running : 0;
	sndbuf += now == 3 ? running : 0;
	row->rwnd_limited_ns = (__u64)rwnd * CFG(tick_ns);
	row->sndbuf_limited_ns = (__u64)sndbuf * CFG(tick_ns);
	row->busy_ns = (__u64)busy * CFG(tick_ns) + row->rwnd_limited_ns + row->sndbuf_limited_ns;
}

tt_inline void tt_measure_keepalive(struct tt_open_row *row, const struct sock_common *skc,
				    const struct tcp_sock *tp)
{
	__u32 idle = tp->keepalive_time, interval = tp->keepalive_intvl;
	__u8 probes = tp->keepalive_probes;
	struct net *net;

	if (!(skc->skc_flags & (1UL << SOCK_KEEPOPEN)))
		return;
	bpf_core_read(&net, sizeof(net), &skc->skc_net.net);
	if (!idle)
		bpf_core_read(&idle, sizeof(idle), &net->ipv4.sysctl_tcp_keepalive_time);
	if (!interval)
		bpf_core_read(&interval, sizeof(interval), &net->ipv4.sysctl_tcp_keepalive_intvl);
	if (!probes)
		bpf_core_read(&probes, 1, &net->ipv4.sysctl_tcp_keepalive_probes);
	row->keepalive_idle_ms = (__u64)idle * CFG(tick_ns) / 1000000;
	row->keepalive_interval_ms = (__u64)interval * CFG(tick_ns) / 1000000;
	row->keepalive_probes = probes;
}

/* What may come before it is read. SOCK_RCVBUF_LOCK is 2 (include/net/sock.h). */
tt_inline void tt_measure_room(struct tt_open_row *row, const struct tcp_sock *tp)
{
	const struct sock *sk = &tp->inet_conn.icsk_inet.sk;

	row->rcv_window = tp->rcv_wnd;
	row->rcvbuf = sk->sk_rcvbuf;
	if (BPF_CORE_READ_BITFIELD(sk, sk_userlocks) & 2)
		row->flags |= TT_OPEN_RCVBUF_SET;
}

/*
 * When data was last sent and received, and how old it is by that. The stamp of
 * the last data sent is set when the handshake ends (tcp_finish_connect(),
 * tcp_create_openreq_child()): until data is sent it says when that was.
 */
tt_inline void tt_measure_ages(struct tt_open_row *row, const struct tcp_sock *tp, __u32 jiffies)
{
	const __u32 received = tp->inet_conn.icsk_ack.lrcvtime;

	if (tp->rcv_tstamp)
		row->last_ack_ns = tt_since(tp->rcv_tstamp, jiffies);
	row->life_ns = tt_since(tp->lsndtime, jiffies);
	row->life_is = tp->data_segs_out ? TT_DWELL_AT_LEAST : TT_DWELL_EXACT;
	if (tp->data_segs_out) {
		row->flags |= TT_OPEN_SENT;
		row->last_sent_ns = row->life_ns;
	}
	if (row->rx_bytes && received) {
		row->flags |= TT_OPEN_RECEIVED;
		row->last_received_ns = tt_since(received, jiffies);
	}
	if (row->life_is == TT_DWELL_EXACT)
		return;
	if (row->life_ns < row->last_received_ns)
		row->life_ns = row->last_received_ns;
	if (row->life_ns < row->last_ack_ns)
		row->life_ns = row->last_ack_ns;
	if (row->life_ns < row->busy_ns)
		row->life_ns = row->busy_ns;
}

/* Since the first SYN: tcp_connect() notes it, in ms if not told otherwise. */
tt_inline void tt_measure_attempt(struct tt_open_row *row, const struct tcp_sock *tp)
{
	__u32 now_ms = row->head.mono_ns / 1000000;

	if (tt_stamps_are_us(tp))
		return;
	if (!tp->retrans_stamp)
		return;
	row->life_ns = (__u64)(__u32)(now_ms - tp->retrans_stamp) * 1000000;
	row->age_ns = row->life_ns;
	row->age_is = TT_DWELL_EXACT;
}

/* A full socket, locked while the iterator shows it. */
tt_inline void tt_measure(struct tt_open_row *row, const struct sock_common *skc,
			  const struct tcp_sock *tp)
{
	const struct socket *socket = tp->inet_conn.icsk_inet.sk.sk_socket;
	const struct tcp_congestion_ops *control = tp->inet_conn.icsk_ca_ops;
	const __u32 jiffies = bpf_jiffies64();

	row->flags |= TT_OPEN_FULL;
	if (skc->skc_flags & (1UL << SOCK_DEAD))
		row->flags |= TT_OPEN_ORPHAN;
	if (socket) {
		row->flags |= TT_OPEN_TAKEN;
		if (CFG(inodes)) /* each lies where nothing else is read */
			bpf_core_read(&row->inode, sizeof(row->inode),
				      &((const struct socket_alloc *)socket)->vfs_inode.i_ino);
	}
	row->uid = tp->inet_conn.icsk_inet.sk.sk_uid.val;
	if (row->state == TT_LISTEN) {
		/* as `ss` has it: what waits for accept(), and how much may */
		row->recv_queue = tp->inet_conn.icsk_inet.sk.sk_ack_backlog;
		row->send_queue = tp->inet_conn.icsk_inet.sk.sk_max_ack_backlog;
		return;
	}
	tt_measure_queues(row, skc, tp);
	tt_measure_bytes(row, skc, tp);
	row->srtt_us = tp->srtt_us >> 3;
	row->min_rtt_us = tp->rtt_min.s[0].v == NO_RTT ? 0 : tp->rtt_min.s[0].v;
	row->cwnd = tp->snd_cwnd;
	row->mss = tp->mss_cache;
	bpf_core_read(&row->congestion, sizeof(row->congestion), &control->name);
	tt_measure_limits(row, tp, jiffies);
	tt_measure_keepalive(row, skc, tp);
	tt_measure_room(row, tp);
	if (row->state == TT_SYN_SENT)
		tt_measure_attempt(row, tp);
	else
		tt_measure_ages(row, tp, jiffies);
	if (row->state == TT_ESTABLISHED) {
		row->age_ns = row->life_ns;
		row->age_is = row->life_is;
	} else if (row->state == TT_CLOSE_WAIT) {
		row->age_ns = tt_in_close_wait(tp, jiffies);
	}
}

#endif
