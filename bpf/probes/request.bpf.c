/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Handshakes that end in a listener's SYN queue, and never become a socket. The
 * kernel has no hook for the end of a request socket; but one that nobody
 * answers ends in its own timer, reqsk_timer_handler(), which sends the SYN-ACK
 * again and counts that in num_timeout, or lets go of the request and does not.
 * So the request is looked at before the timer's function, and the count again
 * after it. (One whose final ACK is handled on another CPU at that very moment
 * may be told twice.)
 *
 * Not told one by one, but counted (unrecorded.bpf.c): a request that its caller
 * resets, or that tcp_abort_on_overflow does.
 *
 * Attach: tp_btf. Timers run in softirq, and not inside each other on a CPU.
 */
#include "../emit.h"
#include "../marks.h"
#include "../send.h"
#include "../sock.h"

/* Address of reqsk_timer_handler(), once a request's timer has been met; 0: not yet. */
static __u64 tt_request_timer;

/* The request whose timer runs on this CPU, as it was before. */
struct tt_due {
	__u64 timer; /* 0: none */
	__u8 timeouts;
	tt_marks marks;
	struct tt_large large;
};

MAP_OF(PERCPU_ARRAY, tt_due, __u32, struct tt_due, 1);

tt_inline const struct request_sock *tt_request_of(const struct timer_list *timer)
{
	return (const void *)timer - bpf_core_field_offset(struct request_sock, rsk_timer);
}

/*
 * Whether a timer is a request's. Its function says so, once it is known: it is
 * that of the first timer which lies where a half-open connection would keep it,
 * in a state of its own, with a TCP socket of the same namespace for a listener.
 */
tt_inline bool tt_is_requests(const struct timer_list *timer)
{
	__u64 function = (__u64)timer->function;
	const struct request_sock *req = tt_request_of(timer);
	const struct sock *listener = NULL;
	struct net *net = NULL, *same = NULL;
	__u16 protocol = 0;
	__u8 state = 0;

	if (tt_request_timer)
		return function == tt_request_timer;
	bpf_core_read(&state, sizeof(state), &req->__req_common.skc_state);
	if (state != TT_NEW_SYN_RECV)
		return false;
	bpf_core_read(&listener, sizeof(listener), &req->__req_common.skc_listener);
	bpf_core_read(&net, sizeof(net), &req->__req_common.skc_net.net);
	if (!listener || !net)
		return false;
	bpf_core_read(&same, sizeof(same), &listener->__sk_common.skc_net.net);
	bpf_core_read(&protocol, sizeof(protocol), &listener->sk_protocol);
	if (same != net || protocol != IPPROTO_TCP)
		return false;
	tt_request_timer = function;
	return true;
}

/* How it has ended, if it ends now. */
tt_inline tt_outcome_t tt_request_outcome(const struct request_sock *req,
					  const struct sock *listener)
{
	const struct inet_connection_sock *icsk = (const void *)listener;
	__u32 depth, max;
	__u8 state = 0, defer;

	bpf_core_read(&state, sizeof(state), &listener->__sk_common.skc_state);
	if (state != TT_LISTEN)
		return tt_may_migrate(listener) ? TT_OUTCOME_UNKNOWN : TT_OUTCOME_ABORTED;
	if (!BPF_CORE_READ_BITFIELD_PROBED((const struct inet_request_sock *)req, acked))
		return TT_OUTCOME_SYN_ACK_TIMEOUT;
	/* the final ACK came: the queue was full, or TCP_DEFER_ACCEPT waited for data */
	bpf_core_read(&defer, sizeof(defer), &icsk->icsk_accept_queue.rskq_defer_accept);
	bpf_core_read(&depth, sizeof(depth), &listener->sk_ack_backlog);
	bpf_core_read(&max, sizeof(max), &listener->sk_max_ack_backlog);
	return !defer || depth > max ? TT_OUTCOME_QUEUE_FULL : TT_OUTCOME_SYN_ACK_TIMEOUT;
}

