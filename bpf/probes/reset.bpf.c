/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * RSTs: each that is sent, and each that ends a connection or an attempt at one here.
 *
 * tcp_send_reset is told of every RST that the namespace's OutRsts counts: of those that break off
 * a connection without a packet, of those that answer one with the packet (`skb`) and the socket
 * it came to, if there is any: a listener, a mini-socket or, where nobody listens, none.
 *
 * tcp_receive_reset is told before the state and sk_err change; also where no RST came, but data
 * to a socket that was closed, which our side then answers with one. The tracepoint has no packet;
 * but the kernel's stack says which function called tcp_reset(): that which looks at the RST bit
 * (tcp_validate_incoming()), or that which takes the data (tcp_rcv_state_process()).
 *
 * Attach: tp_btf. The arguments of tcp_send_reset may be NULL, and older verifiers take them for
 * never that (before Linux commit 838a10bd2ebf ("bpf: Augment raw_tp arguments with
 * PTR_MAYBE_NULL") (in v6.13)), so they are looked at as plain numbers, too.
 */
#include "../broken.h"
#include "../ending.h"
#include "../packet.h"
#include "../ports_held.h"
#include "../rate.h"
#include "../reset_counts.h"

#define TT_DEEPEST                                                                                 \
	12 /* of the kernel's stack: our own frames, the tracepoint's, then its caller's */
#define TT_CODE_SPANS 2

/* Where the kernel's functions lie: user space finds it before anything is told. 0: not known. */
struct tt_reset_setup {
	__u64 reset_from[TT_CODE_SPANS]; /* tcp_reset() */
	__u64 reset_to[TT_CODE_SPANS];
	__u64 data_from[TT_CODE_SPANS]; /* tcp_rcv_state_process() */
	__u64 data_to[TT_CODE_SPANS];
};

CONTROL(struct tt_reset_setup, tt_reset_setup);

struct tt_stack {
	__u64 at[TT_DEEPEST];
};

MAP_OF(PERCPU_ARRAY, tt_stacks, __u32, struct tt_stack, 1);

tt_inline bool tt_is_at(const __u64 *from, const __u64 *to, __u64 address)
{
	return (address >= from[0] && address < to[0]) || (address >= from[1] && address < to[1]);
}

/* Whether the function that takes data called tcp_reset(). */
tt_inline bool tt_came_with_data(void *ctx)
{
	__u32 zero = 0;
	struct tt_stack *stack = MAP_GET(tt_stacks, &zero);
	bool inside = false;
	long size;

	if (!stack || !tt_reset_setup.reset_from[0])
		return false;
	size = bpf_get_stack(ctx, stack->at, sizeof(stack->at), 0);
	for (int i = 0; i < TT_DEEPEST; i++) {
		if ((long)(i * sizeof(__u64)) >= size)
			return false;
		if (inside)
			return tt_is_at(tt_reset_setup.data_from, tt_reset_setup.data_to,
					stack->at[i]);
		inside = tt_is_at(tt_reset_setup.reset_from, tt_reset_setup.reset_to, stack->at[i]);
	}
	return false;
}

/* What is measured of a connection, in the state that it was in. */
tt_inline void tt_measure_broken(struct tt_reset *event, const struct sock_common *skc,
				 const struct tcp_sock *tp, const struct tt_was *was,
				 struct tt_open_row *row)
{
	row->state = was->state;
	row->head.mono_ns = event->head.mono_ns;
	event->listener_cookie = was->listener_cookie;
	tt_measure_queues(row, skc, tp);
	tt_measure_bytes(row, skc, tp);
	event->tx_bytes = row->tx_bytes;
	event->rx_bytes = row->rx_bytes;
	event->recv_queue = row->recv_queue;
	event->send_queue = row->send_queue;
	event->life_ns = tt_measure_life(tp, was->opened_ns, was->state, event->head.mono_ns, row,
					 &event->life_is);
	if (was->state == TT_SYN_SENT)
		return;
	tt_measure_ages(row, tp, bpf_jiffies64());
	event->flags = row->flags & (TT_OPEN_SENT | TT_OPEN_RECEIVED);
	event->last_sent_ns = row->last_sent_ns;
	event->last_received_ns = row->last_received_ns;
	event->last_ack_ns = row->last_ack_ns;
}

tt_inline bool tt_is_dead(const struct sock *sk)
{
	return sk->__sk_common.skc_flags & (1UL << SOCK_DEAD);
}

/*
 * Who broke off one that has not come to CLOSE yet. tcp_abort() alone does so while it has the
 * socket to itself, as a process has it; its error is set before, or later (since Linux commit
 * 5ce4645c23cf ("tcp: fix races in tcp_abort()") (in v6.11, and in what is kept up of older ones)).
 * Older kernels give no reason (before v6.12); there timers are told apart by less.
 */
tt_inline tt_reset_by_t tt_broken_by(const struct sock *sk, int state, tt_rst_reason reason)
{
	if (tt_is_for_keepalive(reason))
		return TT_RESET_BY_KEEPALIVE;
	if (tt_is_for_memory(reason))
		return TT_RESET_BY_KERNEL;
	if (sk->sk_err == ECONNABORTED || sk->sk_lock.owned)
		return TT_RESET_BY_KILLED;
	if (state == TT_FIN_WAIT2 && tt_is_dead(sk))
		return TT_RESET_BY_NO_FIN;
	if (tt_reset_why_is_told())
		return TT_RESET_BY_KILLED;
	if (sk->__sk_common.skc_flags & (1UL << SOCK_KEEPOPEN))
		return TT_RESET_BY_KEEPALIVE;
	return TT_RESET_BY_KERNEL;
}

/* Who broke off one that has come to CLOSE: a close() looks at these in this order. */
tt_inline tt_reset_by_t tt_closed_how(const struct sock *sk, const struct tcp_sock *tp,
				      const struct tt_was *was, const struct tt_reset *event)
{
	if (sk->sk_shutdown != SHUTDOWN_MASK)
		return tt_has_file(sk) ? TT_RESET_BY_DISCONNECT : TT_RESET_BY_LISTENER_CLOSED;
	if (was->state == TT_FIN_WAIT2 && tp->linger2 < 0)
		return TT_RESET_BY_LINGER2;
	if (event->recv_queue)
		return TT_RESET_BY_APP_CLOSE_UNREAD;
	if (sk->__sk_common.skc_flags & (1UL << SOCK_LINGER) && !sk->sk_lingertime)
		return TT_RESET_BY_LINGER0;
	return TT_RESET_BY_KERNEL;
}

/* What the application gets of it; 0: nothing, it has let go of the socket. */
tt_inline int tt_error_of_sent(const struct sock *sk, tt_reset_by_t by)
{
	if (tt_is_dead(sk))
		return 0;
	switch (by) {
	case TT_RESET_BY_KILLED:
		return ECONNABORTED;
	case TT_RESET_BY_KEEPALIVE:
		return sk->sk_err_soft ?: ETIMEDOUT;
	case TT_RESET_BY_DISCONNECT:
		return ECONNRESET;
	case TT_RESET_BY_DATA_AFTER_CLOSE:
	case TT_RESET_BY_BAD_PACKET:
		return sk->sk_err;
	default:
		return 0;
	}
}

tt_inline tt_answers_t tt_answers_what(__u8 flags)
{
	switch (flags & (TCP_SYN | TCP_ACK)) {
	case TCP_SYN:
		return TT_ANSWERS_SYN;
	case TCP_SYN | TCP_ACK:
		return TT_ANSWERS_SYN_ACK;
	default:
		return TT_ANSWERS_OTHER;
	}
}

/* Of a full socket that is no listener. */
tt_inline void tt_tell_full(struct tt_reset *event, const struct sock *sk,
			    const struct tcp_sock *tp, int state, struct tt_was *was,
			    struct tt_open_row *row)
{
	event->uid = tt_read_uid(sk, true);
	tt_recall_sock(&event->head, state, was, &event->uid);
	tt_read_full_tuple(sk, TT_CLOSE, &event->head);
	tt_measure_broken(event, &sk->__sk_common, tp, was, row);
	if (event->answers && state == TT_CLOSE)
		event->by = tp->linger2 < 0 ? TT_RESET_BY_LINGER2 : TT_RESET_BY_DATA_AFTER_CLOSE;
	else if (event->answers)
		event->by = TT_RESET_BY_BAD_PACKET;
	else if (state == TT_CLOSE)
		event->by = tt_closed_how(sk, tp, was, event);
	else
		event->by = tt_broken_by(sk, state, event->reason);
	event->error = tt_error_of_sent(sk, event->by);
}

/* Of what there is no full socket of, or a listener's: the packet says between whom. */
tt_inline void tt_tell_answer(struct tt_reset *event, const struct sock_common *skc, int state,
			      struct tt_was *was)
{
	const struct tt_listener *listener;
	struct tt_sock *sock;

	was->state = state;
	event->uid = TT_NOBODY;
	if (state == TT_TIME_WAIT) {
		event->by = TT_RESET_BY_TIME_WAIT;
		tt_read_tuple(skc, &event->head, false);
		/* the full one may be there still, if its descriptor is */
		sock = tt_find_sock(event->head.cookie);
		if (sock)
			tt_recall_kept(&event->head, state, was, sock);
		else
			tt_recall_remains(&event->head, was, &event->uid);
		return;
	}
	event->by = state ? TT_RESET_BY_LISTENER : TT_RESET_BY_NO_SOCKET;
	if (state)
		event->listener_cookie = event->head.cookie;
	listener = MAP_GET(tt_listeners, &event->head.cookie);
	if (!listener) {
		tt_find_port_holder(&event->head, &event->uid, &was->marks);
		return;
	}
	event->uid = listener->uid;
	was->marks = tt_marks_of_listener(listener);
	tt_own(&event->head, &listener->owner,
	       listener->owner.pid ? TT_OWNER_LISTENER : TT_OWNER_KERNEL);
}

/* Of those that anybody can have sent here, as fast as packets come. */
MAP_OF(PERCPU_ARRAY, tt_answer_rates, __u32, struct tt_rate, 1);

tt_inline bool tt_is_too_much(const struct tt_reset *event)
{
	__u32 zero = 0;
	struct tt_rate *rate;

	if (!CFG(most_answers) || event->way != TT_RESET_WAY_SENT)
		return false;
	if (event->by != TT_RESET_BY_NO_SOCKET && event->by != TT_RESET_BY_LISTENER &&
	    event->by != TT_RESET_BY_TIME_WAIT)
		return false;
	rate = MAP_GET(tt_answer_rates, &zero);
	return rate && !tt_may_send(rate, event->head.mono_ns, CFG(most_answers));
}

tt_inline void tt_send_told(void *ctx, struct tt_bench *bench, const struct tt_was *was,
			    struct tt_stats *stats)
{
	struct tt_reset *event = &bench->large.reset;

	if (!tt_admit(stats, TT_KIND_RESET, &event->head, event->uid, 1U << (was->state & 15),
		      was->marks, tt_refuses_end(true, 0)))
		return;
	tt_count_reset(event, was->state);
	if (!CFG(stream))
		return;
	if (tt_is_too_much(event)) {
		stats->limited[TT_KIND_RESET]++;
		return;
	}
	event->state = was->state;
	event->head.oncpu_pid = bpf_get_current_pid_tgid() >> 32;
	tt_send(ctx, tt_large, TT_KIND_RESET, &bench->large, stats);
}

/* Where it is, and which socket it is about. */
tt_inline void tt_place_reset(struct tt_reset *event, const struct sock_common *skc,
			      const struct sk_buff *skb)
{
	const struct net *net = NULL;

	if (skc) {
		bpf_core_read(&net, sizeof(net), &skc->skc_net.net);
		event->head.cookie = tt_read_cookie(skc);
	} else if (skb) {
		net = tt_net_of(skb);
	}
	event->head.netns = BPF_CORE_READ(net, ns.inum);
}

/* A record with what all have; NULL if it is not to be told. */
tt_inline struct tt_bench *tt_begin_reset(enum tt_slot slot, struct tt_stats **stats)
{
	__u32 place = slot;
	struct tt_bench *bench = MAP_GET(tt_benches, &place);
	struct tt_reset *event;

	*stats = tt_get_stats(slot);
	/* one of the programs is there for others' sake, too */
	if (!bench || !*stats || !tt_is_live() || !(CFG(kinds) & 1U << TT_KIND_RESET))
		return NULL;
	__builtin_memset(&bench->large, 0, sizeof(bench->large));
	__builtin_memset(&bench->open, 0, sizeof(bench->open));
	event = &bench->large.reset;
	event->head.kind = TT_KIND_RESET;
	event->head.mono_ns = bpf_ktime_get_ns();
	event->reason = TT_NO_REASON;
	return bench;
}

/* Whether answer.bpf.c tells of it, too: where its programs are attached though it is told here. */
tt_inline bool tt_is_told_apart(const struct sk_buff *skb, const struct sock_common *skc,
				__u8 state)
{
	return CFG(answers_apart) && skb &&
	       (!skc || state == TT_TIME_WAIT || state == TT_NEW_SYN_RECV);
}

/* tcp_send_reset(socket or NULL, packet or NULL, reason) */
PROBE_BTF("tcp_send_reset")
int TT_PROG(tt_reset_sent)
{
	const struct sock *sk = (const void *)ctx[0];
	const struct sock_common *skc = (const void *)tt_as_number(sk);
	const struct sk_buff *skb = (const void *)tt_as_number((const void *)ctx[1]);
	const struct tcp_sock *tp = NULL;
	struct tt_was was = {};
	struct tt_stats *stats;
	struct tt_bench *bench;
	struct tt_reset *event;
	__u8 state = 0;

	bench = tt_begin_reset(TT_SLOT_RESET_SENT, &stats);
	if (!bench)
		return 0;
	event = &bench->large.reset;
	event->way = TT_RESET_WAY_SENT;
	event->reason = tt_reset_why(ctx, TT_NO_REASON);
	if (skb)
		event->answers = tt_answers_what(tt_read_packet(skb, &event->head));
	if (skc)
		bpf_core_read(&state, 1, &skc->skc_state);
	if (tt_is_told_apart(skb, skc, state))
		return 0;
	tt_place_reset(event, skc, skb);
	/* the helper looks itself whether there is one, where the verifier leaves this out */
	if (sk && state != TT_LISTEN)
		tp = bpf_skc_to_tcp_sock((void *)sk);
	if (tp)
		tt_tell_full(event, &tp->inet_conn.icsk_inet.sk, tp, state, &was, &bench->open);
	else
		tt_tell_answer(event, skc, state, &was);
	tt_send_told(ctx, bench, &was, stats);
	return 0;
}

/* What tcp_reset() makes of it. */
tt_inline int tt_error_of_received(int state)
{
	switch (state) {
	case TT_SYN_SENT:
		return ECONNREFUSED;
	case TT_CLOSE_WAIT:
		return EPIPE;
	default:
		return ECONNRESET;
	}
}

/* States in which data that comes may be more than anybody takes. */
tt_inline bool tt_may_be_late(const struct sock *sk, int state)
{
	return sk->sk_shutdown & RCV_SHUTDOWN && state != TT_SYN_SENT;
}

PROBE_BTF("tcp_receive_reset")
int BPF_PROG(tt_reset_received, const struct sock *sk)
{
	const struct tcp_sock *tp = bpf_skc_to_tcp_sock((void *)sk);
	int state = sk->__sk_common.skc_state;
	struct tt_was was = {};
	struct tt_stats *stats;
	struct tt_bench *bench;
	struct tt_reset *event;
	tt_cookie cookie;

	if (!tp || state == TT_CLOSE)
		return 0;
	cookie = tt_get_cookie(sk);
	if (tt_may_be_late(sk, state) && tt_came_with_data(ctx)) {
		tt_note_late_data(cookie, state);
		return 0; /* told by the RST that answers it */
	}
	bench = tt_begin_reset(TT_SLOT_RESET_RECEIVED, &stats);
	if (!bench)
		return 0;
	event = &bench->large.reset;
	event->way = TT_RESET_WAY_RECEIVED;
	event->by = TT_RESET_BY_PEER;
	event->head.cookie = cookie;
	event->head.netns = tt_read_netns(&sk->__sk_common, true);
	event->uid = tt_read_uid(sk, true);
	tt_recall_sock(&event->head, state, &was, &event->uid);
	tt_read_full_tuple(sk, state, &event->head);
	tt_measure_broken(event, &sk->__sk_common, tp, &was, &bench->open);
	event->error = tt_is_dead(sk) ? 0 : tt_error_of_received(state);
	tt_send_told(ctx, bench, &was, stats);
	return 0;
}
