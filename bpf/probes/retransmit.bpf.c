/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Segments that are sent again, and why. Both tracepoints stand where the kernel has counted
 * and sent: __tcp_retransmit_skb() adds tcp_skb_pcount() to RetransSegs, one for a packet with
 * SYN to TCPSynRetrans; tcp_rtx_synack() adds one to each. What the machine's own queues or
 * rules refused is in RetransSegs, and in TCPRetransFail, and not told of.
 *
 * Why is told by the state it is done in (net/ipv4/tcp_timer.c, tcp_output.c, tcp_input.c):
 * - tcp_write_timer_handler() clears icsk_pending before tcp_retransmit_timer(), which goes
 *   into TCP_CA_Loss and sends the head of the queue: RTO. With data under way some timer
 *   is pending in all other places.
 * - tcp_xmit_retransmit_queue() goes on as ACKs come: in TCP_CA_Loss it counts that as
 *   TCPSlowStartRetrans, else as TCPFastRetrans, where the state is TCP_CA_Recovery.
 * - tcp_send_loss_probe() runs with ICSK_TIME_LOSS_PROBE pending, and clears it afterwards. In
 *   TCP_CA_Recovery that is left over: the timer was set before ACKs told of the loss.
 *
 * Attach: tp_btf. tcp_retransmit_skb may be in process context, as a socket's backlog is
 * worked off, and be broken into by a softirq that sends again too: the program is then
 * skipped, which the kernel counts. SYN-ACKs are sent again in softirqs alone.
 */
#include "../emit.h"
#include "../handshake.h"
#include "../marks.h"
#include "../measure.h"
#include "../sock.h"
#include "../socks.h"

#define TCPHDR_SYN 0x02
#define TCPHDR_ACK 0x10

/* Segments of a connection that were sent again, by their first byte's number on the wire. */
struct tt_resent_key {
	tt_cookie cookie;
	__u32 seq;
	__u32 reserved;
};

struct tt_resent {
	__u32 end;
	__u16 times;
	__u16 for_lost; /* one of those times at least because it was taken for lost */
};

/* There is no hook where they are acknowledged: the oldest make room, and are met as new. */
MAP_OF(LRU_HASH, tt_resents, struct tt_resent_key, struct tt_resent, 16384);

/* What is read of the packet. */
struct tt_segment {
	__u32 seq;
	__u32 end;
	__u32 length;
	__u16 segments;
	__u8 flags;
};

tt_inline void tt_read_segment(const struct sk_buff *skb, struct tt_segment *segment)
{
	const struct tcp_skb_cb *cb = (const void *)&skb->cb;

	bpf_core_read(&segment->seq, sizeof(segment->seq), &cb->seq);
	bpf_core_read(&segment->end, sizeof(segment->end), &cb->end_seq);
	bpf_core_read(&segment->segments, sizeof(segment->segments), &cb->tcp_gso_segs);
	bpf_core_read(&segment->flags, sizeof(segment->flags), &cb->tcp_flags);
	segment->length = skb->len;
}

tt_inline tt_resend_t tt_why_again(const struct tcp_sock *tp, __u8 flags)
{
	const __u8 state = BPF_CORE_READ_BITFIELD_PROBED(&tp->inet_conn, icsk_ca_state);
	const __u8 pending = tp->inet_conn.icsk_pending;

	if (flags & TCPHDR_SYN)
		return flags & TCPHDR_ACK ? TT_RESEND_SYNACK : TT_RESEND_SYN;
	if (state == TCP_CA_LOSS)
		return pending ? TT_RESEND_SLOW_START : TT_RESEND_RTO;
	if (state == TCP_CA_RECOVERY)
		return TT_RESEND_FAST;
	return pending == ICSK_TIME_LOSS_PROBE ? TT_RESEND_TLP : TT_RESEND_OTHER;
}

/*
 * How often it was sent again by now, since tracing began. A later time may send less of it
 * (at first a single segment, after a timeout): what is left keeps its past.
 */
tt_inline void tt_count_times(struct tt_retransmit *event, const struct tt_segment *segment)
{
	struct tt_resent_key key = {.cookie = event->head.cookie, .seq = segment->seq};
	struct tt_resent *before = MAP_GET(tt_resents, &key);
	struct tt_resent now = {
		.end = segment->end, .times = 1, .for_lost = event->type != TT_RESEND_TLP};

	if (before) {
		struct tt_resent rest = *before;

		event->lost_again = rest.for_lost;
		now.times += rest.times;
		now.for_lost |= rest.for_lost;
		if ((__s32)(rest.end - segment->end) > 0) {
			struct tt_resent_key behind = {.cookie = key.cookie, .seq = segment->end};

			MAP_PUT(tt_resents, &behind, &rest, BPF_NOEXIST);
		}
	}
	MAP_PUT(tt_resents, &key, &now, BPF_ANY);
	event->nth = now.times;
}

