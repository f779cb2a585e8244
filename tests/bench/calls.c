/* SPDX-License-Identifier: MIT */
/*
 * The same short system call, again and again:
 *
 *	calls COUNT
 *
 * Prints how many nanoseconds each took. getppid() does next to nothing in the
 * kernel, so what is measured is the way in and out.
 */
#define _GNU_SOURCE
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

int main(int argc, char **argv)
{
	long count = argc > 1 ? atol(argv[1]) : 0;
	double begin;

	if (count <= 0)
		errx(2, "usage: calls COUNT");
	begin = now_ns();
	for (long done = 0; done < count; done++)
		syscall(SYS_getppid);
	printf("%.3f\n", (now_ns() - begin) / count);
	return 0;
}
