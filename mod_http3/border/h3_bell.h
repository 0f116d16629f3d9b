/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How other threads tell the I/O thread of a child that there is news: a list under one lock, and
 * an eventfd that is written only when the I/O thread sleeps.
 *
 * What may have news embeds an h3_bell_entry, from whose address the I/O thread finds it. It is on
 * the list once, however often it rings, and the I/O thread takes all of the list at a time. From
 * then on they may ring again.
 *
 * A ring may also say something: bits, whose meaning is a matter of those who ring and of those who
 * are rung for. They are heard when the ring that said them is taken, not before. So where a bit
 * says "I shall not ring again", the entry is on no list when that is heard, and may be freed.
 *
 * One bell per child that serves, for as long as the process lives. The lock is held for a few
 * instructions.
 */
#ifndef H3_BELL_H
#define H3_BELL_H

#include <pthread.h>
#include <apr_errno.h>

/* Zeroed, it is ready to ring. */
typedef struct h3_bell_entry {
    struct h3_bell_entry *next;       /* bell's lock */
    int is_on;                        /* bell's lock: it is on the list */
    unsigned said;                    /* bell's lock: since it was last taken */
    unsigned heard;                   /* I/O thread: all that was said and taken; it clears bits */
    struct h3_bell_entry *taken_next; /* I/O thread: what h3_bell_take gave */
} h3_bell_entry;

typedef struct h3_bell {
    pthread_mutex_t lock;
    h3_bell_entry *first, *last; /* those that have rung, in order */
    int sleeping;                /* the I/O thread waits for fd */
    int fd;                      /* eventfd, written when a ring finds it sleeping */
} h3_bell;

/* An errno if there is no descriptor, or no lock, for it. Before the I/O thread starts. */
apr_status_t h3_bell_init(h3_bell *b);

/* Only where nobody has it yet: a child's start has failed. */
void h3_bell_destroy(h3_bell *b);

/* Any thread, with no lock that is taken while the bell's is held. `said` may be 0. */
void h3_bell_ring(h3_bell *b, h3_bell_entry *e, unsigned said);

/* Wakes the I/O thread though nothing has rung. Any thread; safe in a signal handler. */
void h3_bell_wake(h3_bell *b);

/* I/O thread, before it waits for fd: 1, or 0 if something has rung meanwhile. */
int h3_bell_sleep(h3_bell *b);

/* I/O thread, after fd was readable: it is not any more. */
void h3_bell_woken(h3_bell *b);

/* I/O thread: takes all that have rung; follow taken_next. NULL: none. */
h3_bell_entry *h3_bell_take(h3_bell *b);

#endif /* H3_BELL_H */
