/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * SYNs, and the ACKs that would have finished a handshake, that a listener threw
 * away. The kernel has no hook and no reason for them, and the functions that
 * decide it return nothing that says so. What became of a packet is told by the
 * namespace's counters: those of this CPU that moved since the last look.
 *
 * Not drops, as no counter moves: a SYN sent again that has its answer, the bare
 * ACK that TCP_DEFER_ACCEPT waits past, a SYN that another CPU handles as well.
 *
 * Which listener it went to is known from its listen() on (probes/state.bpf.c).
 *
 * Attach, first that loads: fexit of the functions that listeners' packets go
 * through, which nothing else does; else raw_tp where the packet is freed: a SYN,
 * dropped or not, as one that was used up, by consume_skb() in
 * tcp_rcv_state_process(), a final ACK by kfree_skb() in tcp_v4_rcv(). Those two
 * are hot: every packet that is freed costs a comparison of addresses. raw_tp, as
 * it loses no nested event to another program and takes arguments that may be NULL.
 * Else, where neither trampolines are had nor the place that frees a packet is told:
 * a kprobe and a kretprobe of each of those functions. What these are skipped for is
 * told with the next packet that this CPU handles for that namespace.
 */
#include "../emit.h"
#include "../hearers.h"
#include "../listeners.h"
#include "../marks.h"
#include "../mib.h"
#include "../packet.h"
#include "../rate.h"
#include "../sock.h"

/* Counts of what was thrown away: exact, also where records are not sent. */
MAP_OF(PERCPU_HASH, tt_drops, struct tt_drop_key, struct tt_drop_value, 8192);

/* A listener's queues as they stand; false if the pointer is another socket's by now. */
tt_inline bool tt_read_queues(const struct tt_listener *listener, struct tt_syn_drop *event)
{
	const struct inet_connection_sock *icsk = (const void *)listener->sk;

	if (!tt_read_queue(listener->sk, event->listener_cookie, &event->accept_queue,
			   &event->accept_queue_max))
		return false;
	bpf_core_read(&event->syn_queue, sizeof(event->syn_queue),
		      &icsk->icsk_accept_queue.qlen.counter);
	event->syn_queue_max = event->accept_queue_max; /* inet_csk_reqsk_queue_is_full() */
	return true;
}

/*
 * tcp_conn_request() keeps the last quarter of tcp_max_syn_backlog for peers it
 * knows, where there are no cookies; of its counters ListenDrops alone moves.
 */
tt_inline bool tt_is_reserved(const struct net *net, const struct tt_syn_drop *event)
{
	int most = BPF_CORE_READ(net, ipv4.sysctl_max_syn_backlog);

	return event->syn_queue_max && !BPF_CORE_READ(net, ipv4.sysctl_tcp_syncookies) &&
	       most - (int)event->syn_queue < most >> 2;
}

/* What is said of the listener and its owner; NULL if it is not known. */
tt_inline struct tt_listener *tt_tell_listener(struct tt_syn_drop *event, const struct sock *sk)
{
	struct tt_head *head = &event->head;
	struct tt_hearers_key called = {};
	struct tt_listener *listener;

	if (sk)
		event->listener_cookie = tt_read_cookie(&sk->__sk_common);
	listener = MAP_GET(tt_listeners, &event->listener_cookie);
	if (!listener) {
		tt_hearers_key(head, &called);
		event->listener_cookie = tt_find_hearer(&called, head->family);
		listener = MAP_GET(tt_listeners, &event->listener_cookie);
	}
	if (!listener) {
		event->listener_cookie = 0;
		event->uid = TT_NOBODY;
		return NULL;
	}
	event->uid = listener->uid;
	head->pid = listener->owner.pid;
	head->start = listener->owner.start;
	head->cgroup_id = listener->owner.cgroup_id;
	head->owner_is = head->pid ? TT_OWNER_LISTENER : TT_OWNER_KERNEL;
	event->listener_pid = head->pid;
	event->listener_start = head->start;
	event->listener_port = listener->port;
	event->listener_family = listener->family;
	__builtin_memcpy(event->listener_addr, listener->addr, sizeof(event->listener_addr));
	tt_read_queues(listener, event);
	return listener;
}

