/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Packets of TCP that the kernel threw away, with its own reason and the place.
 *
 * Attach: raw_tp/kfree_skb, as its arguments may be NULL and as it loses no
 * nested event to another program. Everything that is freed and was not used up
 * comes by here, of any protocol, so what is cheap is asked first: the packet's
 * protocol, then that of its IP header, and nothing is read of a socket or
 * looked up before.
 *
 * A socket at hand says whose it was; else who listens on the local port does,
 * where the packet was for this machine; else nobody is known. Of those in
 * interrupts alone the process that runs has nothing to do with it.
 *
 * Not told: what is behind extension headers of IPv6 or in a tunnel, and what
 * was dropped before there was a packet buffer (user space reads those
 * counters).
 *
 * Where final ACKs are looked at by the same tracepoint, this program does that
 * too: a second one costs as much as the whole of this for all that is no
 * packet of TCP.
 */
#include "../emit.h"
#include "../headers.h"
#include "../hearers.h"
#include "../marks.h"
#include "../rate.h"
#include "../socks.h"
#include "../stacks.h"

#define TT_REASONS 256 /* those of the kernel's core; of others there is one count */

/* By reason, bit by bit; found by user space, constant afterwards. */
struct tt_drop_setup {
	__u64 expected[TT_REASONS / 64]; /* nothing is lost with it */
	__u64 arriving[TT_REASONS / 64]; /* given before it is noted by which device it came */
};

SETTING(struct tt_drop_setup, tt_drop_setup);

/* Shared by all CPUs: few places are busy, and none is counted twice. */
MAP_OF(HASH, tt_packets, struct tt_packet_key, struct tt_packet_value, 16384);

/* What finds no room there: by reason, and for each spent by its socket or not, SYN or not,
 * told or not, matched or not. */
MAP_OF(PERCPU_ARRAY, tt_packets_rest, __u32, __u64, TT_REASONS * 16);

/* Expected ones and losses: neither takes the other's room. */
MAP_OF(PERCPU_ARRAY, tt_drop_rates, __u32, struct tt_rate, 2);

tt_inline bool tt_has_reason(const volatile __u64 *set, tt_reason reason)
{
	return reason < TT_REASONS && set[reason / 64 & (TT_REASONS / 64 - 1)] >> (reason & 63) & 1;
}

/* What is known of who will answer for it. */
struct tt_answering {
	tt_marks marks;
	tt_owner_is_t owner_is;
	tt_owner_from_t from;
	struct tt_owner owner;
};

tt_inline void tt_answer_by_listener(tt_cookie cookie, tt_owner_from_t from, struct tt_drop *event,
				     struct tt_answering *found)
{
	const struct tt_listener *listener = cookie ? MAP_GET(tt_listeners, &cookie) : NULL;

	if (!listener)
		return;
	found->owner = listener->owner;
	found->owner_is = listener->owner.pid ? TT_OWNER_LISTENER : TT_OWNER_KERNEL;
	found->marks = tt_marks_of_listener(listener);
	found->from = from;
	event->uid = listener->uid;
}

tt_inline void tt_answer_by_remains(tt_cookie cookie, struct tt_drop *event,
				    struct tt_answering *found)
{
	__u32 place = cookie % TT_REMAINS;
	const struct tt_remains *remains = MAP_GET(tt_timewaits, &place);

	if (!CFG(keep_remains) || !remains || remains->cookie != cookie)
		return;
	found->owner = remains->owner;
	found->owner_is = remains->owner_is;
	found->marks = remains->marks;
	found->from = TT_OWNER_FROM_SOCKET;
	event->uid = remains->uid;
}

/* By the socket it was for, or came from, of whatever kind that is. */
tt_inline void tt_answer_by_socket(const struct sock *sk, struct tt_drop *event,
				   struct tt_answering *found)
{
	const struct tt_sock *sock;
	tt_cookie cookie = tt_read_cookie(&sk->__sk_common);

