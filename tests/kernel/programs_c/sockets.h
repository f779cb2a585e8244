/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef SOCKETS_H
#define SOCKETS_H

#include <netinet/in.h>

#define PORT 7	      /* in a namespace of its own nothing else has it */
#define CLOSED_PORT 9 /* nothing listens there */
#define BACKLOG 4096  /* of listeners that are accepted from at once */

struct pair {
	int client;
	int server;
};

/* Calls of connect() that sent a SYN; connections that ended in the way asked for. */
extern unsigned long connects, endings;

/* What must not fail ends the program if it does, and says what it was doing. */
int check(int result, const char *doing);
int family_of(unsigned long turn);
int open_listener(int family, int backlog);
/* Connect, which may fail. */
int dial(int client, int family, in_port_t port);
int open_client(int family);
int take(int listener);
/* The two listeners of the ways that keep theirs. */
int listener_of(int family);
struct pair open_pair(unsigned long turn);
/* 0: the peer's FIN came, else the error; waits for either. */
int end_of(int fd);
/* Wait for an error, which is no end of file, and return it. */
int error_of(int fd);
void reset_on_close(int fd);
void close_pair(const struct pair *pair);
/* Say that so many are open and wait for the end of standard input. */
void await_other_hand(unsigned long open);

#endif
