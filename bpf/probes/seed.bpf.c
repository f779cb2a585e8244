/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Iterators: what was there before the probes, read through a seq file. They
 * run in the tracer's own context, never on a traced path.
 */
#include "../emit.h"
#include "../files.h"
#include "../holders.h"
#include "../listeners.h"
#include "../measure.h"
#include "../owner.h"
#include "../sock.h"
#include "../socks.h"

/* The PID namespace of the tracer, who runs the iterator: PIDs are told as it sees them. */
tt_inline void tt_find_namespace(void)
{
	const struct task_struct *self = (void *)bpf_get_current_task();
	const struct pid *pid = BPF_CORE_READ(self, group_leader, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);
	const struct upid *entry = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
				   level * bpf_core_type_size(struct upid);

	tt_control.pidns_level = level;
	tt_control.pidns = BPF_CORE_READ(entry, ns, ns.inum);
}

/* A name that it has got since, from a probe, stands. */
tt_inline void tt_take_name(const struct tt_task_row *row)
{
	struct tt_target target = {.start = row->start};
	char name[16] = {};

	bpf_probe_read_kernel_str(name, sizeof(name), row->comm);
	target.marks = tt_mark_name(name);
	if (target.marks && MAP_PUT(tt_named, &row->pid, &target, BPF_NOEXIST) &&
	    !MAP_GET(tt_named, &row->pid))
		CONTROL_SET(names_full);
}

/* Processes: rows for --pid and its descendants, and for names. */
PROBE_ITER("task")
int tt_iter_task(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct tt_task_row row = {};
	tt_ticks *told;

	if (!task || task->pid != task->tgid)
		return 0;
	tt_find_namespace();
	row.pid = task->tgid;
	row.ppid = BPF_CORE_READ(task, real_parent, tgid);
	row.start = tt_read_start(task);
	row.local_pid = tt_read_local_pid(task);
	row.local_ppid = tt_read_local_pid(BPF_CORE_READ(task, real_parent));
	row.cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	row.ended = !BPF_CORE_READ(task, signal, live.counter);
	BPF_CORE_READ_INTO(&row.comm, task, comm);
	if (tt_asks_names())
		tt_take_name(&row);
	if (!CFG(alone)) {
		told = MAP_GET(tt_tasks, &row.pid);
		row.told = told && *told == row.start;
	}
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}

/* Note the port of an older listener; a second one on it makes it ambiguous (cookie 0). */
tt_inline void tt_hear_port(const struct tt_head *head)
{
	struct tt_port_key key = {.netns = head->netns, .port = head->lport};
	tt_cookie *heard = MAP_GET(tt_ports_heard, &key);
	tt_cookie cookie = head->cookie;

	if (heard && *heard != cookie)
		cookie = 0;
	MAP_PUT(tt_ports_heard, &key, &cookie, BPF_ANY);
}

/*
 * A finished connection that no one has accepted yet has no descriptor: it is
 * found by its listener's port. The socket is locked while the iterator shows
 * it, so it is not being destroyed.
 */
tt_inline struct tt_sock *tt_seed_child(struct sock_common *skc, const struct tt_head *head)
{
	struct tt_port_key key = {.netns = head->netns, .port = head->lport};
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(skc);
	struct tt_listener *listener;
	struct tt_sock *child;
	tt_cookie *heard;
	struct sock *sk;

	if (!tp)
		return NULL;
	sk = &tp->inet_conn.icsk_inet.sk;
	if (sk->sk_socket || skc->skc_state == TT_LISTEN || skc->skc_flags & (1UL << SOCK_DEAD))
		return NULL;
	heard = MAP_GET(tt_ports_heard, &key);
	if (!heard || !*heard)
		return NULL;
	listener = MAP_GET(tt_listeners, heard);
	if (!listener)
		return NULL;
	child = tt_add_sock(head->cookie);
	if (!child || child->owner_is != TT_OWNER_UNKNOWN)
		return child;
	child->owner = listener->owner;
	child->owner_is = TT_OWNER_LISTENER;
	child->listener_cookie = *heard;
	child->marks = tt_marks_of_listener(listener);
	child->states = skc->skc_state;
	child->seeded = 1;
	child->is |= TT_SOCK_WAITING;
	return child;
}