/*
 * From the first byte ever sent: what was acknowledged so far, and how far behind that it is.
 * A connection that was opened here had its SYN acknowledged as well (RFC 4898).
 */
tt_inline void tt_place_segment(struct tt_retransmit *event, const struct tcp_sock *tp,
				const struct tt_segment *segment, struct tt_open_row *row,
				const struct tt_sock *sock)
{
	bool passive = sock && sock->listener_cookie;

	row->state = event->state;
	row->role = TT_ROLE_UNKNOWN;
	tt_measure_sent(row, tp);
	if (!passive && row->role == TT_ROLE_UNKNOWN) {
		event->seq = segment->seq;
		event->seq_is = TT_SEQ_ABSOLUTE;
		return;
	}
	event->seq = tp->bytes_acked + (__u32)(segment->seq - tp->snd_una);
	event->seq -= !passive && row->role == TT_ROLE_ACTIVE;
	event->seq_is = TT_SEQ_RELATIVE;
}

tt_inline void tt_measure_again(struct tt_retransmit *event, const struct tcp_sock *tp,
				const struct tt_segment *segment)
{
	event->length = segment->length;
	event->segments = segment->segments;
	event->rto_us = (__u64)tp->inet_conn.icsk_rto * CFG(tick_ns) / 1000;
	event->srtt_us = tp->srtt_us >> 3;
	event->cwnd = tp->snd_cwnd;
}

tt_inline void tt_owned_by(struct tt_retransmit *event, const struct tt_sock *sock)
{
	event->head.pid = sock->owner.pid;
	event->head.start = sock->owner.start;
	event->head.cgroup_id = sock->owner.cgroup_id;
	event->head.owner_is = sock->owner_is;
	event->listener_cookie = sock->listener_cookie;
}

tt_inline bool tt_admit_again(struct tt_stats *stats, const struct tt_retransmit *event,
			      tt_marks marks)
{
	return tt_admit(stats, TT_KIND_RETRANSMIT, &event->head, event->uid, 1U << event->state,
			marks, tt_refuses_end(false, 0));
}

/* All that is told of it beside whose it is. */
tt_inline void tt_sum_up_again(struct tt_retransmit *event, const struct tcp_sock *tp,
			       const struct sk_buff *skb, struct tt_open_row *row,
			       const struct tt_sock *sock)
{
	struct tt_segment segment = {};

	tt_read_segment(skb, &segment);
	event->type = tt_why_again(tp, segment.flags);
	if (segment.flags & TCPHDR_SYN) {
		event->nth = tp->total_retrans;
		/* its timer took the one before for lost */
		event->lost_again = event->nth > 1;
	} else {
		tt_count_times(event, &segment);
		tt_place_segment(event, tp, &segment, row, sock);
	}
	tt_measure_again(event, tp, &segment);
	event->head.oncpu_pid = bpf_get_current_pid_tgid() >> 32;
}

PROBE_BTF("tcp_retransmit_skb")
int TT_PROG(tt_retransmit)
{
	const struct sock *sk = (const void *)ctx[0];
	const struct sk_buff *skb = (const void *)ctx[1];
	__u32 slot = TT_SLOT_RESEND;
	struct tt_stats *stats = tt_get_stats(slot);
	struct tt_bench *bench = MAP_GET(tt_benches, &slot);
	const struct tcp_sock *tp = bpf_skc_to_tcp_sock((void *)sk);
	struct tt_retransmit *event;
	struct tt_sock *sock;

	if (!stats || !bench || !tp || !tt_is_live() || tt_was_not_resent(ctx))
		return 0;
	event = &bench->large.retransmit;
	__builtin_memset(event, 0, sizeof(*event));
	event->head.netns = tt_read_netns(&sk->__sk_common, true);
	event->head.cookie = tt_get_cookie(sk);
	event->head.mono_ns = bpf_ktime_get_ns();
	event->head.kind = TT_KIND_RETRANSMIT;
	event->state = sk->__sk_common.skc_state & 15;
	event->uid = tt_read_uid(sk, true);
	tt_read_tuple(&sk->__sk_common, &event->head, true);
	sock = tt_find_sock(event->head.cookie);
	if (sock) {
		tt_mark_again(sock);
		tt_owned_by(event, sock);
	} else if (tt_control.map_full) {
		/* there was no room to keep it: it may be one that is asked for */
		if (tt_admit_again(stats, event, TT_MARK_WANTED))
			stats->lost_map[TT_KIND_RETRANSMIT]++;
		return 0;
	}
	if (!tt_admit_again(stats, event, sock ? sock->marks : 0) || !CFG(stream))
		return 0;
	tt_sum_up_again(event, tp, skb, &bench->open, sock);
	tt_send(ctx, tt_large, TT_KIND_RETRANSMIT, &bench->large, stats);
	return 0;
}

