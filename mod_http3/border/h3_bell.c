/* SPDX-License-Identifier: Apache-2.0 */
#include "border/h3_bell.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <sys/eventfd.h>

apr_status_t h3_bell_init(h3_bell *b)
{
    int rv;

    memset(b, 0, sizeof(*b));
    b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (b->fd < 0) {
        return errno;
    }
    if ((rv = pthread_mutex_init(&b->lock, NULL)) != 0) {
        close(b->fd);
    }
    return rv;
}

void h3_bell_destroy(h3_bell *b)
{
    pthread_mutex_destroy(&b->lock);
    close(b->fd);
}

/* One that is already on the list needs no second place: its news is taken after it is. */
void h3_bell_ring(h3_bell *b, h3_bell_entry *e, unsigned said)
{
    int wake = 0;

    pthread_mutex_lock(&b->lock);
    e->said |= said;
    if (!e->is_on) {
        e->is_on = 1;
        e->next = NULL;
        if (b->last) {
            b->last->next = e;
        }
        else {
            b->first = e;
        }
        b->last = e;
        wake = b->sleeping;
        b->sleeping = 0;
    }
    pthread_mutex_unlock(&b->lock);
    if (wake) {
        h3_bell_wake(b);
    }
}

void h3_bell_wake(h3_bell *b)
{
    uint64_t one = 1;

    while (write(b->fd, &one, sizeof(one)) < 0 && errno == EINTR) {}
}

int h3_bell_sleep(h3_bell *b)
{
    int empty;

    pthread_mutex_lock(&b->lock);
    empty = b->first == NULL;
    b->sleeping = empty;
    pthread_mutex_unlock(&b->lock);
    return empty;
}

void h3_bell_woken(h3_bell *b)
{
    uint64_t count;

    while (read(b->fd, &count, sizeof(count)) < 0 && errno == EINTR) {}
}

h3_bell_entry *h3_bell_take(h3_bell *b)
{
    h3_bell_entry *first, *e;

    pthread_mutex_lock(&b->lock);
    first = b->first;
    b->sleeping = 0;
    for (e = first; e; e = e->next) {
        /* From here on it may ring anew, and have another neighbour on the bell. */
        e->taken_next = e->next;
        e->is_on = 0;
        e->heard |= e->said;
        e->said = 0;
    }
    b->first = b->last = NULL;
    pthread_mutex_unlock(&b->lock);
    return first;
}
