/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Make TCP connections over loopback, end them all in one way, and count how they
 * ended as the application sees it. Usage: endings WAY COUNT.
 *
 * IPv4 and IPv6 take turns. Some ways need another hand: they print `open N` and go
 * on when their standard input ends. The last line is `connects C endings E`: calls
 * of connect() that sent a SYN, and connections seen to end in the way asked for.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#define PORT 7	       /* in a namespace of its own nothing else has it */
#define CLOSED_PORT 9  /* nothing listens there */
#define BACKLOG 4096   /* of listeners that are accepted from at once */
#define ROUND 10       /* connections of one round of the ways that work in rounds */
#define TIMEOUT_MS 100 /* TCP_USER_TIMEOUT */

struct pair {
	int client;
	int server;
};

static unsigned long connects, endings;

static int check(int result, const char *doing)
{
	if (result < 0) {
		perror(doing);
		exit(1);
	}
	return result;
}

/* --- sockets ------------------------------------------------------------- */

static socklen_t loopback(int family, in_port_t port, struct sockaddr_storage *where)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)where;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)where;

	memset(where, 0, sizeof(*where));
	where->ss_family = family;
	if (family == AF_INET6) {
		v6->sin6_addr = in6addr_loopback;
		v6->sin6_port = htons(port);
		return sizeof(*v6);
	}
	v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	v4->sin_port = htons(port);
	return sizeof(*v4);
}

static int family_of(unsigned long turn)
{
	return turn & 1 ? AF_INET6 : AF_INET;
}

static int open_listener(int family, int backlog)
{
	struct sockaddr_storage where;
	socklen_t length = loopback(family, PORT, &where);
	int listener = check(socket(family, SOCK_STREAM, 0), "socket");
	int one = 1;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	check(bind(listener, (struct sockaddr *)&where, length), "bind");
	check(listen(listener, backlog), "listen");
	return listener;
}

static int dial(int client, int family, in_port_t port)
{
	struct sockaddr_storage where;
	socklen_t length = loopback(family, port, &where);

	connects++;
	return connect(client, (struct sockaddr *)&where, length);
}

static int open_client(int family)
{
	int client = check(socket(family, SOCK_STREAM, 0), "socket");

	check(dial(client, family, PORT), "connect");
	return client;
}

static int take(int listener)
{
	return check(accept(listener, NULL, NULL), "accept");
}

/* The two listeners of the ways that keep theirs. */
static int listener_of(int family)
{
	static int listeners[2] = {-1, -1};
	int *listener = &listeners[family == AF_INET6];

	if (*listener < 0)
		*listener = open_listener(family, BACKLOG);
	return *listener;
}

static struct pair open_pair(unsigned long turn)
{
	int family = family_of(turn);
	int listener = listener_of(family);
	struct pair pair;

	pair.client = open_client(family);
	pair.server = take(listener);
	return pair;
}

/* 0: the peer's FIN came, else the error; waits for either. */
static int end_of(int fd)
{
	char byte;
	ssize_t got = recv(fd, &byte, 1, 0);

	if (got > 0)
		return -1;
	return got ? errno : 0;
}

/* Wait for an error, which is no end of file, and return it. */
static int error_of(int fd)
{
	struct pollfd poller = {.fd = fd};
	socklen_t length = sizeof(int);
	int error = 0;

	do {
		check(poll(&poller, 1, -1), "poll");
	} while (!(poller.revents & POLLERR));
	check(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length), "SO_ERROR");
	return error;
}

static void reset_on_close(int fd)
{
	struct linger now = {.l_onoff = 1};

	check(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), "SO_LINGER");
}

static void close_pair(const struct pair *pair)
{
	close(pair->client);
	close(pair->server);
}

static void await_other_hand(unsigned long open)
{
	char byte;

	printf("open %lu\n", open);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}

/* --- ways: one connection after the other -------------------------------- */

static void end_by_close(unsigned long turn)
{
	struct pair pair = open_pair(turn);

	close(pair.client);
	endings += end_of(pair.server) == 0;
	close(pair.server);
}

