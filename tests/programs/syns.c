/* SPDX-License-Identifier: MIT */
/*
 * SYNs from a host that is not there, at a rate:
 *
 *	syns SOURCE DESTINATION PORT COUNT RATE
 *
 * Each has a port of its own, so COUNT is at most 64000. Says at the end, as a
 * JSON line, what rate it reached.
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

enum { FIRST_PORT = 1024, AT_ONCE = 16 };

struct packet {
	struct iphdr ip;
	struct tcphdr tcp;
};

/* What the checksum of a TCP header covers before it. */
struct pseudo {
	uint32_t source, destination;
	uint8_t zero, protocol;
	uint16_t length;
};

static uint32_t add(uint32_t sum, const void *data, size_t bytes)
{
	const uint8_t *at = data;

	for (size_t i = 0; i < bytes; i += 2)
		sum += at[i] << 8 | at[i + 1];
	return sum;
}

static uint16_t checksum(const struct packet *packet)
{
	struct pseudo pseudo = {
		.source = packet->ip.saddr,
		.destination = packet->ip.daddr,
		.protocol = IPPROTO_TCP,
		.length = htons(sizeof(packet->tcp)),
	};
	uint32_t sum = add(add(0, &pseudo, sizeof(pseudo)), &packet->tcp, sizeof(packet->tcp));

	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	struct packet packet = {
		.ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP},
		.tcp = {.doff = 5, .syn = 1, .window = htons(65535)},
	};
	int count, rate, out;
	double began;

	if (argc != 6)
		errx(2, "syns SOURCE DESTINATION PORT COUNT RATE");
	packet.ip.saddr = inet_addr(argv[1]);
	packet.ip.daddr = to.sin_addr.s_addr = inet_addr(argv[2]);
	packet.ip.tot_len = htons(sizeof(packet));
	packet.tcp.dest = htons(atoi(argv[3]));
	count = atoi(argv[4]);
	rate = atoi(argv[5]);
	out = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	if (out < 0)
		err(1, "socket");
	began = now();
	for (int i = 0; i < count; i++) {
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
