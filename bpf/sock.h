/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The only file that reads struct sock. */
#ifndef TT_SOCK_H
#define TT_SOCK_H

#include "compat.h"
#include "events.h"
#include "maps.h"

tt_inline bool tt_is_v4mapped(const __u8 *addr)
{
	const __u32 *word = (const __u32 *)addr;

	return word[0] == 0 && word[1] == 0 && word[2] == bpf_htonl(0xffff);
}

tt_inline void tt_map_v4(__u8 *addr, __be32 v4)
{
	__u32 *word = (__u32 *)addr;

	word[0] = 0;
	word[1] = 0;
	word[2] = bpf_htonl(0xffff);
	word[3] = v4;
}

/*
 * Ask for it early in a program: to check a pointer taken through a trusted one,
 * the verifier searches the kernel's types, on every road that leads there.
 */
tt_inline tt_netns tt_read_netns(const struct sock_common *skc, const bool trusted)
{
	struct net *net;
	tt_netns inode;

	READ(trusted, net, skc, skc_net.net);
	READ(trusted, inode, net, ns.inum);
	return inode;
}

/* Addresses, ports and family of the packets of any kind of TCP socket. */
tt_inline void tt_read_tuple(const struct sock_common *skc, struct tt_head *head,
			     const bool trusted)
{
	__u16 family, lport;
	__be16 rport;

	READ(trusted, family, skc, skc_family);
	READ(trusted, lport, skc, skc_num);
	READ(trusted, rport, skc, skc_dport);
	head->lport = lport;
	head->rport = bpf_ntohs(rport);
	if (family == AF_INET6) {
		struct in6_addr *local = (struct in6_addr *)head->laddr;
		struct in6_addr *remote = (struct in6_addr *)head->raddr;

		READ(trusted, *local, skc, skc_v6_rcv_saddr);
		READ(trusted, *remote, skc, skc_v6_daddr);
		head->family = tt_is_v4mapped(head->raddr) ? 4 : 6;
	} else {
		__be32 local, remote;

		READ(trusted, local, skc, skc_rcv_saddr);
		READ(trusted, remote, skc, skc_daddr);
		tt_map_v4(head->laddr, local);
		tt_map_v4(head->raddr, remote);
		head->family = 4;
	}
}

/*
 * The tuple of a socket on its way to state `new`. tcp_set_state(TCP_CLOSE)
 * gives an unbound client's port back, and clears skc_num, before the
 * tracepoint fires; inet_sport keeps it.
 */
tt_inline void tt_read_full_tuple(const struct sock *sk, int new, struct tt_head *head)
{
	const struct tcp_sock *tp;

	tt_read_tuple(&sk->__sk_common, head, true);
	if (new != TT_CLOSE || head->lport)
		return;
	tp = bpf_skc_to_tcp_sock((void *)sk);
	if (tp)
		head->lport = bpf_ntohs(tp->inet_conn.icsk_inet.inet_sport);
}

/*
 * Whose the socket is, as `ss -e` has it: of who made it and, once it is accepted, of
 * who did that. 0 where nobody asks.
 */
tt_inline tt_uid tt_read_uid(const struct sock *sk, const bool trusted)
{
	tt_uid uid = 0;

	if (CFG(filter_uid) || CFG(not_uid) || CFG(keep_uid))
		READ(trusted, uid, sk, sk_uid.val);
	return uid;
}

/* The cookie as it stands; 0: none yet. */
tt_inline tt_cookie tt_kernels_cookie(const struct sock_common *skc)
{
	tt_cookie cookie = 0;

	bpf_core_read(&cookie, sizeof(cookie), &skc->skc_cookie.counter);
	return cookie;
}

#ifdef TT_NUMBERED
#include "numbers.h"
#else
/* The same through a pointer that the verifier trusts. */
tt_inline tt_cookie tt_known_cookie(const struct sock *sk)
{
	return sk->__sk_common.skc_cookie.counter;
}

/* The cookie, given out on first asking: read where it is, as a call costs more. */
tt_inline tt_cookie tt_get_cookie(const struct sock *sk)
{
	tt_cookie cookie = tt_known_cookie(sk);

	return cookie ? cookie : bpf_get_socket_cookie((void *)sk);
}

