/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <unistd.h>
#include <sys/resource.h>
#include "border/h3_descriptors.h"
#include "border/h3_span.h"
#include "tap.h"

static struct rlimit before;

/* With so many free descriptors after those that are open. */
static void begin_child(rlim_t free_fds)
{
    struct rlimit low = before;
    int lowest = dup(0);

    close(lowest);
    low.rlim_cur = (rlim_t)lowest + free_fds;
    setrlimit(RLIMIT_NOFILE, &low);
    h3_descriptors_share(0);
}

/* A client that reads nothing of many files does not use up the descriptors of all others. */
static void files_have_a_share(void)
{
    h3_span spans[40], one;
    apr_status_t rv;
    int n = 0, other;

    begin_child(40);
    while ((rv = h3_span_open(&spans[n], 0, 0, 1)) == APR_SUCCESS) {
        n++;
    }
    is_int(rv, EMFILE, "no more spans");
    is_int(n, 20, "than half of the descriptors that were free");
    ok((other = dup(0)) >= 0, "the others are there for others");
    is_int(h3_descriptors_dup(0), -1, "not for what waits");
    is_int(errno, EMFILE, "which is told that there are too many");
    h3_span_close(&spans[--n]);
    is_int(h3_span_open(&one, 0, 0, 1), APR_SUCCESS, "a span that is closed makes room");
    h3_span_close(&one);
    while (n) {
        h3_span_close(&spans[--n]);
    }
    close(other);
    is_int(h3_span_open(&one, -1, 0, 1), EBADF, "a descriptor that is none");
}

static void parking(void)
{
    int copies[15], i, good = 1;

    begin_child(20);
    /* Two each, and half of the share at most: so far nobody looks. */
    for (i = 0; i < 2; i++) {
        good = good && h3_descriptors_may_park();
        h3_descriptors_park();
    }
    ok(good && h3_descriptors_may_park(),
       "while there are descriptors, any response may be parked");
    for (i = 0; i < 15; i++) {
        copies[i] = dup(0);
    }
    ok(!h3_descriptors_may_park(), "when the share is taken, by whomever, none may");
    h3_descriptors_unpark();
    ok(h3_descriptors_may_park(), "but for a few of which nobody looks");
    h3_descriptors_park();
    for (i = 0; i < 15; i++) {
        close(copies[i]);
    }
    ok(h3_descriptors_may_park(), "when descriptors have become free, they may again");
    h3_descriptors_unpark();
    h3_descriptors_unpark();
}

static void no_room_at_all(void)
{
    begin_child(0);
    is_int(h3_descriptors_dup(0), -1, "where none is free when the child begins");
    ok(!h3_descriptors_may_park(), "nothing waits");
}

int main(void)
{
    int fd;

    for (fd = 3; fd < 256; fd++) {
        close(fd); /* what was inherited has any number */
    }
    getrlimit(RLIMIT_NOFILE, &before);
    files_have_a_share();
    parking();
    no_room_at_all();
    setrlimit(RLIMIT_NOFILE, &before);
    return done_testing();
}
