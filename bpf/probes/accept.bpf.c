/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * accept() took a finished connection: from here on the acceptor owns it.
 *
 * Attach, first that loads: fexit/inet_csk_accept; else the exits of accept4
 * and accept, where the socket is found through the descriptor that was
 * returned. The second costs every system call of the machine some 33 ns.
 */
#include "../emit.h"
#include "../owner.h"
#include "../sock.h"
#include "../socks.h"

/* What a record says of the listener, while it still listens. */
tt_inline void tt_describe_listener(struct tt_accept *event, const struct tt_listener *listener)
{
	const struct sock *sk = (const struct sock *)listener->sk;

	event->listener_pid = listener->owner.pid;
	event->listener_start = listener->owner.start;
	event->listener_port = listener->port;
	event->listener_family = listener->family;
	__builtin_memcpy(event->listener_addr, listener->addr, sizeof(event->listener_addr));
	/* the pointer may be stale by now: believe it only if it still is that socket */
	if (sk && tt_read_cookie(&sk->__sk_common) == event->listener_cookie) {
		bpf_core_read(&event->accept_queue, sizeof(__u32), &sk->sk_ack_backlog);
		bpf_core_read(&event->accept_queue_max, sizeof(__u32), &sk->sk_max_ack_backlog);
	}
}

tt_inline void tt_send_accept(void *ctx, const struct tt_head *head, const struct tt_sock *sock,
			      const struct tt_listener *listener, struct tt_stats *stats)
{
	struct tt_large large = {};
	struct tt_accept *event = &large.accept;

	event->head = *head;
	if (sock) {
		event->listener_cookie = sock->listener_cookie;
		event->established_ns = sock->established_ns;
		event->handshake_us = sock->handshake_us;
		event->state = sock->state;
		/* the child is queued some us before it is ESTABLISHED */
		if (sock->established_ns && head->mono_ns > sock->established_ns)
			event->wait_ns = head->mono_ns - sock->established_ns;
		if (listener)
			tt_describe_listener(event, listener);
	}
	tt_send(ctx, tt_large, TT_KIND_ACCEPT, &large, stats);
}

tt_inline int tt_accepted(void *ctx, const struct sock *sk)
{
	struct tt_stats *stats = tt_get_stats(TT_SLOT_PROCESS);
	struct tt_listener *listener = NULL;
	struct tt_head head = {};
	struct tt_owner acceptor;
	struct tt_sock *sock;
	bool matched;

	if (!stats)
		return 0;
	head.mono_ns = bpf_ktime_get_ns();
	head.kind = TT_KIND_ACCEPT;
	head.cookie = tt_read_cookie(&sk->__sk_common);
	head.owner_is = tt_current_owner(ctx, stats, head.mono_ns, &acceptor);
	head.pid = acceptor.pid;
	head.start = acceptor.start;
	head.cgroup_id = acceptor.cgroup_id;
	head.oncpu_pid = bpf_get_current_pid_tgid() >> 32;
	matched = tt_is_target(acceptor.pid, acceptor.start);
	/* one older than the tracer, whose listener is not to be told, is known from here on */
	sock = tt_find_sock(head.cookie);
	if (!sock)
		sock = tt_add_sock(head.cookie);
	if (sock) {
		sock->owner = acceptor;
		sock->owner_is = head.owner_is;
		sock->matched = matched;
		sock->seeded = 0;
		if (!sock->state)
			bpf_core_read(&sock->state, 1, &sk->__sk_common.skc_state);
		if (sock->listener_cookie)
			listener = MAP_GET(tt_listeners, &sock->listener_cookie);
	}
	if (tt_is_live()) {
		if (tt_needs_tuple(matched)) {
			head.netns = tt_read_netns(&sk->__sk_common, false);
			tt_read_tuple(&sk->__sk_common, &head, false);
		}
		if (tt_admit(stats, TT_KIND_ACCEPT, &head, sock ? 1U << (sock->state & 15) : 0,
			     matched) &&
		    CFG(stream))
			tt_send_accept(ctx, &head, sock, listener, stats);
	}
	if (listener) {
		listener->owner = acceptor;
		listener->matched |= matched;
	}
	return 0;
}

PROBE_FEXIT("inet_csk_accept")
int tt_accept_fexit(__u64 *ctx)
{
	const struct sock *sk = tt_accepted_sock(ctx);
	__u16 protocol = 0;

	if (!sk)
		return 0;
	bpf_core_read(&protocol, sizeof(protocol), &sk->sk_protocol);
	return protocol == IPPROTO_TCP ? tt_accepted(ctx, sk) : 0;
}

/* From a new descriptor of the current task to its TCP socket, or NULL. */
tt_inline const struct sock *tt_sock_of_fd(long fd)
{
	const struct task_struct *task = tt_task_btf();
	struct file **fds;
	struct file *file = NULL;
	const struct socket *socket;
	const struct sock *sk;

	if (task)
		fds = task->files->fdt->fd;
	else
		fds = BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), files, fdt, fd);
	bpf_probe_read_kernel(&file, sizeof(file), fds + fd);
	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	sk = BPF_CORE_READ(socket, sk);
	if (!sk || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return NULL;
	return sk;
}

tt_inline int tt_accept_returned(struct trace_event_raw_sys_exit *ctx)
{
	const struct sock *sk;

	if (ctx->ret < 0)
		return 0;
	sk = tt_sock_of_fd(ctx->ret);
	return sk ? tt_accepted(ctx, sk) : 0;
}

PROBE_TRACEPOINT("syscalls/sys_exit_accept4")
int tt_accept4_exit(struct trace_event_raw_sys_exit *ctx)
{
	return tt_accept_returned(ctx);
}

PROBE_TRACEPOINT("syscalls/sys_exit_accept")
int tt_accept_exit(struct trace_event_raw_sys_exit *ctx)
{
	return tt_accept_returned(ctx);
}