/* Of one that is older than the tracer. */
tt_inline void tt_open_older_queue(const struct sock *sk, tt_cookie cookie)
{
	__u32 zero = 0;
	struct tt_queue *queue = CFG(listen_stats) ? MAP_GET(tt_new_queue, &zero) : NULL;

	if (!queue)
		return;
	__builtin_memset(queue, 0, sizeof(*queue));
	queue->sk = (__u64)sk;
	MAP_PUT(tt_queues, &cookie, queue, BPF_NOEXIST);
}

/*
 * Every descriptor of every process. The file is held while this runs, so the
 * socket cannot be destroyed in between and an entry made here cannot be left
 * over. What a probe already knows is not touched.
 */
PROBE_ITER("task_file")
int tt_iter_files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct tt_head head = {};
	struct tt_owner owner = {};
	struct tt_sock *sock;
	struct tt_queue *queue;
	struct tt_listener *listener;
	struct tt_holder_row row = {};
	struct sock *sk;
	tt_marks marks;
	__u8 state;

	if (!task || !file)
		return 0;
	sk = tt_sock_of_walked(file);
	if (!sk)
		return 0;
	READ(TT_TRUSTS_WALKED, state, sk, __sk_common.skc_state);
	head.cookie = tt_give_cookie(&sk->__sk_common);
	head.netns = tt_read_netns(&sk->__sk_common, TT_TRUSTS_WALKED);
	tt_read_tuple(&sk->__sk_common, &head, TT_TRUSTS_WALKED);
	owner.pid = task->tgid;
	owner.start = tt_read_start(task);
	owner.cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	marks = tt_marks_of(&owner);
	sock = tt_find_sock(head.cookie);
	if (!sock)
		sock = tt_add_sock(head.cookie);
	if (!sock) {
		CONTROL_SET(map_full);
	} else if (state != TT_LISTEN) {
		tt_meet_holder(sock, &owner, marks);
	} else if (sock->owner_is == TT_OWNER_UNKNOWN ||
		   (sock->seeded && sock->owner.start > owner.start)) {
		/* held by several: the oldest made it, the others inherited it */
		sock->owner = owner;
		sock->owner_is = TT_OWNER_PROCESS;
		sock->marks = marks;
		sock->seeded = 1;
	}
	/* its row of the task iterator names it: only its end is left to tell */
	MAP_PUT(tt_tasks, &owner.pid, &owner.start, BPF_NOEXIST);
	if (state != TT_LISTEN || tt_control.second_pass)
		return 0;
	if (tt_control.seeding)
		tt_hear_port(&head);
	listener = MAP_GET(tt_listeners, &head.cookie);
	if (listener) {
		bool owns =
			listener->owner.pid == owner.pid && listener->owner.start == owner.start;

		listener->marks |= owns ? marks & ~TT_MARKS_OF_NAME : marks;
	} else {
		struct tt_listener opened = {
			.owner = owner,
			.opener_pid = owner.pid,
			.opener_start = owner.start,
			.sk = (__u64)sk,
			.netns = head.netns,
			.port = head.lport,
			.family = head.family,
			.marks = marks & ~TT_MARKS_OF_NAME,
		};

		READ(TT_TRUSTS_WALKED, opened.uid, sk, sk_uid.val);
		__builtin_memcpy(opened.addr, head.laddr, sizeof(opened.addr));
		tt_open_older_queue(sk, head.cookie);
		MAP_PUT(tt_listeners, &head.cookie, &opened, BPF_NOEXIST);
		if (CFG(kinds) & 1U << TT_KIND_RESET)
			tt_hold_port(&opened, head.cookie, &opened.owner);
		/* one that is full already has been so from the begin of what is told */
		queue = tt_find_queue(head.cookie);
		if (queue)
			tt_look_at_queue(queue, head.cookie, bpf_ktime_get_ns());
	}
	row.cookie = head.cookie;
	row.cgroup_id = owner.cgroup_id;
	__builtin_memcpy(row.laddr, head.laddr, sizeof(row.laddr));
	row.lport = head.lport;
	row.netns = head.netns;
	row.family = head.family;
	row.state = state;
	row.fd = ctx->fd;
	row.marks = marks;
	row.pid = owner.pid;
	row.start = owner.start;
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}

