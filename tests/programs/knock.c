/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Connects when it is told to, by a way of calls that is known: each line that it reads is one
 * attempt, whose SYN is sent before connect() returns, and then said to be done. Says first where
 * its functions lie.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int at_the_door(int fd, const struct sockaddr_in *where)
{
	return connect(fd, (const struct sockaddr *)where, sizeof(*where));
}

int knock_once(const char *address, int port)
{
	struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	inet_pton(AF_INET, address, &where.sin_addr);
	at_the_door(fd, &where);
	return close(fd);
}

int go_around(const char *address, int port)
{
	return knock_once(address, port) + 1;
}

int main(int argc, char **argv)
{
	char line[16];

	if (argc != 3)
		return 2;
	printf("{\"pid\": %d, \"at_the_door\": %lu, \"knock_once\": %lu, \"go_around\": %lu}\n",
	       getpid(), (unsigned long)at_the_door, (unsigned long)knock_once,
	       (unsigned long)go_around);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		go_around(argv[1], atoi(argv[2]));
		puts("done");
		fflush(stdout);
	}
	return 0;
}