tt_inline void tt_count_drop(const struct tt_syn_drop *event, __u64 packets, __u64 *moved,
			     bool matched)
{
	const struct tt_head *head = &event->head;
	struct tt_drop_key key = {
		.listener_cookie = event->listener_cookie,
		.netns = head->netns,
		.port = head->lport,
		.cause = event->cause,
		.stage = event->stage,
		.answer = event->answer,
		.matched = matched,
	};
	struct tt_drop_value first = {};
	struct tt_drop_value *value = MAP_GET(tt_drops, &key);

	if (!value) {
		MAP_PUT(tt_drops, &key, &first, BPF_NOEXIST);
		value = MAP_GET(tt_drops, &key);
	}
	if (!value) {
		/* more listeners than there is room for: the entries without a place are there
		 * from the start
		 */
		key.listener_cookie = 0;
		key.netns = 0;
		key.port = 0;
		value = MAP_GET(tt_drops, &key);
		if (!value)
			return;
	}
	value->packets += packets;
	value->wanted_cookies += moved[TT_MIB_TCPREQQFULLDOCOOKIES];
	moved[TT_MIB_TCPREQQFULLDOCOOKIES] = 0; /* once, whatever else moved */
	value->cgroup_id = head->cgroup_id;
	value->pid = head->pid;
	value->start = head->start;
}

tt_inline void tt_tell_drop(void *ctx, struct tt_large *large, struct tt_listener *listener,
			    __u64 packets, __u64 *moved, struct tt_here *here,
			    struct tt_stats *stats)
{
	struct tt_syn_drop *event = &large->syn_drop;
	__u32 cause = event->cause;
	struct tt_queue *queue;
	bool admitted;

	admitted = tt_admit(stats, TT_KIND_SYN_DROP, &event->head, event->uid, 1U << TT_LISTEN,
			    listener ? tt_marks_of_listener(listener) : 0, tt_refuses_end(true, 0));
	tt_count_drop(event, packets, moved, admitted);
	queue = listener ? tt_find_queue(event->listener_cookie) : NULL;
	if (queue && cause < TT_CAUSE_MAX)
		__sync_fetch_and_add(&queue->drops[cause], packets);
	if (!admitted || !CFG(stream))
		return;
	if (!tt_may_send(&here->rate, event->head.mono_ns, TT_LIMIT)) {
		stats->limited[TT_KIND_SYN_DROP]++;
		return;
	}
	event->count = packets;
	tt_send(ctx, tt_large, TT_KIND_SYN_DROP, large, stats);
}

/*
 * Of what no counter of a listener's tells. The way back is looked for before the
 * reserve is; a route that was not found on this CPU since the last SYN is taken to
 * be the packet's own. Memory and a security module's word leave nothing behind.
 */
tt_inline tt_cause_t tt_cause_of_rest(const struct net *net, const struct tt_syn_drop *event,
				      const __u64 *moved, __u64 packets)
{
	if (moved[TT_MIB_OUTNOROUTES] >= packets)
		return TT_CAUSE_ROUTE;
	if (event->stage == TT_STAGE_SYN && tt_is_reserved(net, event))
		return TT_CAUSE_SYN_QUEUE_RESERVE;
	return TT_CAUSE_OTHER;
}

/*
 * The causes that the moved counters speak of, ListenDrops first: it alone says
 * that something was dropped. More than one packet in it, where the kernel ran no
 * program for the one before, are told with this one.
 */
tt_inline void tt_tell_moved(void *ctx, const struct net *net, struct tt_large *large,
			     struct tt_listener *listener, __u64 *moved, struct tt_here *here,
			     struct tt_stats *stats)
{
	struct tt_syn_drop *event = &large->syn_drop;
	__u64 drops = moved[TT_MIB_LISTENDROPS];
	__u64 overflows = moved[TT_MIB_LISTENOVERFLOWS];
	__u64 full = moved[TT_MIB_TCPREQQFULLDROP];