	event->state = TT_LOAD(struct sock, sk, __sk_common.skc_state);
	event->head.cookie = cookie;
	switch (event->state) {
	case TT_NEW_SYN_RECV:
		sk = TT_LOAD(struct sock, sk, __sk_common.skc_listener);
		if (sk)
			tt_answer_by_listener(tt_read_cookie(&sk->__sk_common),
					      TT_OWNER_FROM_SOCKET, event, found);
		return;
	case TT_TIME_WAIT:
		tt_answer_by_remains(cookie, event, found);
		return;
	case TT_LISTEN:
		tt_answer_by_listener(cookie, TT_OWNER_FROM_SOCKET, event, found);
		return;
	}
	event->uid = tt_read_uid(sk, false);
	sock = tt_find_sock(cookie);
	if (!sock)
		return;
	found->owner = sock->owner;
	found->owner_is = sock->owner_is;
	found->marks = sock->marks;
	found->from = TT_OWNER_FROM_SOCKET;
}

/* By who hears at the packet's end here; of one that is only passed on, nobody
 * does. */
tt_inline void tt_answer_by_port(const struct sk_buff *skb, struct tt_drop *event,
				 struct tt_answering *found)
{
	struct tt_hearers_key called = {};
	const struct tt_head *head = &event->head;
	bool wild = event->direction == TT_DIRECTION_TX || tt_is_for_us(skb, head->family);

	/* a route that ends elsewhere; without any, an address that is ours says
	 * enough */
	if (!wild && tt_dst_of(skb))
		return;
	tt_hearers_key(head, &called);
	tt_answer_by_listener(tt_find_only_hearer(&called, head->family, wild),
			      TT_OWNER_FROM_LISTENER_PORT, event, found);
}

/* Addresses, ports, flags and length, as this end sees them. */
tt_inline void tt_tell_headers(const struct tt_headers *headers, __u32 length,
			       struct tt_drop *event)
{
	struct tt_head *head = &event->head;
	bool out = event->direction == TT_DIRECTION_TX;
	__u8 *source = out ? head->laddr : head->raddr;
	__u8 *destination = out ? head->raddr : head->laddr;
	struct tt_tcp_header tcp = {};
	__u32 longest = headers->transport;

	head->family = headers->family;
	if (headers->family == 6) {
		__builtin_memcpy(source, headers->v6.source, sizeof(tt_addr));
		__builtin_memcpy(destination, headers->v6.destination, sizeof(tt_addr));
		event->length = bpf_ntohs(headers->v6.payload) + sizeof(headers->v6);
	} else {
		tt_map_v4(source, headers->v4.source);
		tt_map_v4(destination, headers->v4.destination);
		event->length = bpf_ntohs(headers->v4.length);
	}
	/* of one that is longer than the header can say, or that has not been told
	 * yet */
	if (event->length <= headers->transport)
		event->length = length;
	if (!headers->transport || headers->transport + 20 > headers->room)
		return;
	bpf_probe_read_kernel(&tcp, sizeof(tcp), headers->network + headers->transport);
	head->lport = bpf_ntohs(out ? tcp.source : tcp.destination);
	head->rport = bpf_ntohs(out ? tcp.destination : tcp.source);
	event->tcp_flags = tcp.flags;
	longest += (tcp.length >> 4) * 4;
	event->headers_length = longest < headers->room ? longest : headers->room;
}

/* A copy of the headers, for those that are sent: a capture is made of them. */
tt_inline void tt_copy_headers(const struct tt_headers *headers, struct tt_drop *event)
{
	__u32 length = event->headers_length;

	if (length > TT_HEADERS)
		length = TT_HEADERS;
	event->headers_length = length;
	if (length)
		bpf_probe_read_kernel(event->headers, length, headers->network);
}

/*
 * The device: of one that came, the one it came by. What its socket has queued
 * says no more than the index, as other things lie in that place then.
 */
tt_inline void tt_tell_device(const struct sk_buff *skb, const struct net *net, bool by_socket,
			      struct tt_drop *event)
{
	__u32 came_by = TT_LOAD(struct sk_buff, skb, skb_iif);
	const struct net_device *device = by_socket && event->direction == TT_DIRECTION_RX
						  ? NULL
						  : TT_LOAD(struct sk_buff, skb, dev);

	if (came_by)
		device = tt_find_device(net, came_by);
	event->ifindex = device ? TT_LOAD(struct net_device, device, ifindex) : came_by;
	if (device)
		bpf_probe_read_kernel_str(event->dev, sizeof(event->dev), &device->name);
	if (event->direction == TT_DIRECTION_RX)
		event->queue = TT_LOAD(struct sk_buff, skb, queue_mapping);
}

