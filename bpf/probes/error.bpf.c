/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Errors that applications are told of: sk_error_report() wakes whoever waits on the socket, after
 * sk_err was set. Not of sockets that nobody holds any more, which it is not called for.
 *
 * Attach: tp_btf; the tracepoint is there since Linux commit e6a3e4434000 ("net: sock: add trace
 * for socket errors") (in v5.14).
 */
#include "../broken.h"
#include "../sock.h"

PROBE_BTF("inet_sk_error_report")
int BPF_PROG(tt_error_reported, const struct sock *sk)
{
	struct tt_stats *stats = tt_get_stats(TT_SLOT_ERROR);
	__u32 slot = TT_SLOT_ERROR;
	struct tt_bench *bench = MAP_GET(tt_benches, &slot);
	struct tt_error *event;
	struct tt_was was = {};
	int state;

	if (sk->sk_protocol != IPPROTO_TCP || !sk->sk_err || !stats || !bench || !tt_is_live())
		return 0;
	state = sk->__sk_common.skc_state;
	event = &bench->large.error;
	__builtin_memset(&bench->large, 0, sizeof(bench->large));
	event->head.kind = TT_KIND_ERROR;
	event->head.mono_ns = bpf_ktime_get_ns();
	event->head.cookie = tt_get_cookie(sk);
	event->head.netns = tt_read_netns(&sk->__sk_common, true);
	event->error = sk->sk_err;
	event->ended = state == TT_CLOSE;
	event->uid = tt_read_uid(sk, true);
	tt_recall_sock(&event->head, state, &was, &event->uid);
	event->state = was.state;
	tt_read_full_tuple(sk, TT_CLOSE, &event->head);
	/* tcp_disconnect(), which takes the peer away: our side let go of it, and knows */
	if (event->error == ECONNRESET && !event->head.rport)
		return 0;
	if (!tt_admit(stats, TT_KIND_ERROR, &event->head, event->uid, 1U << (was.state & 15),
		      was.marks, tt_refuses_end(true, 0)) ||
	    !CFG(stream))
		return 0;
	event->head.oncpu_pid = bpf_get_current_pid_tgid() >> 32;
	tt_send(ctx, tt_large, TT_KIND_ERROR, &bench->large, stats);
	return 0;
}