/* What was counted of it. */
tt_inline void tt_fill_queue(struct tt_listener_row *row, const struct tt_queue *queue)
{
	tt_mono_ns since_ns;

	row->finished = queue->finished;
	row->accepts = queue->accepts;
	row->reset_in_queue = queue->reset_in_queue;
	row->never_accepted = queue->never_accepted;
	row->overflows = queue->overflows;
	row->cookies_sent = queue->cookies_sent;
	__builtin_memcpy(row->drops, queue->drops, sizeof(row->drops));
	row->accept_queue_peak = tt_peak(queue->accept_queue_peaks);
	row->syn_queue_peak = tt_peak(queue->syn_queue_peaks);
	row->full_ns = queue->full_ns;
	row->opened_ns = queue->opened_ns;
	/* the span that goes on; read once, as it may end meanwhile */
	since_ns = *(volatile __u64 *)&queue->full_since_ns;
	row->looked_ns = bpf_ktime_get_ns();
	if (since_ns && row->looked_ns > since_ns && row->accept_queue > row->accept_queue_max)
		row->full_ns += row->looked_ns - since_ns;
}

/*
 * Who waits longest: new ones are put at the queue's end (inet_csk_reqsk_queue_add()).
 * It may be taken out meanwhile: then it is told of no more.
 */
tt_inline void tt_fill_oldest(struct tt_listener_row *row, const struct tcp_sock *tp)
{
	const struct request_sock *first =
		BPF_CORE_READ(tp, inet_conn.icsk_accept_queue.rskq_accept_head);
	const struct sock *child = first ? BPF_CORE_READ(first, sk) : NULL;
	struct tt_sock *sock = child ? tt_find_sock(tt_read_cookie(&child->__sk_common)) : NULL;

	if (!sock || sock->listener_cookie != row->cookie || !(sock->is & TT_SOCK_WAITING))
		return;
	row->oldest_is = sock->established_ns ? TT_DWELL_EXACT : TT_DWELL_AT_LEAST;
	row->oldest_ns = bpf_ktime_get_ns() -
			 (sock->established_ns ? sock->established_ns : tt_control.attached_ns);
}

/* What is known of it from tracing: whose it is, and what was counted; its owner's marks. */
tt_inline tt_marks tt_recall_listener(struct tt_listener_row *row, const struct tcp_sock *tp)
{
	struct tt_listener *listener = MAP_GET(tt_listeners, &row->cookie);
	struct tt_queue *queue = tt_find_queue(row->cookie);
	tt_marks marks = 0;

	if (listener) {
		marks = tt_marks_of_listener(listener);
		row->pid = listener->owner.pid;
		row->start = listener->owner.start;
		row->cgroup_id = listener->owner.cgroup_id;
	}
	if (queue)
		tt_fill_queue(row, queue);
	tt_fill_oldest(row, tp);
	return marks;
}

