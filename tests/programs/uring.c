/* SPDX-License-Identifier: MIT */
/*
 * A server that accepts through io_uring: uring WAY ADDRESS PORT COUNT PAUSE_US.
 *
 * Listens, says so, accepts COUNT connections in the given way, and says what it
 * took: [peer's port, called, answered] by its own clock, or what failed. Then it
 * holds all of it until its stdin ends.
 *
 * single, async, polled   a request an accept: as it is, by a worker thread, by
 *                         the kernel's thread that polls the queue
 * multishot               one request, many answers
 * overflow                the same, and no answer is read before the ring is full
 * direct                  a request an accept, each into a slot of the ring's own
 * multishot_direct        one request, slots chosen by the kernel
 * unanswered              into slots and without an answer; a receive is linked to it
 * unused                  into slots and without an answer; a close is linked to it
 * idle                    into slots, without an answer, and nothing follows
 * no_room                 COUNT accepts while no descriptor is free
 */
#include "ring.h"

#define BEYOND 8 /* answers that the ring of `overflow` has room for */

static struct sockaddr_in peer;
static socklen_t length;

static int listen_at(const char *address, int port)
{
	int made = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port)};

	inet_pton(AF_INET, address, &here.sin_addr);
	setsockopt(made, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(made, (void *)&here, sizeof(here)) || listen(made, MOST))
		fail("listen");
	return made;
}

static struct io_uring_sqe *accept_one(int listener)
{
	struct io_uring_sqe *made = request(IORING_OP_ACCEPT, listener);

	length = sizeof(peer);
	made->addr = (unsigned long)&peer;
	made->addr2 = (unsigned long)&length;
	return made;
}

static void tell(const char *separator, int port, long long called)
{
	printf("%s[%d, %lld, %lld]", separator, port, called, now_ns());
}

/* A request an accept, into slots where there are any. */
static void accept_each(int listener, int count, int pause, int flags, int slots)
{
	struct io_uring_sqe *made;
	long long called;
	int result;

	for (int i = 0; i < count; i++) {
		usleep(pause);
		called = now_ns();
		made = accept_one(listener);
		made->flags = flags;
		made->file_index = slots ? i + 1 : 0;
		submit(1);
		result = answer();
		if (result < 0) {
			errno = -result;
			fail("accept");
		}
		tell(i ? ", " : "", ntohs(peer.sin_port), called);
	}
}

static int port_of(int fd)
{
	struct sockaddr_in found;
	socklen_t size = sizeof(found);

	return getpeername(fd, (void *)&found, &size) ? 0 : ntohs(found.sin_port);
}

static void ask_for_many(int listener, int slots)
{
	struct io_uring_sqe *made = request(IORING_OP_ACCEPT, listener);

	made->ioprio = IORING_ACCEPT_MULTISHOT;
	made->file_index = slots ? IORING_FILE_INDEX_ALLOC : 0;
}

/* One request, and one more where the ring was full; of slots the peers are not told. */
static void accept_many(int listener, int count, int pause, int slots, int full)
{
	long long called = now_ns();
	int result;

	ask_for_many(listener, slots);
	submit(0);
	/* the answer that the ring has no room for is the last: its descriptor tells */
	while (full && !port_of(ring.fd + BEYOND + 1))
		usleep(1000);
	for (int i = 0; i < count; i++) {
		usleep(pause);
		result = answer();
		if (result < 0) {
			errno = -result;
			fail("accept");
		}
		tell(i ? ", " : "", slots ? 0 : port_of(result), called);
		if (!ring.more)
			ask_for_many(listener, slots);
	}
}

/* An accept that says nothing, and what is linked to it. */
static void accept_silently(int listener, int count, int opcode)
{
	static char byte;
	struct io_uring_sqe *made;
	long long called;
	int result;

	for (int i = 0; i < count; i++) {
		called = now_ns();
		made = accept_one(listener);
		made->file_index = i + 1;
		made->flags = IOSQE_CQE_SKIP_SUCCESS | IOSQE_IO_LINK;
		made = request(opcode, opcode == IORING_OP_CLOSE ? 0 : i);
		if (opcode == IORING_OP_CLOSE) {
			made->file_index = i + 1;
		} else {
			made->flags = IOSQE_FIXED_FILE;
			made->addr = (unsigned long)&byte;
			made->len = 1;
		}
		submit(1);
		result = answer();
		if (result < 0) {
			errno = -result;
			fail("what follows an accept");
		}
		tell(i ? ", " : "", ntohs(peer.sin_port), called);
	}
}

/* As many accepts as will come, without an answer to any. */
static void accept_unseen(int listener, int count)
{
	for (int i = 0; i < count; i++) {
		struct io_uring_sqe *made = accept_one(listener);

		made->file_index = i + 1;
		made->flags = IOSQE_CQE_SKIP_SUCCESS;
		submit(0);
	}
}

static void accept_without_room(int listener, int count)
{
	struct rlimit limit = {0, 0};
	int free_one = dup(0);

	close(free_one);
	limit.rlim_cur = limit.rlim_max = free_one;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		fail("setrlimit");
	for (int i = 0; i < count; i++) {
		accept_one(listener);
		submit(1);
		printf("%s%d", i ? ", " : "", -answer());
	}
}

int main(int argc, char **argv)
{
	const char *way = argc == 6 ? argv[1] : "";
	int listener, count, pause;
	char rest[256];

	if (!*way)
		return 2;
	count = atoi(argv[4]);
	pause = atoi(argv[5]);
	listener = listen_at(argv[2], atoi(argv[3]));
	make_ring(strcmp(way, "polled") ? 0 : IORING_SETUP_SQPOLL,
		  strcmp(way, "overflow") ? 0 : BEYOND);
	make_slots(count);
	printf("{\"pid\": %d}\n", getpid());
	fflush(stdout);
	printf("{\"did\": [");
	if (!strcmp(way, "multishot"))
		accept_many(listener, count, pause, 0, 0);
	else if (!strcmp(way, "overflow"))
		accept_many(listener, count, pause, 0, 1);
	else if (!strcmp(way, "multishot_direct"))
		accept_many(listener, count, pause, 1, 0);
	else if (!strcmp(way, "unanswered"))
		accept_silently(listener, count, IORING_OP_RECV);
	else if (!strcmp(way, "unused"))
		accept_silently(listener, count, IORING_OP_CLOSE);
	else if (!strcmp(way, "idle"))
		accept_unseen(listener, count);
	else if (!strcmp(way, "no_room"))
		accept_without_room(listener, count);
	else
		accept_each(listener, count, pause, strcmp(way, "async") ? 0 : IOSQE_ASYNC,
			    !strcmp(way, "direct"));
	printf("]}\n");
	fflush(stdout);
	while (read(0, rest, sizeof(rest)) > 0)
		;
	return 0;
}