	if (event->stage == TT_STAGE_ACK && moved[TT_MIB_EMBRYONICRSTS] &&
	    BPF_CORE_READ(net, ipv4.sysctl_tcp_abort_on_overflow))
		event->answer = TT_ANSWER_RST;
	if (overflows) {
		event->cause = TT_CAUSE_ACCEPT_QUEUE_FULL;
		tt_tell_drop(ctx, large, listener, overflows, moved, here, stats);
	}
	if (full) {
		event->cause = TT_CAUSE_SYN_QUEUE_FULL;
		tt_tell_drop(ctx, large, listener, full, moved, here, stats);
	}
	if (drops > overflows + full) {
		drops -= overflows + full;
		event->cause = tt_cause_of_rest(net, event, moved, drops);
		tt_tell_drop(ctx, large, listener, drops, moved, here, stats);
	}
}

/* The same, word by word. An IPv4 header has its destination in 16 to 19, an IPv6 one in 24 to 39.
 */
tt_inline tt_family tt_load_called(const struct sk_buff *skb, struct tt_hearers_key *called)
{
	const struct sk_buff *known = tt_cast(struct sk_buff, skb);
	const __u64 start = (__u64)known->head;
	const __u64 network = start + known->network_header;
	const __u64 ports = tt_read_long(start + known->transport_header);
	__u64 *addr = (__u64 *)called->addr;

	called->port = bpf_ntohs((__u16)(ports >> 16));
	if ((tt_read_long(network) & 0xf0) == 0x60) {
		addr[0] = tt_read_long(network + 24);
		addr[1] = tt_read_long(network + 32);
		return 6;
	}
	tt_map_v4(called->addr, (__u32)tt_read_long(network + 16));
	return 4;
}

/* Where a packet was to go; the family of its addresses. */
tt_inline tt_family tt_read_called(const struct sk_buff *skb, struct tt_hearers_key *called)
{
	const unsigned char *start = BPF_CORE_READ(skb, head);
	const void *network = start + BPF_CORE_READ(skb, network_header);
	const struct tt_tcp_header *tcp =
		(const void *)start + BPF_CORE_READ(skb, transport_header);
	struct tt_ipv6_header ip = {}; /* longer than IPv4's, but not than that and TCP's */
	__be16 port = 0;

	bpf_probe_read_kernel(&ip, sizeof(ip), network);
	bpf_probe_read_kernel(&port, sizeof(port), &tcp->destination);
	called->port = bpf_ntohs(port);
	if (ip.before[0] >> 4 == 6) {
		__builtin_memcpy(called->addr, ip.destination, sizeof(called->addr));
		return 6;
	}
	tt_map_v4(called->addr, ((const struct tt_ipv4_header *)&ip)->destination);
	return 4;
}

/* A SYN that was taken up: its listener's queue of them may be deeper than it ever was. */
tt_inline void tt_note_syn(const struct sk_buff *skb, const struct sock *sk, tt_netns netns)
{
	struct tt_hearers_key called = {};
	const struct inet_connection_sock *icsk;
	struct tt_queue *queue;
	tt_cookie cookie;
	tt_count depth = 0;
	tt_family family;

	if (sk) {
		cookie = tt_read_cookie(&sk->__sk_common);
	} else {
		called.netns = netns;
		family = CFG(casts) ? tt_load_called(skb, &called) : tt_read_called(skb, &called);
		cookie = tt_hear(&called, family);
	}
	queue = cookie ? tt_find_queue(cookie) : NULL;
	if (!queue)
		return;
	icsk = (const void *)queue->sk;
	/* the pointer may be another socket's by now */
	if (CFG(casts)) {
		icsk = tt_cast(struct inet_connection_sock, icsk);
		depth = icsk->icsk_accept_queue.qlen.counter;
		if (icsk->icsk_inet.sk.__sk_common.skc_cookie.counter == (long long)cookie)
			tt_raise(queue->syn_queue_peaks, depth);
		return;
	}
	bpf_core_read(&depth, sizeof(depth), &icsk->icsk_accept_queue.qlen.counter);
	if (tt_read_cookie((const void *)icsk) == cookie)
		tt_raise(queue->syn_queue_peaks, depth);
}

