/* SPDX-License-Identifier: MIT */
/*
 * Handshakes of a host that is not there, each packet of them sent twice: by two
 * threads, on two CPUs, at the same moment.
 *
 *	twins SOURCE DESTINATION PORT DEVICE FIRST COUNT
 *
 * From so many ports, one after the other: a SYN, then the ACK of the SYN-ACK
 * that is seen to come in at the device. Ends once all have been sent.
 */
#define _GNU_SOURCE
#include "segment.h"
#include <err.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { PATIENCE_S = 10 };

static struct packet packet;
static atomic_int turn, done;

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "CPU %d", cpu);
}

static int raw(void)
{
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);

	if (fd < 0)
		err(1, "socket");
	return fd;
}

static void send_on(int out)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = packet.ip.daddr};

	if (sendto(out, &packet, sizeof(packet), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		err(1, "sendto");
}

/* Sends what the other thread sends, whenever it does. */
static void *follow(void *argument)
{
	int out = raw();

	(void)argument;
	pin(1);
	for (int last = 0;; last++) {
		while (atomic_load(&turn) == last)
			;
		send_on(out);
		atomic_store(&done, last + 1);
	}
	return NULL;
}

static void send_twice(int out)
{
	int now;

	packet.tcp.check = 0;
	packet.tcp.check = checksum(&packet);
	now = atomic_fetch_add(&turn, 1) + 1;
	send_on(out);
	while (atomic_load(&done) != now)
		;
}

static int watch(const char *device)
{
	struct sockaddr_ll where = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IP),
		.sll_ifindex = if_nametoindex(device),
	};
	struct timeval patience = {.tv_sec = PATIENCE_S};
	int fd = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP));

	if (fd < 0 || bind(fd, (struct sockaddr *)&where, sizeof(where)))
		err(1, "%s", device);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

/* The sequence number of the SYN-ACK to this port; others are read past. */
static uint32_t answer(int seen, uint16_t port)
{
	struct packet got;

	for (;;) {
		if (recv(seen, &got, sizeof(got), 0) < 0)
			err(1, "no SYN-ACK to port %d", ntohs(port));
		if (got.tcp.syn && got.tcp.ack && got.tcp.dest == port)
			return ntohl(got.tcp.seq);
	}
}

int main(int argc, char **argv)
{
	int first, count, out, seen;
	pthread_t other;

	if (argc != 7)
		errx(2, "twins SOURCE DESTINATION PORT DEVICE FIRST COUNT");
	first = atoi(argv[5]);
	count = atoi(argv[6]);
	seen = watch(argv[4]);
	out = raw();
	if (pthread_create(&other, NULL, follow, NULL))
		errx(1, "no second thread");
	pin(0);
	for (int i = 0; i < count; i++) {
		packet = syn_to(argv[1], argv[2], atoi(argv[3]));
		packet.tcp.source = htons(first + i);
		packet.tcp.seq = htonl(1);
		send_twice(out);
		packet.tcp.ack_seq = htonl(answer(seen, packet.tcp.source) + 1);
		packet.tcp.seq = htonl(2);
		packet.tcp.syn = 0;
		packet.tcp.ack = 1;
		send_twice(out);
	}
	return 0;
}
