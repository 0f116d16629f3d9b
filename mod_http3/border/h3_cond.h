/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Condition variables that wait by the monotonic clock: setting the wall clock neither ends a wait
 * nor makes it longer.
 *
 * Any thread. The conditions themselves are pthread's, and are destroyed and waited for as such.
 */
#ifndef H3_COND_H
#define H3_COND_H

#include <pthread.h>
#include <time.h>
#include <apr_time.h>

/* 0, or an errno: there is no condition then. */
int h3_cond_init(pthread_cond_t *cond);

/* The moment `timeout` (microseconds) from now, for pthread_cond_timedwait. */
void h3_cond_deadline(struct timespec *until, apr_interval_time_t timeout);

#endif /* H3_COND_H */