/* Every listening socket of the namespace of the thread that made the iterator. */
PROBE_ITER("tcp")
int tt_iter_listeners(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	struct tt_listener_row row = {};
	struct tt_head head = {};
	struct tcp_sock *tp;
	struct net *net;
	tt_marks marks = 0;

	if (!skc || skc->skc_state != TT_LISTEN)
		return 0;
	tp = bpf_skc_to_tcp_sock(skc);
	if (!tp)
		return 0;
	head.cookie = tt_give_cookie(skc);
	head.netns = tt_read_netns(skc, true);
	tt_read_tuple(skc, &head, true);
	row.cookie = head.cookie;
	row.netns = head.netns;
	row.port = head.lport;
	row.family = head.family;
	__builtin_memcpy(row.addr, head.laddr, sizeof(row.addr));
	row.accept_queue = tp->inet_conn.icsk_inet.sk.sk_ack_backlog;
	row.accept_queue_max = tp->inet_conn.icsk_inet.sk.sk_max_ack_backlog;
	if (!CFG(alone))
		marks = tt_recall_listener(&row, tp);
	row.syn_queue = tp->inet_conn.icsk_accept_queue.qlen.counter;
	row.syn_queue_max = row.accept_queue_max; /* inet_csk_reqsk_queue_is_full() */
	row.defer_accept = tp->inet_conn.icsk_accept_queue.rskq_defer_accept;
	row.fastopen = tp->inet_conn.icsk_accept_queue.fastopenq.max_qlen > 0;
	row.reuseport = BPF_CORE_READ_BITFIELD_PROBED(skc, skc_reuseport);
	bpf_core_read(&net, sizeof(net), &skc->skc_net.net);
	bpf_core_read(&row.somaxconn, sizeof(row.somaxconn), &net->core.sysctl_somaxconn);
	bpf_core_read(&row.max_syn_backlog, sizeof(row.max_syn_backlog),
		      &net->ipv4.sysctl_max_syn_backlog);
	bpf_core_read(&row.syncookies, 1, &net->ipv4.sysctl_tcp_syncookies);
	row.uid = tp->inet_conn.icsk_inet.sk.sk_uid.val;
	row.matched = tt_refuses(&head, row.uid, 1U << TT_LISTEN, marks) == TT_FILTER_NONE;
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}

/* SYNs or SYN-ACKs that an attempt which goes on had to send again. */
tt_inline tt_count tt_read_retransmits(struct sock_common *skc, __u8 state)
{
	const struct tcp_sock *tp;
	__u8 again = 0;

	if (state == TT_NEW_SYN_RECV) {
		bpf_core_read(&again, 1, &((struct request_sock *)skc)->num_retrans);
		return again;
	}
	tp = state == TT_SYN_SENT ? bpf_skc_to_tcp_sock(skc) : NULL;
	return tp ? tp->total_retrans : 0;
}

/* A handshake that a listener waits for: since when, and whose it is; its owner's marks. */
tt_inline tt_marks tt_fill_request(struct tt_sock_row *row, struct sock_common *skc)
{
	const struct tcp_request_sock *req = (const void *)skc;
	const struct sock *owner = NULL;
	struct tt_listener *listener;
	__u64 sent_us = 0, now_ns = bpf_ktime_get_ns();

	bpf_core_read(&sent_us, sizeof(sent_us), &req->snt_synack);
	if (sent_us && now_ns > sent_us * 1000) {
		row->age_ns = now_ns - sent_us * 1000;
		row->age_is = TT_DWELL_EXACT;
	}
	bpf_core_read(&owner, sizeof(owner), &skc->skc_listener);
	bpf_core_read(&row->uid, sizeof(row->uid), &owner->sk_uid.val);
	row->listener_cookie = owner ? tt_read_cookie(&owner->__sk_common) : 0;
	listener = MAP_GET(tt_listeners, &row->listener_cookie);
	if (!listener)
		return 0;
	row->pid = listener->owner.pid;
	row->start = listener->owner.start;
	row->cgroup_id = listener->owner.cgroup_id;
	row->owner_is = row->pid ? TT_OWNER_LISTENER : TT_OWNER_KERNEL;
	return tt_marks_of_listener(listener);
}

tt_inline bool tt_is_taken(struct sock_common *skc)
{
	const struct tcp_sock *tp = bpf_skc_to_tcp_sock(skc);

	return tp && tp->inet_conn.icsk_inet.sk.sk_socket;
}

/* Mini-sockets have none of their own. */
tt_inline tt_uid tt_uid_of(struct sock_common *skc)
{
	const struct tcp_sock *tp = bpf_skc_to_tcp_sock(skc);

	return tp ? tp->inet_conn.icsk_inet.sk.sk_uid.val : TT_NOBODY;
}