/* `heard`: one that a listener took up, dropped or not; it may have made its queue deeper. */
tt_inline int tt_look_at_packet(void *ctx, const struct sk_buff *skb, const struct sock *sk,
				const bool heard)
{
	struct tt_listener *listener;
	struct tt_stats *stats;
	const struct net *net;
	struct tt_queue *queue;
	__u64 moved[TT_MIB_MAX] = {};
	struct tt_syn_drop *event;
	struct tt_large *large;
	struct tt_bench *bench;
	__u32 zero = 0, slot = TT_SLOT_DROP;
	struct tt_mibs *mibs;
	struct tt_here *here;
	__u64 cookies;
	__u8 flags;

	net = sk ? BPF_CORE_READ(sk, __sk_common.skc_net.net) : tt_net_of(skb);
	mibs = net ? tt_get_mibs(net) : NULL;
	if (!mibs)
		return 0;
	if (!tt_take_moved(mibs, heard, moved)) {
		if (heard && CFG(listen_stats))
			tt_note_syn(skb, sk, mibs->netns);
		return 0;
	}
	stats = tt_get_stats(TT_SLOT_DROP);
	here = MAP_GET(tt_here, &zero);
	bench = MAP_GET(tt_benches, &slot);
	if (!stats || !here || !bench || !tt_is_live() || CONTROL_NOW(drops_wait))
		return 0;
	large = &bench->large;
	cookies = moved[TT_MIB_SYNCOOKIESSENT];
	event = &large->syn_drop;
	__builtin_memset(large, 0, sizeof(*large));
	flags = tt_read_packet(skb, &event->head);
	event->stage = (flags & (TCP_SYN | TCP_ACK)) == TCP_SYN ? TT_STAGE_SYN : TT_STAGE_ACK;
	event->head.mono_ns = bpf_ktime_get_ns();
	event->head.kind = TT_KIND_SYN_DROP;
	event->head.netns = mibs->netns;
	event->head.oncpu_pid = bpf_get_current_pid_tgid() >> 32;
	listener = tt_tell_listener(event, sk);
	queue = listener ? tt_find_queue(event->listener_cookie) : NULL;
	if (queue) {
		tt_raise(queue->syn_queue_peaks, event->syn_queue);
		__sync_fetch_and_add(&queue->overflows, moved[TT_MIB_LISTENOVERFLOWS]);
		__sync_fetch_and_add(&queue->cookies_sent, cookies);
	}
	if (cookies) {
		event->cause = TT_CAUSE_SYN_QUEUE_FULL;
		event->answer = TT_ANSWER_COOKIE;
		tt_count_drop(event, cookies, moved,
			      tt_refuses(&event->head, event->uid, 1U << TT_LISTEN,
					 listener ? tt_marks_of_listener(listener) : 0) ==
				      TT_FILTER_NONE);
		event->answer = TT_ANSWER_NONE;
	}
	if (moved[TT_MIB_LISTENDROPS] && event->stage == TT_STAGE_ACK)
		here->told_skb = (__u64)skb;
	if (moved[TT_MIB_LISTENDROPS])
		tt_tell_moved(ctx, net, large, listener, moved, here, stats);
	return 0;
}

/* tcp_conn_request(ops, ops of the family, listener, skb): what became of a SYN */
PROBE_FEXIT("tcp_conn_request")
int tt_syn_fexit(__u64 *ctx)
{
	return tt_look_at_packet(ctx, (const void *)ctx[3], (const void *)ctx[2], true);
}

/* tcp_check_req(listener, skb, request, …): and of an ACK that answers a SYN-ACK */
PROBE_FEXIT("tcp_check_req")
int tt_ack_fexit(__u64 *ctx)
{
	return tt_look_at_packet(ctx, (const void *)ctx[1], (const void *)ctx[0], false);
}

/* cookie_v4_check(listener, skb): the same, where there was no room for the request */
PROBE_FEXIT("cookie_v4_check")
int tt_cookie4_fexit(__u64 *ctx)
{
	return tt_look_at_packet(ctx, (const void *)ctx[1], (const void *)ctx[0], false);
}

