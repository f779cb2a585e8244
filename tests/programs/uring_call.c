/* SPDX-License-Identifier: MIT */
/*
 * A client that connects through io_uring: uring_call WAY ADDRESS PORT COUNT.
 *
 * Says its PID, connects COUNT times in the given way, and says from which ports;
 * when its stdin ends it closes all of it through the ring.
 *
 * single, async, polled   a request a connect: as it is, by a worker thread, by
 *                         the kernel's thread that polls the queue
 * direct                  as it is, on slots of the ring's own
 */
#include "ring.h"

static int fds[MOST];

static void must(int result, const char *what)
{
	if (result >= 0)
		return;
	errno = -result;
	fail(what);
}

static void fill_slots(int count)
{
	must(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, fds, count),
	     "io_uring_register");
}

static int local_port(int fd)
{
	struct sockaddr_in here;
	socklen_t length = sizeof(here);

	getsockname(fd, (void *)&here, &length);
	return ntohs(here.sin_port);
}

int main(int argc, char **argv)
{
	int count, async, direct;
	struct sockaddr_in there = {.sin_family = AF_INET};
	struct io_uring_sqe *made;
	char rest[64];

	if (argc != 5)
		return 2;
	async = !strcmp(argv[1], "async");
	direct = !strcmp(argv[1], "direct");
	count = atoi(argv[4]);
	inet_pton(AF_INET, argv[2], &there.sin_addr);
	there.sin_port = htons(atoi(argv[3]));
	make_ring(strcmp(argv[1], "polled") ? 0 : IORING_SETUP_SQPOLL, 0);
	for (int i = 0; i < count; i++)
		fds[i] = socket(AF_INET, SOCK_STREAM, 0);
	if (direct)
		fill_slots(count);
	printf("{\"pid\": %d}\n{\"did\": [", getpid());
	for (int i = 0; i < count; i++) {
		made = request(IORING_OP_CONNECT, direct ? i : fds[i]);
		made->addr = (unsigned long)&there;
		made->off = sizeof(there);
		made->flags = (async ? IOSQE_ASYNC : 0) | (direct ? IOSQE_FIXED_FILE : 0);
		submit(1);
		must(answer(), "connect");
		printf("%s%d", i ? ", " : "", local_port(fds[i]));
	}
	printf("]}\n");
	fflush(stdout);
	while (read(0, rest, sizeof(rest)) > 0)
		;
	for (int i = 0; i < count; i++) {
		made = request(IORING_OP_CLOSE, fds[i]);
		made->flags = async ? IOSQE_ASYNC : 0;
		submit(1);
		must(answer(), "close");
	}
	return 0;
}