/* The final ACK had come: there was no room, or TCP_DEFER_ACCEPT waited for data. */
tt_inline tt_acked_t tt_had_ack(const struct request_sock *req, const struct sock *listener)
{
	const struct inet_connection_sock *icsk = (const void *)listener;
	__u32 depth, max;
	__u8 defer;

	if (!BPF_CORE_READ_BITFIELD_PROBED((const struct inet_request_sock *)req, acked))
		return TT_ACKED_NO;
	bpf_core_read(&defer, sizeof(defer), &icsk->icsk_accept_queue.rskq_defer_accept);
	bpf_core_read(&depth, sizeof(depth), &listener->sk_ack_backlog);
	bpf_core_read(&max, sizeof(max), &listener->sk_max_ack_backlog);
	return !defer || depth > max ? TT_ACKED_QUEUE_FULL : TT_ACKED_DEFERRED;
}

/* Whose a SYN-ACK is: the listener's, or with TCP Fast Open that of a child that is there already.
 */
tt_inline tt_marks tt_own_synack(struct tt_retransmit *event, const struct sock *sk)
{
	tt_cookie cookie = tt_read_cookie(&sk->__sk_common);
	struct tt_listener *listener = MAP_GET(tt_listeners, &cookie);
	struct tt_sock *child;

	if (listener) {
		event->listener_cookie = cookie;
		event->head.pid = listener->owner.pid;
		event->head.start = listener->owner.start;
		event->head.cgroup_id = listener->owner.cgroup_id;
		event->head.owner_is = listener->owner.pid ? TT_OWNER_LISTENER : TT_OWNER_KERNEL;
		return tt_marks_of_listener(listener);
	}
	child = tt_find_sock(cookie);
	if (!child)
		return 0;
	event->head.cookie = cookie;
	tt_owned_by(event, child);
	return child->marks;
}

tt_inline void tt_tell_synack(void *ctx, const struct sock *sk, const struct request_sock *req,
			      struct tt_bench *bench, struct tt_stats *stats)
{
	struct tt_retransmit *event = &bench->large.retransmit;
	tt_marks marks;
	__u8 again = 0;

	event->head.mono_ns = bpf_ktime_get_ns();
	event->head.kind = TT_KIND_RETRANSMIT;
	event->head.cookie = tt_read_cookie(&req->__req_common);
	event->type = TT_RESEND_SYNACK;
	event->state = TT_NEW_SYN_RECV;
	event->uid = tt_read_uid(sk, true);
	marks = tt_own_synack(event, sk);
	event->segments = 1;
	bpf_core_read(&again, sizeof(again), &req->num_retrans);
	event->nth = again + 1; /* counted once it is told of: inet_rtx_syn_ack() */
	event->acked = tt_had_ack(req, sk);
	if (!tt_admit_again(stats, event, marks) || !CFG(stream))
		return;
	event->head.oncpu_pid = bpf_get_current_pid_tgid() >> 32;
	tt_send(ctx, tt_large, TT_KIND_RETRANSMIT, &bench->large, stats);
}

/* A SYN-ACK goes out once more: for who tells of that, and of how long a handshake took. */
PROBE_BTF("tcp_retransmit_synack")
int BPF_PROG(tt_synack_again, const struct sock *sk, const struct request_sock *req)
{
	__u32 slot = TT_SLOT_TIMER;
	struct tt_stats *stats = tt_get_stats(slot);
	struct tt_bench *bench = MAP_GET(tt_benches, &slot);
	struct tt_head *head;

	if (!stats || !bench)
		return 0;
	head = &bench->large.retransmit.head;
	__builtin_memset(&bench->large.retransmit, 0, sizeof(bench->large.retransmit));
	head->netns = tt_read_netns(&req->__req_common, false);
	tt_read_tuple(&req->__req_common, head, false);
	if (CFG(kinds) & 1U << TT_KIND_HANDSHAKE) {
		tt_keep_synack(req, head);
		if (tt_is_live())
			tt_count_synack(head);
	}
	if (CFG(kinds) & 1U << TT_KIND_RETRANSMIT && tt_is_live())
		tt_tell_synack(ctx, sk, req, bench, stats);
	return 0;
}
