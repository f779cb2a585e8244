/* SPDX-License-Identifier: MIT */
/*
 * ACKs with a wrong checksum, as fast as they go, from a host that is not there:
 *
 *	bad SOURCE DESTINATION PORT COUNT
 *
 * Nobody answers one. Says at the end, as a JSON line, how many a second they were.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

enum { AT_ONCE = 64 };

struct packet {
	struct iphdr ip;
	struct tcphdr tcp;
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	static struct packet packets[AT_ONCE];
	static struct mmsghdr messages[AT_ONCE];
	static struct iovec parts[AT_ONCE];
	struct sockaddr_in to = {.sin_family = AF_INET};
	int fd, count, sent = 0;
	double began;

	if (argc != 5)
		errx(2, "bad SOURCE DESTINATION PORT COUNT");
	count = atoi(argv[4]);
	fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	if (fd < 0)
		err(1, "socket");
	inet_aton(argv[2], &to.sin_addr);
	for (int i = 0; i < AT_ONCE; i++) {
		struct packet *packet = &packets[i];

		packet->ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64};
		packet->ip.protocol = IPPROTO_TCP;
		packet->ip.saddr = inet_addr(argv[1]);
		packet->ip.daddr = to.sin_addr.s_addr;
		packet->tcp = (struct tcphdr){.source = htons(1024 + i), .doff = 5, .ack = 1};
		packet->tcp.dest = htons(atoi(argv[3]));
		packet->tcp.check = htons(0xbad0 + i % 2); /* the right one is neither */
		parts[i] = (struct iovec){packet, sizeof(*packet)};
		messages[i].msg_hdr.msg_name = &to;
		messages[i].msg_hdr.msg_namelen = sizeof(to);
		messages[i].msg_hdr.msg_iov = &parts[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	began = now();
	while (sent < count) {
		int more = count - sent < AT_ONCE ? count - sent : AT_ONCE;
		int done = sendmmsg(fd, messages, more, 0);

		if (done < 0)
			err(1, "sendmmsg");
		sent += done;
	}
	printf("{\"sent\": %d, \"rate\": %.0f}\n", sent, sent / (now() - began));
	return 0;
}
