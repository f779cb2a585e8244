/* SPDX-License-Identifier: MIT */
/* A TCP segment without data, made by hand, and its checksum. */
#ifndef SEGMENT_H
#define SEGMENT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdint.h>

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

static inline uint32_t add(uint32_t sum, const void *data, size_t bytes)
{
	const uint8_t *at = data;

	for (size_t i = 0; i < bytes; i += 2)
		sum += at[i] << 8 | at[i + 1];
	return sum;
}

static inline uint16_t checksum(const struct packet *packet)
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

/* A SYN from one host to a port of another; its own port is still to be filled in. */
static inline struct packet syn_to(const char *source, const char *destination, int port)
{
	return (struct packet){
		.ip =
			{
				.version = 4,
				.ihl = 5,
				.ttl = 64,
				.protocol = IPPROTO_TCP,
				.saddr = inet_addr(source),
				.daddr = inet_addr(destination),
				.tot_len = htons(sizeof(struct packet)),
			},
		.tcp = {.doff = 5, .syn = 1, .window = htons(65535), .dest = htons(port)},
	};
}

#endif
