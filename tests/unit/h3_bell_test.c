/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include "border/h3_bell.h"
#include "tap.h"

#define RINGERS 4
#define RINGS 20000

static h3_bell bell;

static int bell_rings(int wait_ms)
{
    struct pollfd pfd = { bell.fd, POLLIN, 0 };
    uint64_t n;

    if (poll(&pfd, 1, wait_ms) <= 0) {
        return 0;
    }
    return read(bell.fd, &n, sizeof(n)) == sizeof(n);
}

static void who_sleeps_is_woken(void)
{
    h3_bell_entry a = { 0 }, b = { 0 };

    is_int(h3_bell_sleep(&bell), 1, "nothing has rung: it may sleep");
    h3_bell_ring(&bell, &a, 0);
    ok(bell_rings(0), "a ring wakes it");
    h3_bell_ring(&bell, &b, 0);
    h3_bell_ring(&bell, &a, 0);
    ok(!bell_rings(0), "once for all that ring before it looks");
    is_int(h3_bell_sleep(&bell), 0, "what has rung keeps it awake");
    ok(h3_bell_take(&bell) == &a && a.taken_next == &b && !b.taken_next, "each is there once");
    ok(h3_bell_take(&bell) == NULL, "taken");
    h3_bell_ring(&bell, &a, 0);
    ok(!bell_rings(0), "while it is awake it needs no waking");
    h3_bell_take(&bell);
    h3_bell_wake(&bell);
    ok(bell_rings(0) && !h3_bell_take(&bell), "it can be woken though nothing has rung");
}

/* What rings while the I/O thread goes through those it has taken does not cut them off. */
static void rings_again(void)
{
    h3_bell_entry a = { 0 }, b = { 0 }, c = { 0 }, *first;

    h3_bell_ring(&bell, &a, 0);
    h3_bell_ring(&bell, &b, 0);
    h3_bell_ring(&bell, &c, 0);
    first = h3_bell_take(&bell);
    h3_bell_ring(&bell, &b, 0);
    h3_bell_ring(&bell, &a, 0);
    ok(first == &a && a.taken_next == &b && b.taken_next == &c && !c.taken_next,
       "all that were taken are still there");
    first = h3_bell_take(&bell);
    ok(first == &b && b.taken_next == &a && !a.taken_next, "and those that rang again come again");
}

static void what_is_said(void)
{
    h3_bell_entry e = { 0 };

    h3_bell_ring(&bell, &e, 1);
    h3_bell_ring(&bell, &e, 0);
    h3_bell_ring(&bell, &e, 4);
    is_int(e.heard, 0, "nothing is heard before it is taken");
    h3_bell_take(&bell);
    is_int(e.heard, 5, "all that was said until then is");
    h3_bell_ring(&bell, &e, 2);
    is_int(e.heard, 5, "what is said meanwhile is not");
    e.heard &= ~1u;
    h3_bell_take(&bell);
    is_int(e.heard, 6, "it is with its own ring, beside what was not cleared");
}

/* Threads that ring as fast as they can: none of their last words is lost. */
typedef struct ringer {
    int before; /* so that the entry is not at its beginning */
    h3_bell_entry entry;
    pthread_t thread;
    int left;
} ringer;

static void *ring_often(void *arg)
{
    ringer *r = arg;
    int i;

    for (i = 0; i < RINGS; i++) {
        h3_bell_ring(&bell, &r->entry, 0);
    }
    h3_bell_ring(&bell, &r->entry, 1);
    return NULL;
}

static void many(void)
{
    static ringer ringers[RINGERS];
    h3_bell_entry *e, *next;
    int i, left = 0, twice = 0;

    for (i = 0; i < RINGERS; i++) {
        pthread_create(&ringers[i].thread, NULL, ring_often, &ringers[i]);
    }
    while (left < RINGERS) {
        if (h3_bell_sleep(&bell) && !bell_rings(10000)) {
            break;
        }
        for (e = h3_bell_take(&bell); e; e = next) {
            ringer *r = (ringer *)((char *)e - offsetof(ringer, entry));

            next = e->taken_next;
            twice += r->left;
            if (e->heard & 1) {
                r->left = 1;
                left++;
            }
        }
    }
    for (i = 0; i < RINGERS; i++) {
        pthread_join(ringers[i].thread, NULL);
    }
    is_int(left, RINGERS, "the last ring of each thread is heard");
    is_int(twice, 0, "and nothing of it after that");
    ok(!h3_bell_take(&bell), "no entry is left");
}

int main(void)
{
    is_int(h3_bell_init(&bell), APR_SUCCESS, "a bell");
    who_sleeps_is_woken();
    rings_again();
    what_is_said();
    many();
    close(bell.fd);
    return done_testing();
}
