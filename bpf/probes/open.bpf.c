/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Iterators: what is open now, with all that the kernel keeps of it. They stand
 * alone, with nothing traced, or beside the probes, which know more of some.
 */
#include "../emit.h"
#include "../files.h"
#include "../measure.h"
#include "../owner.h"
#include "../socks.h"

/* Every descriptor of a TCP socket, of every process: who holds what, decided in user space. */
PROBE_ITER("task_file")
int tt_iter_holders(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct tt_holder_row row = {};
	struct tt_head head = {};
	struct sock *sk;

	if (!task || !file)
		return 0;
	sk = tt_sock_of_walked(file);
	if (!sk)
		return 0;
	row.cookie = tt_give_cookie(&sk->__sk_common);
	READ(TT_TRUSTS_WALKED, row.state, sk, __sk_common.skc_state);
	if (row.state == TT_LISTEN) { /* by its place is found who waits there */
		row.netns = tt_read_netns(&sk->__sk_common, TT_TRUSTS_WALKED);
		tt_read_tuple(&sk->__sk_common, &head, TT_TRUSTS_WALKED);
		__builtin_memcpy(row.laddr, head.laddr, sizeof(row.laddr));
		row.lport = head.lport;
		row.family = head.family;
	}
	row.fd = ctx->fd;
	row.pid = task->tgid;
	row.start = tt_read_start(task);
	row.cgroup_id = task->cgroups->dfl_cgrp->kn->id;
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}

/* A handshake that a listener waits for. */
tt_inline void tt_measure_request(struct tt_open_row *row, struct sock_common *skc)
{
	const struct tcp_request_sock *req = (const void *)skc;
	const struct sock *listener = NULL;
	__u64 sent_us = 0;
	__u8 again = 0;

	bpf_core_read(&sent_us, sizeof(sent_us), &req->snt_synack);
	bpf_core_read(&again, 1, &((struct request_sock *)skc)->num_retrans);
	bpf_core_read(&listener, sizeof(listener), &skc->skc_listener);
	bpf_core_read(&row->uid, sizeof(row->uid), &listener->sk_uid.val);
	row->role = TT_ROLE_PASSIVE;
	row->retransmits = again;
	row->listener_cookie = listener ? tt_read_cookie(&listener->__sk_common) : 0;
	if (sent_us && row->head.mono_ns > sent_us * 1000) {
		row->age_ns = row->life_ns = row->head.mono_ns - sent_us * 1000;
		row->age_is = TT_DWELL_EXACT;
	}
}

/* What is known from tracing: whose it is, and since when; its owner's marks. */
tt_inline tt_marks tt_recall(struct tt_open_row *row)
{
	struct tt_sock *sock = tt_find_sock(row->head.cookie);
	struct tt_listener *listener;

	if (row->state == TT_NEW_SYN_RECV || row->state == TT_LISTEN) {
		tt_cookie cookie =
			row->state == TT_LISTEN ? row->head.cookie : row->listener_cookie;

		listener = MAP_GET(tt_listeners, &cookie);
		if (!listener)
			return 0;
		row->head.pid = listener->owner.pid;
		row->head.start = listener->owner.start;
		row->head.cgroup_id = listener->owner.cgroup_id;
		row->head.owner_is = row->state == TT_LISTEN ? TT_OWNER_PROCESS : TT_OWNER_LISTENER;
		return tt_marks_of_listener(listener);
	}
	if (!sock)
		return 0;
	tt_mark_again(sock);
	row->head.pid = sock->owner.pid;
	row->head.start = sock->owner.start;
	row->head.cgroup_id = sock->owner.cgroup_id;
	row->head.owner_is = sock->owner_is;
	row->listener_cookie = sock->listener_cookie;
	if (sock->since_ns && row->head.mono_ns > sock->since_ns) {
		row->age_ns = row->head.mono_ns - sock->since_ns;
		row->age_is = TT_DWELL_EXACT;
		if (row->state == TT_ESTABLISHED) {
			row->life_ns = row->age_ns;
			row->life_is = TT_DWELL_EXACT;
		}
	}
	return sock->marks;
}

/* Every TCP socket of the namespace of the thread that made the iterator. */
PROBE_ITER("tcp")
int tt_iter_open(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	struct tt_open_row row = {};
	const struct tcp_sock *tp;
	tt_marks marks = 0;

	if (!skc)
		return 0;
	row.state = skc->skc_state;
	row.age_is = TT_DWELL_AT_LEAST;
	row.head.mono_ns = bpf_ktime_get_ns();
	row.head.cookie = tt_give_cookie(skc);
	row.head.netns = tt_read_netns(skc, true);
	tt_read_tuple(skc, &row.head, true);
	row.uid = TT_NOBODY;
	if (row.state == TT_TIME_WAIT) {
		/* the peer's FIN may still be to come: as `ss` shows it */
		bpf_core_read(&row.state, 1, &((struct inet_timewait_sock *)skc)->tw_substate);
		/* beside the probes nobody asks for these, and there may be many */
		if (!CFG(alone) && row.state == TT_TIME_WAIT)
			return 0;
	} else if (row.state == TT_NEW_SYN_RECV) {
		tt_measure_request(&row, skc);
	} else {
		tp = bpf_skc_to_tcp_sock(skc);
		if (!tp)
			return 0;
		tt_measure(&row, skc, tp);
	}
	if (!CFG(alone))
		marks = tt_recall(&row);
	row.matched =
		tt_refuses(&row.head, row.uid, 1U << (row.state & 15), marks) == TT_FILTER_NONE;
	bpf_seq_write(ctx->meta->seq, &row, sizeof(row));
	return 0;
}
