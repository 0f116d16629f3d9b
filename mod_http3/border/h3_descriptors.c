/* SPDX-License-Identifier: Apache-2.0 */
#include "border/h3_descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>
#include <sys/resource.h>

/* What waits has one in so many of the descriptors that are free when the child begins. */
#define SHARE 2
/* A response that waits rarely holds more: its file, and what a filter above has read of. */
#define OF_ONE_RESPONSE 2

static struct {
    int any;
    int limit;       /* a response that waits holds no descriptor from this number on */
    unsigned spare;  /* so many may be parked before anybody has to look at numbers */
    unsigned parked; /* atomic */
} child;

void h3_descriptors_share(int any)
{
    int lowest_free = fcntl(any, F_DUPFD_CLOEXEC, 0);
    struct rlimit rl;
    rlim_t available;

    if (lowest_free < 0) {
        lowest_free = any; /* it was the last */
    }
    else {
        close(lowest_free);
    }
    child.any = any;
    child.limit = INT_MAX;
    if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < INT_MAX) {
        available = rl.rlim_cur > (rlim_t)lowest_free ? rl.rlim_cur - (rlim_t)lowest_free : 0;
        child.limit = lowest_free + (int)(available / SHARE);
    }
    child.spare = (unsigned)(child.limit - lowest_free) / OF_ONE_RESPONSE / 2;
}

int h3_descriptors_dup(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    if (copy >= child.limit) {
        close(copy);
        errno = EMFILE;
        copy = -1;
    }
    return copy;
}

void h3_descriptors_park(void)
{
    __atomic_add_fetch(&child.parked, 1, __ATOMIC_RELAXED);
}

void h3_descriptors_unpark(void)
{
    __atomic_sub_fetch(&child.parked, 1, __ATOMIC_RELAXED);
}

int h3_descriptors_may_park(void)
{
    int copy;

    if (__atomic_load_n(&child.parked, __ATOMIC_RELAXED) < child.spare) {
        return 1;
    }
    copy = h3_descriptors_dup(child.any);
    if (copy >= 0) {
        close(copy);
    }
    return copy >= 0;
}