/* A mini-socket may stand for FIN_WAIT2, the peer's FIN still to come: as `ss` shows it. */
tt_inline __u8 tt_read_substate(struct sock_common *skc)
{
	__u8 state = TT_TIME_WAIT;

	bpf_core_read(&state, 1, &((struct inet_timewait_sock *)skc)->tw_substate);
	return state;
}

/* Every TCP socket of the namespace of the thread that made the iterator. */
PROBE_ITER("tcp")
int tt_iter_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	struct tt_sock_row row = {};
	struct tt_head head = {};
	const struct tcp_sock *tp;
	struct tt_sock *sock;
	tt_ns age_ns;
	__u8 state;
	tt_marks marks = 0;

	if (!skc)
		return 0;
	head.cookie = tt_give_cookie(skc);
	head.netns = tt_read_netns(skc, true);
	tt_read_tuple(skc, &head, true);
	state = skc->skc_state;
	sock = tt_find_sock(head.cookie);
	if (!sock && tt_control.seeding)
		sock = tt_seed_child(skc, &head);
	row.uid = tt_uid_of(skc);
	row.looked_us = bpf_ktime_get_ns() / 1000;
	row.age_is = TT_DWELL_AT_LEAST;
	if (sock) {
		tt_mark_again(sock);
		marks = sock->marks;
		row.pid = sock->owner.pid;
		row.start = sock->owner.start;
		row.cgroup_id = sock->owner.cgroup_id;
		row.owner_is = sock->owner_is;
		row.listener_cookie = sock->listener_cookie;
		/* one that waited before tracing has done so at least since then; what accept() was
		 * not seen to take waits no longer if it has a struct socket
		 */
		if (sock->is & TT_SOCK_WAITING && !tt_is_taken(skc))
			row.waiting_ns = bpf_ktime_get_ns() - (sock->established_ns
								       ? sock->established_ns
								       : tt_control.attached_ns);
		if (sock->since_ns) {
			row.age_is = TT_DWELL_EXACT;
			row.age_ns = bpf_ktime_get_ns() - sock->since_ns;
		} else {
			row.age_ns = bpf_ktime_get_ns() - tt_control.attached_ns;
			tp = state == TT_CLOSE_WAIT ? bpf_skc_to_tcp_sock(skc) : NULL;
			age_ns = tp ? tt_in_close_wait(tp, bpf_jiffies64()) : 0;
			if (row.age_ns < age_ns)
				row.age_ns = age_ns;
		}
	} else if (state == TT_TIME_WAIT) {
		__u32 place = head.cookie % TT_REMAINS;
		struct tt_remains *remains = MAP_GET(tt_timewaits, &place);

		if (remains && remains->cookie == head.cookie) {
			marks = remains->marks;
			row.pid = remains->owner.pid;
			row.start = remains->owner.start;
			row.cgroup_id = remains->owner.cgroup_id;
			row.owner_is = remains->owner_is;
			row.uid = remains->uid;
		}
		state = tt_read_substate(skc);
	}
	if (state == TT_NEW_SYN_RECV)
		marks = tt_fill_request(&row, skc);
	if (state == TT_LISTEN) {
		/* who accepted last, and whether any holder is asked for */
		struct tt_listener *listener = MAP_GET(tt_listeners, &head.cookie);

		if (listener) {
			marks = tt_marks_of_listener(listener);
			row.pid = listener->owner.pid;
			row.start = listener->owner.start;
			row.cgroup_id = listener->owner.cgroup_id;
		}
	}
	row.cookie = head.cookie;
	__builtin_memcpy(row.laddr, head.laddr, sizeof(row.laddr));
	__builtin_memcpy(row.raddr, head.raddr, sizeof(row.raddr));
	row.lport = head.lport;
	row.rport = head.rport;
	row.netns = head.netns;
	row.family = head.family;
	row.state = state;
	row.syn_retransmits = tt_read_retransmits(skc, state);
	row.matched = tt_refuses(&head, row.uid, 1U << (state & 15), marks) == TT_FILTER_NONE;
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}
