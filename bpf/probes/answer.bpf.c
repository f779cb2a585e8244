/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * RSTs that answer a packet for a mini-socket or none, on kernels whose tracepoint tells of those
 * of full sockets alone: before Linux commit 19822a980e19 ("trace: tcp: fully support
 * trace_tcp_send_reset") (in v6.10). What is told of them is in reset.bpf.c.
 *
 * Attach: fexit of the functions that send them. They leave a RST without an answer, and what has
 * no socket and was not for this machine; also what is not signed (TCP-MD5) as it should be, which
 * is told all the same.
 */
#include "../headers.h"

/* In a softirq: what waits for a process is of a full socket. */
tt_inline int tt_answered(void *ctx)
{
	const struct sock_common *skc = (const void *)((const __u64 *)ctx)[0];
	const struct sk_buff *skb = (const void *)((const __u64 *)ctx)[1];
	struct tt_was was = {};
	struct tt_stats *stats;
	struct tt_bench *bench;
	struct tt_reset *event;
	__u8 state = 0, flags;

	skc = (const void *)tt_as_number(skc);
	skb = (const void *)tt_as_number(skb);
	if (skc)
		bpf_core_read(&state, 1, &skc->skc_state);
	if (skc && state != TT_TIME_WAIT && state != TT_NEW_SYN_RECV)
		return 0;
	bench = tt_begin_reset(TT_SLOT_TIMER, &stats);
	if (!bench)
		return 0;
	event = &bench->large.reset;
	flags = tt_read_packet(skb, &event->head);
	if (flags & TCP_RST || (!skc && !tt_is_for_us(skb, event->head.family)))
		return 0;
	event->way = TT_RESET_WAY_SENT;
	event->answers = tt_answers_what(flags);
	tt_place_reset(event, skc, skb);
	tt_tell_answer(event, skc, state, &was);
	tt_send_told(ctx, bench, &was, stats);
	return 0;
}

/* tcp_v4_send_reset(socket or NULL, packet) */
PROBE_FEXIT("tcp_v4_send_reset")
int tt_answered_v4(__u64 *ctx)
{
	return tt_answered(ctx);
}

PROBE_FEXIT("tcp_v6_send_reset")
int tt_answered_v6(__u64 *ctx)
{
	return tt_answered(ctx);
}