static void end_by_shutdown(unsigned long turn)
{
	struct pair pair = open_pair(turn);
	bool first, second;

	shutdown(pair.client, SHUT_WR);
	first = end_of(pair.server) == 0;
	shutdown(pair.server, SHUT_WR);
	second = end_of(pair.client) == 0;
	endings += first && second;
	close_pair(&pair);
}

/* What is sent to an end that is closed already is answered by a RST. */
static void end_by_reset(unsigned long turn)
{
	struct pair pair = open_pair(turn);

	close(pair.server);
	if (end_of(pair.client) == 0 && send(pair.client, "x", 1, MSG_NOSIGNAL) == 1)
		endings += error_of(pair.client) == EPIPE;
	close(pair.client);
}

static void end_by_linger(unsigned long turn)
{
	struct pair pair = open_pair(turn);

	reset_on_close(pair.client);
	close(pair.client);
	endings += end_of(pair.server) == ECONNRESET;
	close(pair.server);
}

static void end_unread(unsigned long turn)
{
	struct pair pair = open_pair(turn);
	char byte;

	check(send(pair.server, "x", 1, MSG_NOSIGNAL), "send");
	check(recv(pair.client, &byte, 1, MSG_PEEK), "recv");
	close(pair.client);
	endings += end_of(pair.server) == ECONNRESET;
	close(pair.server);
}

/* Three connects of one socket: refused, then taken and disconnected, then taken. */
static void end_again(unsigned long turn)
{
	struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
	int family = family_of(turn);
	int listener = listener_of(family);
	int client = check(socket(family, SOCK_STREAM, 0), "socket");
	int server;

	endings += dial(client, family, CLOSED_PORT) < 0 && errno == ECONNREFUSED;
	check(dial(client, family, PORT), "connect after a failure");
	server = take(listener);
	check(connect(client, &nowhere, sizeof(nowhere)), "disconnect");
	endings += end_of(server) == ECONNRESET;
	close(server);
	check(dial(client, family, PORT), "connect after a disconnect");
	server = take(listener);
	close(client);
	endings += end_of(server) == 0;
	close(server);
}

/* --- ways: a round of connections at once -------------------------------- */

static void connect_and_wait(int family, const int *ready)
{
	int i;

	for (i = 0; i < ROUND; i++)
		open_client(family);
	check(write(ready[1], "x", 1), "write");
	for (;;)
		pause();
}

static void end_by_kill(unsigned long turn)
{
	int family = family_of(turn);
	int listener = listener_of(family);
	int servers[ROUND], ready[2], status, i;
	pid_t owner;
	char byte;

	check(pipe(ready), "pipe");
	owner = check(fork(), "fork");
	if (!owner)
		connect_and_wait(family, ready);
	for (i = 0; i < ROUND; i++)
		servers[i] = take(listener);
	check(read(ready[0], &byte, 1), "read");
	check(kill(owner, SIGKILL), "kill");
	check(waitpid(owner, &status, 0), "waitpid");
	for (i = 0; i < ROUND; i++) {
		endings += end_of(servers[i]) == 0 && WIFSIGNALED(status);
		close(servers[i]);
	}
	close(ready[0]);
	close(ready[1]);
	connects += ROUND;
}

static unsigned int queued(int listener, unsigned int *most)
{
	struct tcp_info info;
	socklen_t length = sizeof(info);

	check(getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &length), "TCP_INFO");
	if (most)
		*most = info.tcpi_sacked;
	return info.tcpi_unacked;
}