/* The cookie of what an iterator meets, of whatever kind it is. */
tt_inline tt_cookie tt_give_cookie(struct sock_common *skc)
{
	return bpf_get_socket_cookie(skc);
}

/* The same for programs that may not ask for one; 0: none yet. */
tt_inline tt_cookie tt_read_cookie(const struct sock_common *skc)
{
	return tt_kernels_cookie(skc);
}

tt_inline void tt_forget_cookie(const struct sock *sk)
{
}
#endif

/* Whether accept() gave it a struct socket; a copy, as following a checked pointer takes long. */
tt_inline bool tt_has_file(const struct sock *sk)
{
	struct socket *socket = NULL;

	bpf_core_read(&socket, sizeof(socket), &sk->sk_socket);
	return socket;
}

/*
 * The listener that a child was cloned from; to be asked at its
 * LISTEN->SYN_RECV alone. inet_csk_clone_lock() copies the listener's tcp_sock
 * as it is and tells of the new state before tcp_create_openreq_child() makes
 * the copy's lists its own. The head of an empty list points to itself: in the
 * copy it still points into the listener. tsorted_sent_queue, which is empty
 * while a socket listens, is there since Linux commit e2080072ed2d ("tcp: new
 * list for sent but unacked skbs for RACK recovery") (in v4.15).
 */
tt_inline const struct sock *tt_read_listener(const struct sock *child)
{
	const struct tcp_sock *tp = bpf_skc_to_tcp_sock((void *)child);
	const void *head;

	if (!tp)
		return NULL;
	head = tp->tsorted_sent_queue.next;
	/* struct tcp_sock begins with its struct sock */
	return head - bpf_core_field_offset(struct tcp_sock, tsorted_sent_queue);
}

tt_inline tt_cookie tt_read_listener_cookie(const struct sock *child)
{
	const struct sock *listener = tt_read_listener(child);

	return listener ? tt_read_cookie(&listener->__sk_common) : 0;
}

/*
 * The error that a socket ends with on its way to CLOSE; 0: none. What else stands in sk_err was
 * told to the application, which went on: of one that asks for that (IP_RECVERR) what an ICMP
 * message said, of one that encrypts (kTLS) a bad record. What a connection does not survive is
 * set by tcp_reset(), tcp_abort() and tcp_write_err(), which says what was said of it before
 * (sk_err_soft) rather than ETIMEDOUT; an attempt survives none.
 */
tt_inline int tt_read_end_error(const struct sock *sk, int old)
{
	int error = sk->sk_err;

	switch (error) {
	case ECONNABORTED:
	case ECONNRESET:
	case EPIPE:
	case ETIMEDOUT:
		return error;
	default:
		return old == TT_SYN_SENT || old == TT_SYN_RECV || error == sk->sk_err_soft ? error
											    : 0;
	}
}

/*
 * Which mini-socket takes over when a full socket in FIN_WAIT2 or CLOSING goes
 * to CLOSE; 0: none. tcp_time_wait() has two callers' kinds (net/ipv4/tcp.c,
 * tcp_input.c): tcp_fin() and the last ACK of CLOSING, after the peer's FIN
 * set SOCK_DONE: TIME_WAIT; and, the peer's FIN still to come, an orphan
 * (SOCK_DEAD) whose own FIN was answered: FIN_WAIT2. The rest is no handing
 * over: an error, TCP_LINGER2 below 0, tcp_disconnect().
 */
tt_inline __u8 tt_read_timewait(const struct sock *sk, int old)
{
	const struct tcp_sock *tp;
	unsigned long flags;

	if (old != TT_FIN_WAIT2 && old != TT_CLOSING)
		return TT_NONE;
	if (tt_read_end_error(sk, old))
		return TT_NONE;
	flags = sk->__sk_common.skc_flags;
	if (flags & (1UL << SOCK_DONE))
		return TT_TIME_WAIT;
	if (old != TT_FIN_WAIT2 || !(flags & (1UL << SOCK_DEAD)))
		return TT_NONE;
	tp = bpf_skc_to_tcp_sock((void *)sk);
	return tp && tp->linger2 >= 0 ? TT_FIN_WAIT2 : TT_NONE;
}

#endif
