/* SPDX-License-Identifier: MIT */
/*
 * Many connections, as fast as they go:
 *
 *	flood serve PORT COUNT	accept and close so many
 *	flood call PORT COUNT	connect so many, AHEAD at a time, each closed after the server
 *
 * Says what peer.py says: a JSON line with its PID when it is ready and when
 * it is done. Addresses 127.0.0.1 to .250 are called in turn, so that a port
 * is not used again while its TIME_WAIT lasts.
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AHEAD = 500, BACKLOG = 4000, ADDRESSES = 250 };

static void say(const char *did)
{
	printf("{\"pid\": %d, \"did\": \"%s\"}\n", getpid(), did);
	fflush(stdout);
}

static struct sockaddr_in on_port(int port, unsigned int host)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(host),
	};
}

static int open_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		err(1, "socket");
	return fd;
}

static void serve(int port, int count)
{
	struct sockaddr_in address = on_port(port, INADDR_ANY);
	int fd = open_socket();

	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, BACKLOG))
		err(1, "port %d", port);
	say("listen");
	for (int i = 0; i < count; i++) {
		int accepted = accept(fd, NULL, NULL);

		if (accepted < 0)
			err(1, "accept");
		close(accepted);
	}
}

static void hang_up(int fd)
{
	char byte;

	if (read(fd, &byte, 1) != 0)
		err(1, "the server did not close first");
	close(fd);
}

static void call(int port, int count)
{
	int open[AHEAD];

	say("hello");
	for (int i = 0; i < count; i++) {
		struct sockaddr_in address = on_port(port, INADDR_LOOPBACK + i % ADDRESSES);
		int *fd = &open[i % AHEAD];

		if (i >= AHEAD)
			hang_up(*fd);
		*fd = open_socket();
		if (connect(*fd, (struct sockaddr *)&address, sizeof(address)))
			err(1, "connect");
	}
	for (int i = count > AHEAD ? count - AHEAD : 0; i < count; i++)
		hang_up(open[i % AHEAD]);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		errx(2, "flood serve|call PORT COUNT");
	if (!strcmp(argv[1], "serve"))
		serve(atoi(argv[2]), atoi(argv[3]));
	else
		call(atoi(argv[2]), atoi(argv[3]));
	say("done");
	return 0;
}
