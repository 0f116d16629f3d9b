/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The share of a child's descriptors that responses may hold while they wait for their clients.
 *
 * A client that asks for much and reads nothing holds no worker, and could have any number of such
 * responses; it would use up the descriptors that others are accepted with. So they get half of
 * those that are free when the child begins, without anybody counting: a new descriptor has the
 * lowest number that is free (POSIX), so its number says how many there are at least, whoever has
 * opened them.
 *
 * Of the process, as descriptors are. Set before any thread of the child starts; the rest is for
 * any thread and takes no lock.
 */
#ifndef H3_DESCRIPTORS_H
#define H3_DESCRIPTORS_H

/*
 * Determines the share of this child, from what is open now and from RLIMIT_NOFILE. `any` is a
 * descriptor that stays open: its copies show which number is free.
 */
void h3_descriptors_share(int any);

/* A copy of fd, for a response that may wait. -1: errno; EMFILE also beyond the share. */
int h3_descriptors_dup(int fd);

/*
 * A response is parked when httpd has left it and its client is waited for; what its request holds
 * open it keeps until it is finished. One more is, one is no more.
 */
void h3_descriptors_park(void);
void h3_descriptors_unpark(void);

/* May one more be parked, whatever it holds open? */
int h3_descriptors_may_park(void);

#endif /* H3_DESCRIPTORS_H */
