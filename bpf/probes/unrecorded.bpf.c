/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Ends in a listener's queues that have no record: unrecorded.h says which, and how they are
 * counted. Both counters are moved with a packet in hand that comes to nothing: a RST, a SYN or an
 * ACK that tcp_check_req() ends a request with, an ACK that cookie_v4_check() makes no socket of.
 * It is let go of at kfree_skb before the next one is handled.
 *
 * Of an ordinary connection at most the last FIN comes by here, which a mini-socket in TIME_WAIT
 * has answered: since v6.11 the packet's socket is told, and that one's state says so.
 *
 * Attach: raw_tp, as arguments may be NULL.
 */
#include "../cookies.h"
#include "../packet.h"
#include "../unrecorded.h"

/* Whether a listener may have let go of it. One that is closing just now is in CLOSE already. */
tt_inline bool tt_may_be_listeners(const struct sk_buff *skb, const struct sock *meant)
{
	__be16 protocol;
	__u8 state;

	if (!tt_freed_for_is_told()) {
		protocol = TT_LOAD(struct sk_buff, skb, protocol);
		return protocol == bpf_htons(ETH_P_IP) || protocol == bpf_htons(ETH_P_IPV6);
	}
	if (!meant)
		return false;
	state = TT_LOAD(struct sock, meant, __sk_common.skc_state);
	return state == TT_LISTEN || state == TT_CLOSE;
}

/* What moved is this packet's, if it is of the session; what came before it is only seen. */
tt_inline void tt_take_unrecorded(const struct net *net, __u64 offset)
{
	const __u64 received = tt_read_counter(net, offset, tt_cookie_setup.received);
	const __u64 embryonic = tt_read_counter(net, offset, tt_cookie_setup.embryonic);
	struct tt_unrecorded *seen;
	__u64 no_connection, resets;

	if (!received && !embryonic)
		return;
	seen = tt_get_unrecorded(net);
	if (!seen) {
		if (tt_is_live())
			CONTROL_COUNT(unlooked);
		return;
	}
	no_connection = tt_since_seen(&seen->received, received);
	resets = tt_since_seen(&seen->embryonic, embryonic);
	if (!tt_is_live())
		return;
	if (no_connection)
		__sync_fetch_and_add(&seen->no_connection, no_connection);
	if (resets)
		__sync_fetch_and_add(&seen->resets, resets);
}

PROBE_RAW("kfree_skb")
int tt_let_go(struct bpf_raw_tracepoint_args *ctx)
{
	const struct sk_buff *skb = (const void *)ctx->args[0];
	const struct sock *meant = tt_freed_for(ctx);
	const struct net *net;
	__u64 offset;

	if (!tt_may_be_listeners(skb, meant))
		return 0;
	net = meant ? TT_LOAD(struct sock, meant, __sk_common.skc_net.net) : tt_net_of(skb);
	offset = tt_this_cpus_offset();
	if (net && offset)
		tt_take_unrecorded(net, offset);
	return 0;
}

/*
 * What came before tracing, in the namespace of the thread that made the iterator; it is run before
 * anything is told. Once for each listener, as a namespace is found by its sockets.
 */
PROBE_ITER("tcp")
int tt_iter_cookies(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	struct net *net;

	if (!skc || skc->skc_state != TT_LISTEN)
		return 0;
	bpf_core_read(&net, sizeof(net), &skc->skc_net.net);
	tt_prime_unrecorded(net);
	return 0;
}
