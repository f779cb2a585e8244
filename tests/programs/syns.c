/* SPDX-License-Identifier: MIT */
/*
 * SYNs from a host that is not there, at a rate:
 *
 *	syns SOURCE DESTINATION PORT COUNT RATE [HOSTS]
 *
 * Each has a port of its own, so COUNT is at most 64000. They are of so many hosts
 * in turn, SOURCE the first. Says at the end, as a JSON line, what rate it reached.
 */
#include "segment.h"
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

enum { FIRST_PORT = 1024, AT_ONCE = 16 };

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	struct packet packet;
	int count, rate, hosts, out;
	uint32_t first;
	double began;

	if (argc != 6 && argc != 7)
		errx(2, "syns SOURCE DESTINATION PORT COUNT RATE [HOSTS]");
	packet = syn_to(argv[1], argv[2], atoi(argv[3]));
	to.sin_addr.s_addr = packet.ip.daddr;
	count = atoi(argv[4]);
	rate = atoi(argv[5]);
	hosts = argc == 7 ? atoi(argv[6]) : 1;
	first = ntohl(packet.ip.saddr);
	out = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	if (out < 0)
		err(1, "socket");
	began = now();
	for (int i = 0; i < count; i++) {
		packet.ip.saddr = htonl(first + i % hosts);
		packet.tcp.source = htons(FIRST_PORT + i);
		packet.tcp.check = 0;
		packet.tcp.check = checksum(&packet);
		if (sendto(out, &packet, sizeof(packet), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
			err(1, "sendto");
		while (i % AT_ONCE == 0 && now() - began < (double)i / rate)
			;
	}
	printf("{\"rate\": %.0f}\n", count / (now() - began));
	return 0;
}