/* A queue takes one more than its backlog; the connect after that is not answered. */
static void end_in_full_queue(unsigned long turn)
{
	int family = family_of(turn);
	int listener = open_listener(family, ROUND - 1);
	int clients[ROUND], late, i;
	unsigned int most;
	bool full;

	for (i = 0; i < ROUND; i++)
		clients[i] = open_client(family);
	while (queued(listener, &most) < ROUND)
		sched_yield();
	full = most == ROUND - 1;
	late = check(socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
	full = full && dial(late, family, PORT) < 0 && errno == EINPROGRESS;
	close(listener);
	for (i = 0; i < ROUND; i++) {
		endings += full && end_of(clients[i]) == ECONNRESET;
		close(clients[i]);
	}
	close(late);
}

/* Reset by the client while queued; every second round the listener goes with them. */
static void end_while_queued(unsigned long turn)
{
	int family = family_of(turn);
	int listener = open_listener(family, BACKLOG);
	int clients[ROUND], server, i;

	for (i = 0; i < ROUND; i++)
		clients[i] = open_client(family);
	while (queued(listener, NULL) < ROUND)
		sched_yield();
	for (i = 0; i < ROUND; i++) {
		reset_on_close(clients[i]);
		close(clients[i]);
	}
	if (turn & 2) {
		endings += queued(listener, NULL);
	} else {
		for (i = 0; i < ROUND; i++) {
			server = take(listener);
			endings += end_of(server) == ECONNRESET;
			close(server);
		}
	}
	close(listener);
}

/* --- ways: all connections at once --------------------------------------- */

static struct pair *open_pairs(unsigned long count)
{
	struct pair *pairs = calloc(count, sizeof(*pairs));
	struct rlimit limit;
	unsigned long i;

	if (!pairs)
		check(-1, "calloc");
	check(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	check(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
	for (i = 0; i < count; i++)
		pairs[i] = open_pair(i);
	return pairs;
}

/* The peer is there, but no segment comes through to it any more. */
static void end_by_timeout(unsigned long count)
{
	struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = {.len = 1, .filter = &drop};
	struct pair *pairs = open_pairs(count);
	unsigned int timeout = TIMEOUT_MS;
	unsigned long i;
	int none = 0;

	for (i = 0; i < count; i++) {
		check(setsockopt(pairs[i].server, SOL_SOCKET, SO_ATTACH_FILTER, &program,
				 sizeof(program)),
		      "SO_ATTACH_FILTER");
		check(setsockopt(pairs[i].client, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout,
				 sizeof(timeout)),
		      "TCP_USER_TIMEOUT");
		check(send(pairs[i].client, "x", 1, MSG_NOSIGNAL), "send");
	}
	for (i = 0; i < count; i++) {
		endings += error_of(pairs[i].client) == ETIMEDOUT;
		check(setsockopt(pairs[i].server, SOL_SOCKET, SO_DETACH_FILTER, &none,
				 sizeof(none)),
		      "SO_DETACH_FILTER");
		reset_on_close(pairs[i].server);
		close_pair(&pairs[i]);
	}
	free(pairs);
}

/* Somebody else destroys the servers' sockets. */
static void end_destroyed(unsigned long count)
{
	struct pair *pairs = open_pairs(count);
	unsigned long i;

	await_other_hand(count);
	for (i = 0; i < count; i++) {
		int server = end_of(pairs[i].server);
		int client = end_of(pairs[i].client);

		endings += server == ECONNABORTED && client == ECONNRESET;
		close_pair(&pairs[i]);
	}
	free(pairs);
}

/* All are open to the last moment; the end of the process closes them. */
static void end_with_process(unsigned long count)
{
	struct pair *pairs = open_pairs(count);

	await_other_hand(count);
	endings = count;
	free(pairs);
}

/* --- the ways by name ---------------------------------------------------- */

static const struct way {
	const char *name;
	unsigned long each; /* connections of one call of `run`, 0: all of them */
	void (*run)(unsigned long);
} ways[] = {
	{"close", 1, end_by_close},
	{"shutdown", 1, end_by_shutdown},
	{"reset", 1, end_by_reset},
	{"linger", 1, end_by_linger},
	{"unread", 1, end_unread},
	{"again", 3, end_again},
	{"kill", ROUND, end_by_kill},
	{"full-queue", ROUND, end_in_full_queue},
	{"while-queued", ROUND, end_while_queued},
	{"timeout", 0, end_by_timeout},
	{"destroyed", 0, end_destroyed},
	{"with-process", 0, end_with_process},
};

static void run(const struct way *way, unsigned long count)
{
	unsigned long turn;

	if (!way->each)
		way->run(count);
	else
		for (turn = 0; turn < count / way->each; turn++)
			way->run(turn);
}

int main(int argc, char **argv)
{
	unsigned long count = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	size_t i;

	for (i = 0; count && i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(ways[i].name, argv[1]))
			continue;
		run(&ways[i], count);
		printf("connects %lu endings %lu\n", connects, endings);
		return 0;
	}
	fprintf(stderr, "usage: endings WAY COUNT\n");
	return 2;
}