/*
 * Whether nothing is lost with it: a FIN, an ACK or a RST, without data, for what
 * remains of a connection that is over, which has heeded it or needs it no more.
 * The kernel gives these the same reason as what it refuses there
 * (tcp_v4_rcv(): discard_it). Where it does not tell for which socket a packet
 * came, a FIN may say as much, which the place decides: user space knows that.
 */
tt_inline tt_spent_t tt_is_spent(const struct tt_drop *event)
{
	if (event->direction == TT_DIRECTION_TX || event->tcp_flags & TCP_SYN ||
	    event->length > event->headers_length)
		return TT_SPENT_NO;
	if (tt_freed_for_is_told())
		return event->state == TT_TIME_WAIT ? TT_SPENT_BY_SOCKET : TT_SPENT_NO;
	return event->tcp_flags & TCP_FIN ? TT_SPENT_BY_FLAGS : TT_SPENT_NO;
}

/* What nobody asked for takes no place: a storm elsewhere would leave none. */
tt_inline void tt_count_packet(const struct tt_drop *event)
{
	const struct tt_head *head = &event->head;
	struct tt_packet_key key = {
		.location = event->location,
		.reason = event->reason,
		.netns = head->netns,
		.ifindex = event->ifindex,
		.pid = head->pid,
		.start = head->start,
		.port = head->lport,
		.direction = event->direction,
		.owner_is = head->owner_is,
		.owner_from = event->owner_from,
		.syn = (event->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN &&
		       event->state != TT_TIME_WAIT,
		.told = event->told,
		.matched = true,
		.spent = event->spent,
		.stack = event->stack,
	};
	struct tt_packet_value first = {.cgroup_id = head->cgroup_id};
	struct tt_packet_value *value = MAP_GET(tt_packets, &key);
	__u32 place = event->reason < TT_REASONS ? event->reason : TT_REASONS - 1;
	__u64 *rest;

	if (!value) {
		__builtin_memcpy(first.dev, event->dev, sizeof(first.dev));
		MAP_PUT(tt_packets, &key, &first, BPF_NOEXIST);
		value = MAP_GET(tt_packets, &key);
	}
	if (value) {
		__sync_fetch_and_add(&value->packets, 1);
		return;
	}
	place = place * 16 + (key.spent == TT_SPENT_BY_SOCKET) * 8 + key.syn * 4 + key.told * 2 +
		key.matched;
	rest = MAP_GET(tt_packets_rest, &place);
	if (rest)
		(*rest)++;
}

tt_inline void tt_tell_packet(void *ctx, struct tt_large *large, const struct tt_headers *headers,
			      tt_marks marks)
{
	struct tt_stats *stats = tt_get_stats(TT_SLOT_PACKET);
	struct tt_drop *event = &large->drop;
	__u32 expected = event->spent || tt_has_reason(tt_drop_setup.expected, event->reason);
	struct tt_rate *rate = MAP_GET(tt_drop_rates, &expected);
	__u32 states = event->state && event->state < 32 ? 1U << event->state : 0;

	if (!stats || !rate)
		return;
	if (!tt_admit(stats, TT_KIND_DROP, &event->head, event->uid, states, marks,
		      tt_refuses_end(true, 0)))
		return;
	if (CFG(stacks))
		event->stack = tt_kernel_stack(ctx);
	tt_count_packet(event);
	if (!CFG(stream))
		return;
	if (!tt_may_send(rate, event->head.mono_ns, TT_LIMIT)) {
		stats->limited[TT_KIND_DROP]++;
		return;
	}
	if (CFG(stacks))
		event->user_stack = tt_user_stack(ctx, &event->head);
	tt_copy_headers(headers, event);
	tt_send(ctx, tt_large, TT_KIND_DROP, large, stats);
}

/* The namespace it is dropped in; 0 if nothing tells. */
tt_inline const struct net *tt_net_of_drop(const struct sk_buff *skb, const struct sock *sk)
{
	const struct net_device *device;
	const struct net *net =
		sk ? TT_LOAD(struct sock, sk, __sk_common.skc_net.net) : tt_net_of(skb);

	if (net)
		return net;
	device = TT_LOAD(struct sk_buff, skb, dev);
	return device ? TT_LOAD(struct net_device, device, nd_net.net) : NULL;
}

tt_inline tt_direction_t tt_direction_of(const struct sk_buff *skb, const struct sock *meant,
					 tt_reason reason)
{
	bool came = meant || TT_LOAD(struct sk_buff, skb, skb_iif) ||
		    tt_has_reason(tt_drop_setup.arriving, reason);

	return came ? TT_DIRECTION_RX : TT_DIRECTION_TX;
}

/* One that failed before its IP header was made: its socket has the addresses.
 */
tt_inline bool tt_read_unmade(const struct sk_buff *skb, const struct sock *sk,
			      struct tt_drop *event)
{
	__u16 offset = TT_LOAD(struct sk_buff, skb, transport_header);
	struct tt_tcp_header tcp = {};

	if (!sk || TT_LOAD(struct sock, sk, sk_protocol) != IPPROTO_TCP || offset == TT_NO_HEADER)
		return false;
	tt_read_tuple(&sk->__sk_common, &event->head, false);
	bpf_probe_read_kernel(&tcp, sizeof(tcp), TT_LOAD(struct sk_buff, skb, head) + offset);
	event->tcp_flags = tcp.flags;
	event->length = TT_LOAD(struct sk_buff, skb, len);
	return true;
}

static __noinline int tt_look_at_drop(struct bpf_raw_tracepoint_args *ctx)
{
	const struct sk_buff *skb = (const void *)ctx->args[0];
	const struct sock *meant = tt_freed_for(ctx), *sk = meant;
	__be16 protocol = TT_LOAD(struct sk_buff, skb, protocol);
	__u32 zero = 0, slot = TT_SLOT_PACKET;
	struct tt_answering found = {};
	struct tt_headers headers = {};
	struct tt_drop *event;
	struct tt_bench *bench;
	struct tt_here *here;
	const struct net *net;

	/* none yet: on its way out, before its IP header is made */
	if (protocol && protocol != bpf_htons(ETH_P_IP) && protocol != bpf_htons(ETH_P_IPV6))
		return 0;
	if (protocol && !tt_read_headers(skb, protocol, &headers))
		return 0;
	if (!sk)
		sk = TT_LOAD(struct sk_buff, skb, sk);
	if (!protocol && !sk)
		return 0;
	bench = MAP_GET(tt_benches, &slot);
	here = MAP_GET(tt_here, &zero);
	if (!bench || !here || !tt_is_live())
		return 0;
	event = &bench->large.drop;
	__builtin_memset(&bench->large, 0, sizeof(bench->large));
	event->location = ctx->args[1];
	event->reason = tt_freed_why(ctx);
	event->direction = tt_direction_of(skb, meant, event->reason);
	event->uid = TT_NOBODY;
	event->cpu = bpf_get_smp_processor_id();
	event->told = here->told_skb == (__u64)skb;
	if (event->told)
		here->told_skb = 0;
	if (protocol)
		tt_tell_headers(&headers, TT_LOAD(struct sk_buff, skb, len), event);
	else if (!tt_read_unmade(skb, sk, event))
		return 0;
	event->head.mono_ns = bpf_ktime_get_ns();
	event->head.kind = TT_KIND_DROP;
	event->head.oncpu_pid = bpf_get_current_pid_tgid() >> 32;
	net = tt_net_of_drop(skb, sk);
	event->head.netns = net ? TT_LOAD(struct net, net, ns.inum) : 0;
	tt_tell_device(skb, net, sk, event);
	if (sk)
		tt_answer_by_socket(sk, event, &found);
	if (!found.from)
		tt_answer_by_port(skb, event, &found);
	event->spent = tt_is_spent(event);
	event->owner_from = found.from;
	event->head.owner_is = found.owner_is;
	event->head.pid = found.owner.pid;
	event->head.start = found.owner.start;
	event->head.cgroup_id = found.owner.cgroup_id;
	tt_tell_packet(ctx, &bench->large, &headers, found.marks);
	return 0;
}

PROBE_RAW("kfree_skb")
int tt_drop(struct bpf_raw_tracepoint_args *ctx)
{
	if (CFG(drop_takes_acks) && tt_may_be_final_ack(ctx->args[1]))
		tt_look_at_packet(ctx, (const void *)ctx->args[0], tt_freed_for(ctx), false);
	return tt_look_at_drop(ctx);
}
