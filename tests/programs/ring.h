/* SPDX-License-Identifier: MIT */
/* One io_uring, without a library: requests, answers, slots. */
#ifndef TT_RING_H
#define TT_RING_H

#include <arpa/inet.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MOST 1024

static struct {
	int fd;
	unsigned *head, *tail, *mask, *array; /* of the queue of requests */
	unsigned *answer_head, *answer_tail, *answer_mask;
	struct io_uring_sqe *requests;
	struct io_uring_cqe *answers;
	unsigned waiting; /* requests that the kernel was not told of yet */
	int polled;
	int more; /* answers to the request that was answered last */
} ring;

static inline void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static inline long long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static inline void make_ring(unsigned flags, unsigned answers)
{
	struct io_uring_params params = {.flags = flags, .cq_entries = answers};
	char *area;
	size_t size;

	params.flags |= answers ? IORING_SETUP_CQSIZE : 0;
	ring.polled = !!(flags & IORING_SETUP_SQPOLL);
	ring.fd = syscall(SYS_io_uring_setup, 8, &params);
	if (ring.fd < 0)
		fail("io_uring_setup");
	/* IORING_FEAT_SINGLE_MMAP: both queues in one area, as long as the longer */
	size = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
	if (size < params.sq_off.array + params.sq_entries * sizeof(unsigned))
		size = params.sq_off.array + params.sq_entries * sizeof(unsigned);
	area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_SQ_RING);
	ring.requests = mmap(NULL, params.sq_entries * sizeof(struct io_uring_sqe),
			     PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd, IORING_OFF_SQES);
	if (area == MAP_FAILED || ring.requests == MAP_FAILED)
		fail("mmap");
	ring.head = (unsigned *)(area + params.sq_off.head);
	ring.tail = (unsigned *)(area + params.sq_off.tail);
	ring.mask = (unsigned *)(area + params.sq_off.ring_mask);
	ring.array = (unsigned *)(area + params.sq_off.array);
	ring.answer_head = (unsigned *)(area + params.cq_off.head);
	ring.answer_tail = (unsigned *)(area + params.cq_off.tail);
	ring.answer_mask = (unsigned *)(area + params.cq_off.ring_mask);
	ring.answers = (struct io_uring_cqe *)(area + params.cq_off.cqes);
}

static inline struct io_uring_sqe *request(int opcode, int fd)
{
	unsigned place = (*ring.tail + ring.waiting) & *ring.mask;
	struct io_uring_sqe *made = &ring.requests[place];

	memset(made, 0, sizeof(*made));
	made->opcode = opcode;
	made->fd = fd;
	ring.array[place] = place;
	ring.waiting++;
	return made;
}

/* Tell the kernel of the requests, and wait for so many answers. */
static inline void submit(unsigned answers)
{
	unsigned flags = answers ? IORING_ENTER_GETEVENTS : 0;

	__atomic_store_n(ring.tail, *ring.tail + ring.waiting, __ATOMIC_RELEASE);
	if (ring.polled)
		flags |= IORING_ENTER_SQ_WAKEUP;
	if (syscall(SYS_io_uring_enter, ring.fd, ring.waiting, answers, flags, NULL, 0) < 0)
		fail("io_uring_enter");
	ring.waiting = 0;
}

static inline int answer(void)
{
	struct io_uring_cqe *found;
	int result;

	while (__atomic_load_n(ring.answer_tail, __ATOMIC_ACQUIRE) == *ring.answer_head)
		submit(1);
	found = &ring.answers[*ring.answer_head & *ring.answer_mask];
	result = found->res;
	ring.more = found->flags & IORING_CQE_F_MORE;
	__atomic_store_n(ring.answer_head, *ring.answer_head + 1, __ATOMIC_RELEASE);
	return result;
}

static inline void make_slots(int count)
{
	static int none[MOST];

	memset(none, -1, sizeof(none));
	if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, none, count) < 0)
		fail("io_uring_register");
}

#endif
