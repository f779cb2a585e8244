/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>

#include "sockets.h"

unsigned long connects, endings;

int check(int result, const char *doing)
{
	if (result < 0) {
		perror(doing);
		exit(1);
	}
	return result;
}

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

int family_of(unsigned long turn)
{
	return turn & 1 ? AF_INET6 : AF_INET;
}

int open_listener(int family, int backlog)
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

int dial(int client, int family, in_port_t port)
{
	struct sockaddr_storage where;
	socklen_t length = loopback(family, port, &where);

	connects++;
	return connect(client, (struct sockaddr *)&where, length);
}

int open_client(int family)
{
	int client = check(socket(family, SOCK_STREAM, 0), "socket");

	check(dial(client, family, PORT), "connect");
	return client;
}

int take(int listener)
{
	return check(accept(listener, NULL, NULL), "accept");
}

int listener_of(int family)
{
	static int listeners[2] = {-1, -1};
	int *listener = &listeners[family == AF_INET6];

	if (*listener < 0)
		*listener = open_listener(family, BACKLOG);
	return *listener;
}

struct pair open_pair(unsigned long turn)
{
	int family = family_of(turn);
	int listener = listener_of(family);
	struct pair pair;

	pair.client = open_client(family);
	pair.server = take(listener);
	return pair;
}

int end_of(int fd)
{
	char byte;
	ssize_t got = recv(fd, &byte, 1, 0);

	if (got > 0)
		return -1;
	return got ? errno : 0;
}

int error_of(int fd)
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

void reset_on_close(int fd)
{
	struct linger now = {.l_onoff = 1};

	check(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), "SO_LINGER");
}

void close_pair(const struct pair *pair)
{
	close(pair->client);
	close(pair->server);
}

void await_other_hand(unsigned long open)
{
	char byte;

	printf("open %lu\n", open);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}
