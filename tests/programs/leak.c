/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A server that leaks what it makes in one function and not what it makes in another. Each line
 * that it reads is a word and a number: `forget 3` accepts three connections and keeps them,
 * `close 3` accepts three, reads each to its end and closes it, `call 3` connects three times to
 * the second port and keeps them. Says `done` after each.
 *
 * With a third argument it has another thread, and does all in that one: the C library's calls go
 * another way then.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ITSELF __attribute__((noinline, noclone))

static struct sockaddr_in here, there;
static int listener;

static ITSELF int take_and_forget(int count)
{
	int left = count;

	while (left-- > 0)
		if (accept(listener, NULL, NULL) < 0)
			return -1;
	return count + 1;
}

static ITSELF int take_and_close(int count)
{
	char bytes[16];
	int left = count;

	while (left-- > 0) {
		int fd = accept(listener, NULL, NULL);

		while (read(fd, bytes, sizeof(bytes)) > 0)
			;
		close(fd);
	}
	return count + 1;
}

static ITSELF int call_and_forget(int count)
{
	int left = count;

	while (left-- > 0) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (connect(fd, (const struct sockaddr *)&there, sizeof(there)))
			return -1;
	}
	return count + 1;
}

static ITSELF int serve(const char *word, int count)
{
	volatile int done;

	if (!strcmp(word, "forget"))
		done = take_and_forget(count);
	else if (!strcmp(word, "close"))
		done = take_and_close(count);
	else
		done = call_and_forget(count);
	return done + 1;
}

static ITSELF void *obey(void *unused)
{
	char word[16];
	int count;

	(void)unused;
	while (scanf("%15s %d", word, &count) == 2) {
		puts(serve(word, count) > 0 ? "done" : "failed");
		fflush(stdout);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc < 4)
		return 2;
	here.sin_family = there.sin_family = AF_INET;
	inet_pton(AF_INET, argv[1], &here.sin_addr);
	there.sin_addr = here.sin_addr;
	here.sin_port = htons(atoi(argv[2]));
	there.sin_port = htons(atoi(argv[3]));
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (const struct sockaddr *)&here, sizeof(here)) || listen(listener, 100))
		return 1;
	puts("ready");
	fflush(stdout);
	if (argc == 4)
		obey(NULL);
	else if (!pthread_create(&thread, NULL, obey, NULL))
		pthread_join(thread, NULL);
	return 0;
}
