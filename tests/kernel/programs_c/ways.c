/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Ways to end: one connection after the other, and a round of them at once. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <netinet/tcp.h>

#include "sockets.h"
#include "ways.h"

void end_by_close(unsigned long turn)
{
	struct pair pair = open_pair(turn);

	close(pair.client);
	endings += end_of(pair.server) == 0;
	close(pair.server);
}

void end_by_shutdown(unsigned long turn)
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
void end_by_reset(unsigned long turn)
{
	struct pair pair = open_pair(turn);

	close(pair.server);
	if (end_of(pair.client) == 0 && send(pair.client, "x", 1, MSG_NOSIGNAL) == 1)
		endings += error_of(pair.client) == EPIPE;
	close(pair.client);
}

void end_by_linger(unsigned long turn)
{
	struct pair pair = open_pair(turn);

	reset_on_close(pair.client);
	close(pair.client);
	endings += end_of(pair.server) == ECONNRESET;
	close(pair.server);
}

void end_unread(unsigned long turn)
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
void end_again(unsigned long turn)
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

/* --- a round of connections at once -------------------------------- */

static void connect_and_wait(int family, const int *ready)
{
	int i;

	for (i = 0; i < ROUND; i++)
		open_client(family);
	check(write(ready[1], "x", 1), "write");
	for (;;)
		pause();
}

void end_by_kill(unsigned long turn)
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
void end_in_full_queue(unsigned long turn)
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
void end_while_queued(unsigned long turn)
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
