/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Connections accepted through io_uring, which makes no system call that could
 * be watched. Only where accept() is watched by its system calls: on its other
 * rung io_uring comes by as well.
 *
 * Attach: raw_tp, on tracepoints of io_uring alone: who does not use it pays
 * nothing. A request may be NULL there, which tp_btf promises it is not.
 *
 * The answer to an accept is posted as soon as the descriptor is installed, in
 * the process it is for: the socket is found by it, as at the end of a system
 * call. One that posts no answer (IOSQE_CQE_SKIP_SUCCESS), or puts the socket
 * where this kernel's types do not lead to, is told by the first that is done
 * with it; what is in a ring's own table can only be used through io_uring.
 */
#include "../accept.h"
#include "../files.h"

/* Whether nobody was seen to accept it. */
tt_inline bool tt_is_untaken(const struct sock *sk)
{
	const struct tt_sock *sock = tt_find_sock(tt_read_cookie(&sk->__sk_common));

	return sock && (sock->is & TT_SOCK_WAITING ||
			(sock->listener_cookie && sock->owner_is == TT_OWNER_LISTENER));
}

/* The TCP socket in a slot of the ring's own table, or NULL. */
tt_inline const struct sock *tt_sock_of_slot(const struct io_ring_ctx *ring, __u32 slot)
{
	const struct file *file = tt_file_of_slot(ring, slot);

	return file ? tt_sock_of_file(file) : NULL;
}

/* What is to be told: a socket that was taken, or a listener whose accept failed. */
struct tt_took {
	const struct sock *sk; /* NULL: nothing */
	int error;
	enum tt_precision precision;
};

/* An answer that may be to an accept: `slots` and `fds` are where its number may lead to. */
tt_inline void tt_find_taken(struct tt_took *took, const struct io_ring_ctx *ring, __u32 number,
			     bool fds, bool slots)
{
	const struct sock *sk = fds ? tt_sock_of_number(number) : NULL;

	if (slots && (!sk || !tt_is_untaken(sk)))
		sk = tt_sock_of_slot(ring, number);
	took->sk = sk && tt_is_untaken(sk) ? sk : NULL;
	took->precision = TT_PRECISION_EXACT;
}

/* Something is done with a socket that is in the ring's own table. */
tt_inline void tt_find_used(struct tt_took *took, const struct io_kiocb *req)
{
	const struct sock *sk;
	__u32 flags = 0;

	bpf_core_read(&flags, sizeof(flags), &req->flags);
	if (!(flags & REQ_F_FIXED_FILE))
		return;
	sk = tt_sock_of_file(BPF_CORE_READ(req, file));
	took->sk = sk && tt_is_untaken(sk) ? sk : NULL;
	took->precision = TT_PRECISION_FIRST_IO;
}

tt_inline void tt_find_answered(struct tt_took *took, const struct io_ring_ctx *ring,
				const struct io_kiocb *req, int result, __u32 flags)
{
	__u32 slot;

	/* one of many answers to one request; those to an accept come without a buffer */
	if (!req) {
		if (result >= 0 && !(flags & IORING_CQE_F_BUFFER))
			tt_find_taken(took, ring, result, true, true);
	} else if (BPF_CORE_READ(req, opcode) != IORING_OP_ACCEPT) {
		if (result >= 0)
			tt_find_used(took, req);
	} else if (result >= 0) {
		slot = tt_slot_wanted(req);
		if (slot && slot != IORING_FILE_INDEX_ALLOC)
			result = slot - 1;
		tt_find_taken(took, ring, result, !slot, slot);
	} else if (tt_is_accept_failure(-result)) {
		took->sk = tt_sock_of_file(BPF_CORE_READ(req, file));
		took->error = -result;
	}
}

/* At one place in each program: what this comes to is most of what the verifier has to see. */
tt_inline int tt_tell_took(void *ctx, const struct tt_took *took)
{
	if (!took->sk)
		return 0;
	if (took->error)
		return tt_accept_failed(ctx, took->sk, took->error);
	return tt_accepted(ctx, took->sk, took->precision);
}

PROBE_RAW("io_uring_complete")
int tt_uring_complete(struct bpf_raw_tracepoint_args *ctx)
{
	const struct io_ring_ctx *ring = (const void *)ctx->args[0];
	const struct io_kiocb *req = (const void *)ctx->args[1];
	struct tt_took took = {};
	__u32 flags;
	int result;

	if (!tt_read_answer(ctx, CFG(uring), &result, &flags))
		return 0;
	tt_find_answered(&took, ring, req, result, flags);
	return tt_tell_took(ctx, &took);
}

/* An answer that finds the ring full is kept for later; whose it is is not told. */
PROBE_RAW("io_uring_cqe_overflow")
int tt_uring_overflow(struct bpf_raw_tracepoint_args *ctx)
{
	struct tt_took took = {};

	tt_find_answered(&took, (const void *)ctx->args[0], NULL, ctx->args[2], ctx->args[3]);
	return tt_tell_took(ctx, &took);
}

/* A request waits for its socket to have something: with many answers it has no end to be seen at.
 */
PROBE_RAW("io_uring_poll_arm")
int tt_uring_waits(struct bpf_raw_tracepoint_args *ctx)
{
	struct tt_took took = {};

	tt_find_used(&took, (const void *)ctx->args[0]);
	return tt_tell_took(ctx, &took);
}
