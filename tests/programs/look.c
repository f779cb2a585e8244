/* SPDX-License-Identifier: MIT */
/*
 * Read what /proc says of one descriptor of a process over and over, as lsof
 * does once, until stdin ends: look /proc/PID/fdinfo/N
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct pollfd input = {.events = POLLIN};
	char text[500];
	long seen = 0;

	if (argc != 2)
		return 2;
	printf("{\"pid\": %d, \"did\": \"look\"}\n", getpid());
	fflush(stdout);
	while (!poll(&input, 1, 0))
		for (int i = 0; i < 1000; i++) {
			int fd = open(argv[1], O_RDONLY);

			if (fd < 0)
				continue;
			seen += read(fd, text, sizeof(text)) > 0;
			close(fd);
		}
	return !seen;
}
