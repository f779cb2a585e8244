/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Ways to end all connections at once. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <linux/filter.h>
#include <netinet/tcp.h>

#include "sockets.h"
#include "ways.h"

#define TIMEOUT_MS 100 /* TCP_USER_TIMEOUT */

static struct pair *open_pairs(unsigned long count)
{
	struct pair *pairs = calloc(count, sizeof(*pairs));
	struct rlimit limit;
	unsigned long i;

	if (!pairs)
		check(-1, "calloc");
	check(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	check(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
	for (i = 0; i < count; i++)
		pairs[i] = open_pair(i);
	return pairs;
}

/* The peer is there, but no segment comes through to it any more. */
void end_by_timeout(unsigned long count)
{
	struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = {.len = 1, .filter = &drop};
	struct pair *pairs = open_pairs(count);
	unsigned int timeout = TIMEOUT_MS;
	unsigned long i;
	int none = 0;

	for (i = 0; i < count; i++) {
		check(setsockopt(pairs[i].server, SOL_SOCKET, SO_ATTACH_FILTER, &program,
				 sizeof(program)),
		      "SO_ATTACH_FILTER");
		check(setsockopt(pairs[i].client, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout,
				 sizeof(timeout)),
		      "TCP_USER_TIMEOUT");
		check(send(pairs[i].client, "x", 1, MSG_NOSIGNAL), "send");
	}
	for (i = 0; i < count; i++) {
		endings += error_of(pairs[i].client) == ETIMEDOUT;
		check(setsockopt(pairs[i].server, SOL_SOCKET, SO_DETACH_FILTER, &none,
				 sizeof(none)),
		      "SO_DETACH_FILTER");
		reset_on_close(pairs[i].server);
		close_pair(&pairs[i]);
	}
	free(pairs);
}

/* Somebody else destroys the servers' sockets. */
void end_destroyed(unsigned long count)
{
	struct pair *pairs = open_pairs(count);
	unsigned long i;

	await_other_hand(count);
	for (i = 0; i < count; i++) {
		int server = end_of(pairs[i].server);
		int client = end_of(pairs[i].client);

		endings += server == ECONNABORTED && client == ECONNRESET;
		close_pair(&pairs[i]);
	}
	free(pairs);
}

/* All are open to the last moment; the end of the process closes them. */
void end_with_process(unsigned long count)
{
	struct pair *pairs = open_pairs(count);

	await_other_hand(count);
	endings = count;
	free(pairs);
}