/* All that is told of a request, except that it ends: after that it can no longer be read. */
tt_inline bool tt_note_request(const struct request_sock *req, struct tt_due *due)
{
	const struct sock *owner = NULL;
	struct tt_handshake *event = &due->large.handshake;
	struct tt_head *head = &event->head;
	struct tt_listener *listener;
	__u64 sent_us;
	__u16 protocol;
	__u8 again;

	bpf_core_read(&owner, sizeof(owner), &req->__req_common.skc_listener);
	bpf_core_read(&protocol, sizeof(protocol), &owner->sk_protocol);
	if (!owner || protocol != IPPROTO_TCP)
		return false;
	__builtin_memset(&due->large, 0, sizeof(due->large));
	event->outcome = tt_request_outcome(req, owner);
	if (event->outcome == TT_OUTCOME_UNKNOWN)
		return false;
	due->timeouts = BPF_CORE_READ_BITFIELD_PROBED(req, num_timeout);
	head->kind = TT_KIND_HANDSHAKE;
	head->mono_ns = bpf_ktime_get_ns();
	head->cookie = tt_read_cookie(&req->__req_common);
	head->netns = tt_read_netns(&req->__req_common, false);
	tt_read_tuple(&req->__req_common, head, false);
	head->oncpu_pid = bpf_get_current_pid_tgid() >> 32;
	event->listener_cookie = tt_read_cookie(&owner->__sk_common);
	listener = MAP_GET(tt_listeners, &event->listener_cookie);
	due->marks = listener ? tt_marks_of_listener(listener) : 0;
	if (listener) {
		head->pid = listener->owner.pid;
		head->start = listener->owner.start;
		head->cgroup_id = listener->owner.cgroup_id;
		head->owner_is = head->pid ? TT_OWNER_LISTENER : TT_OWNER_KERNEL;
	}
	event->uid = tt_read_uid(owner, false);
	event->role = TT_ROLE_PASSIVE;
	event->old = TT_NEW_SYN_RECV;
	event->new = TT_CLOSE;
	bpf_core_read(&again, sizeof(again), &req->num_retrans);
	event->syn_retransmits = again;
	event->syn_sent = again + 1;
	bpf_core_read(&sent_us, sizeof(sent_us), &((struct tcp_request_sock *)req)->snt_synack);
	if (sent_us && head->mono_ns > sent_us * 1000) {
		event->latency_ns = head->mono_ns - sent_us * 1000;
		event->latency_from = TT_FROM_SYNACK;
	}
	return true;
}

PROBE_BTF("timer_expire_entry")
int BPF_PROG(tt_timer_begins, struct timer_list *timer)
{
	struct tt_due *due;
	__u32 zero = 0;

	if (!tt_is_requests(timer) || !tt_is_live())
		return 0;
	due = MAP_GET(tt_due, &zero);
	if (due && tt_note_request(tt_request_of(timer), due))
		due->timer = (__u64)timer;
	return 0;
}

PROBE_BTF("timer_expire_exit")
int BPF_PROG(tt_timer_over, struct timer_list *timer)
{
	__u32 zero = 0;
	struct tt_due *due = MAP_GET(tt_due, &zero);
	struct tt_handshake *event;
	struct tt_stats *stats;
	const struct request_sock *req;
	__u8 timeouts;

	/* only compared: it may be gone by now */
	if (!due || !due->timer || due->timer != (__u64)timer)
		return 0;
	due->timer = 0;
	req = tt_request_of(timer);
	timeouts = BPF_CORE_READ_BITFIELD_PROBED(req, num_timeout);
	if (timeouts == (__u8)(due->timeouts + 1))
		return 0; /* it goes on */
	event = &due->large.handshake;
	stats = tt_get_stats(TT_SLOT_TIMER);
	if (stats &&
	    tt_admit(stats, TT_KIND_HANDSHAKE, &event->head, event->uid,
		     1U << TT_NEW_SYN_RECV | 1U << TT_CLOSE, due->marks,
		     tt_refuses_end(true, event->latency_ns)) &&
	    CFG(stream))
		tt_send(ctx, tt_large, TT_KIND_HANDSHAKE, &due->large, stats);
	return 0;
}
