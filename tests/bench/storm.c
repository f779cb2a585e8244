/* SPDX-License-Identifier: MIT */
/*
 * Connect, accept, close, as fast as it goes, on the loopback of the network
 * namespace it is started in:
 *
 *	storm SECONDS [PAUSE_US [PORT]]
 *
 * One thread connects and closes, one accepts and closes. Prints how many
 * connections both ends were done with, and the seconds that took. With a
 * pause after each connection it is a trickle.
 *
 * Every address of 127.0.0.1 to .250 is connected to in turn, so that no
 * four-tuple comes again while its TIME_WAIT lasts. The client never runs so
 * far ahead that the accept queue is full: a dropped SYN costs a second.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 4096, MOST_AHEAD = 1024, ADDRESSES = 250 };

static atomic_ulong accepted;
static int port = 1000;

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static int listen_everywhere(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_ANY),
	};
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		err(1, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, BACKLOG))
		err(1, "port %d", port);
	return fd;
}

/* Accepts until the listener is shut down. */
static void *serve(void *argument)
{
	int listener = *(int *)argument;

	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			return NULL;
		close(fd);
		atomic_fetch_add(&accepted, 1);
	}
}

static void connect_once(unsigned long number)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + number % ADDRESSES),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0)
		err(1, "socket");
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		err(1, "connection %lu", number);
	close(fd);
}

static void wait_for_server(unsigned long connected, unsigned long ahead)
{
	while (connected - atomic_load(&accepted) > ahead)
		sched_yield();
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 0;
	long pause_us = argc > 2 ? atol(argv[2]) : 0;
	struct timespec pause = {.tv_sec = pause_us / 1000000,
				 .tv_nsec = pause_us % 1000000 * 1000};
	unsigned long connected = 0;
	int listener;
	pthread_t server;
	double begin;

	if (seconds <= 0)
		errx(2, "usage: storm SECONDS [PAUSE_US [PORT]]");
	if (argc > 3)
		port = atoi(argv[3]);
	listener = listen_everywhere();
	if (pthread_create(&server, NULL, serve, &listener))
		errx(1, "no thread");
	begin = now();
	while (now() - begin < seconds) {
		connect_once(connected++);
		wait_for_server(connected, MOST_AHEAD);
		if (pause_us)
			nanosleep(&pause, NULL);
	}
	wait_for_server(connected, 0);
	printf("%lu %.9f\n", connected, now() - begin);
	shutdown(listener, SHUT_RDWR);
	pthread_join(server, NULL);
	return 0;
}