PROBE_FEXIT("cookie_v6_check")
int tt_cookie6_fexit(__u64 *ctx)
{
	return tt_look_at_packet(ctx, (const void *)ctx[1], (const void *)ctx[0], false);
}

/*
 * What a function was entered with, which its end is not told. They run where no interrupt works
 * on packets, but for a Fast Open child's backlog: a SYN's end does not take an ACK, nor an ACK's a
 * SYN.
 */
enum tt_entered_which { TT_ENTERED_SYN = 1, TT_ENTERED_ACK };

struct tt_entered {
	__u64 skb;
	__u64 sk;
	__u64 which; /* 0: its end has been */
};

MAP_OF(PERCPU_ARRAY, tt_entered, __u32, struct tt_entered, 1);

tt_inline int tt_note_entered(__u64 skb, __u64 sk, enum tt_entered_which which)
{
	__u32 zero = 0;
	struct tt_entered *entered = MAP_GET(tt_entered, &zero);

	if (entered) {
		entered->skb = skb;
		entered->sk = sk;
		entered->which = which;
	}
	return 0;
}

tt_inline int tt_look_at_entered(void *ctx, enum tt_entered_which which)
{
	__u32 zero = 0;
	struct tt_entered *entered = MAP_GET(tt_entered, &zero);

	/* entered before this was attached, or its begin was skipped */
	if (!entered || entered->which != which)
		return 0;
	entered->which = 0;
	return tt_look_at_packet(ctx, (const void *)entered->skb, (const void *)entered->sk,
				 which == TT_ENTERED_SYN);
}

PROBE_KPROBE("tcp_conn_request")
int tt_syn_kprobe(void *ctx)
{
	return tt_note_entered(tt_entered_with(ctx, 3), tt_entered_with(ctx, 2), TT_ENTERED_SYN);
}

PROBE_KRETPROBE("tcp_conn_request")
int tt_syn_kret(void *ctx)
{
	return tt_look_at_entered(ctx, TT_ENTERED_SYN);
}

/* User space attaches these two to the others that take an ACK, too: verified once, they serve all.
 */
PROBE_KPROBE("tcp_check_req")
int tt_ack_kprobe(void *ctx)
{
	return tt_note_entered(tt_entered_with(ctx, 1), tt_entered_with(ctx, 0), TT_ENTERED_ACK);
}

PROBE_KRETPROBE("tcp_check_req")
int tt_ack_kret(void *ctx)
{
	return tt_look_at_entered(ctx, TT_ENTERED_ACK);
}

PROBE_RAW("consume_skb")
int tt_consumed(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 location = ctx->args[1];

	for (int i = 0; i < TT_SYN_SPANS; i++)
		if (location >= tt_syn_setup.syn_from[i] && location < tt_syn_setup.syn_to[i])
			return tt_look_at_packet(ctx, (const void *)ctx->args[0], NULL, true);
	return 0;
}

/* Whether a packet is let go of where a listener does that with a final ACK. */
tt_inline bool tt_may_be_final_ack(__u64 location)
{
	for (int i = 0; i < TT_ACK_SPANS; i++)
		if (location >= tt_syn_setup.ack_from[i] && location < tt_syn_setup.ack_to[i])
			return true;
	return false;
}

PROBE_RAW("kfree_skb")
int tt_freed(struct bpf_raw_tracepoint_args *ctx)
{
	if (tt_may_be_final_ack(ctx->args[1]))
		return tt_look_at_packet(ctx, (const void *)ctx->args[0], tt_freed_for(ctx), false);
	return 0;
}

#ifndef TT_BCC /* user space does this without an iterator: tracer/kernel/proc_passes.py */
/* Listeners that are older than the tracer, of the namespace of the thread that made the iterator.
 */
PROBE_ITER("tcp")
int tt_iter_hearing(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	struct tt_head head = {};
	struct net *net;

	if (!skc || skc->skc_state != TT_LISTEN)
		return 0;
	head.netns = tt_read_netns(skc, true);
	tt_read_tuple(skc, &head, true);
	bpf_core_read(&net, sizeof(net), &skc->skc_net.net);
	tt_prime(net);
	tt_add_hearer(&head, tt_give_cookie(skc));
	return 0;
}
#endif
