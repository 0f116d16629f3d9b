/* SPDX-License-Identifier: Apache-2.0 */
#include "border/h3_cond.h"

int h3_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    int rv;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    rv = pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
    return rv;
}

void h3_cond_deadline(struct timespec *until, apr_interval_time_t timeout)
{
    clock_gettime(CLOCK_MONOTONIC, until);
    until->tv_sec += (time_t)apr_time_sec(timeout);
    until->tv_nsec += (long)apr_time_usec(timeout) * 1000;
    if (until->tv_nsec >= 1000000000L) {
        until->tv_nsec -= 1000000000L;
        until->tv_sec++;
    }
}
