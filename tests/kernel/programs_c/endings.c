/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Make TCP connections over loopback, end them all in one way, and count how they
 * ended as the application sees it. Usage: endings WAY COUNT.
 *
 * IPv4 and IPv6 take turns. Some ways need another hand: they print `open N` and go
 * on when their standard input ends. The last line is `connects C endings E`: calls
 * of connect() that sent a SYN, and connections seen to end in the way asked for.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sockets.h"
#include "ways.h"

static const struct way {
	const char *name;
	unsigned long each; /* connections of one call of `run`, 0: all of them */
	void (*run)(unsigned long);
} ways[] = {
	{"close", 1, end_by_close},
	{"shutdown", 1, end_by_shutdown},
	{"reset", 1, end_by_reset},
	{"linger", 1, end_by_linger},
	{"unread", 1, end_unread},
	{"again", 3, end_again},
	{"kill", ROUND, end_by_kill},
	{"full-queue", ROUND, end_in_full_queue},
	{"while-queued", ROUND, end_while_queued},
	{"timeout", 0, end_by_timeout},
	{"destroyed", 0, end_destroyed},
	{"with-process", 0, end_with_process},
};

static void run(const struct way *way, unsigned long count)
{
	unsigned long turn;

	if (!way->each)
		way->run(count);
	else
		for (turn = 0; turn < count / way->each; turn++)
			way->run(turn);
}

int main(int argc, char **argv)
{
	unsigned long count = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	size_t i;

	for (i = 0; count && i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(ways[i].name, argv[1]))
			continue;
		run(&ways[i], count);
		printf("connects %lu endings %lu\n", connects, endings);
		return 0;
	}
	fprintf(stderr, "usage: endings WAY COUNT\n");
	return 2;
}
