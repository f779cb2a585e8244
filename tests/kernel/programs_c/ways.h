/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef WAYS_H
#define WAYS_H

#define ROUND 10 /* connections of one call of the ways that work in rounds */

/* Once for each connection, or round: its number is given. */
void end_by_close(unsigned long turn);
void end_by_shutdown(unsigned long turn);
void end_by_reset(unsigned long turn);
void end_by_linger(unsigned long turn);
void end_unread(unsigned long turn);
void end_again(unsigned long turn);
void end_by_kill(unsigned long turn);
void end_in_full_queue(unsigned long turn);
void end_while_queued(unsigned long turn);

/* Once: how many connections is given. */
void end_by_timeout(unsigned long count);
void end_destroyed(unsigned long count);
void end_with_process(unsigned long count);

#endif
