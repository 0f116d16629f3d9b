/* SPDX-License-Identifier: Apache-2.0 */
/* epoll_pwait2 */
#define _GNU_SOURCE
#include "h3/h3_poll.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <sys/epoll.h>

#define EVENTS 32
#define NSEC_PER_SEC 1000000000ull

struct h3_poll {
    const quic_group *group;
    h3_bell *bell;
    int slot; /* -1: none yet */
    int fd;
    char *asked_writable; /* by listener: EPOLLOUT is asked for */
    int no_pwait2;
    struct epoll_event events[EVENTS];
    int nevents;
};

static int add(h3_poll *poll, int fd, quic_listener *l);
static void ask_writable(h3_poll *poll);

apr_status_t h3_poll_create(h3_poll **poll, const quic_group *group, h3_bell *bell)
{
    h3_poll *made = calloc(1, sizeof(*made));
    apr_status_t rv;

    if (!made) {
        return APR_ENOMEM;
    }
    made->group = group;
    made->bell = bell;
    made->slot = -1;
    made->asked_writable = calloc((size_t)group->n, 1);
    made->fd = epoll_create1(EPOLL_CLOEXEC);
    if (!made->asked_writable) {
        rv = APR_ENOMEM;
    }
    else if (made->fd < 0 || add(made, bell->fd, NULL) < 0) {
        rv = errno;
    }
    else {
        *poll = made;
        return APR_SUCCESS;
    }
    h3_poll_destroy(made);
    return rv;
}

void h3_poll_destroy(h3_poll *poll)
{
    if (poll->fd >= 0) {
        close(poll->fd);
    }
    free(poll->asked_writable);
    free(poll);
}

/* `l` is NULL for the bell. */
static int add(h3_poll *poll, int fd, quic_listener *l)
{
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = l };

    return epoll_ctl(poll->fd, EPOLL_CTL_ADD, fd, &ev);
}

int h3_poll_serve(h3_poll *poll, int slot)
{
    quic_listener *l;
    int i;

    poll->slot = slot;
    for (i = 0; i < poll->group->n; i++) {
        l = poll->group->listeners[i];
        if (add(poll, l->fd[slot], l) < 0) {
            return -1;
        }
    }
    return 0;
}

void h3_poll_wait(h3_poll *poll, uint64_t ns)
{
    struct timespec ts;

    ask_writable(poll);
    if (ns && !h3_bell_sleep(poll->bell)) {
        ns = 0;
    }
    if (!poll->no_pwait2) {
        ts.tv_sec = (time_t)(ns / NSEC_PER_SEC);
        ts.tv_nsec = (long)(ns % NSEC_PER_SEC);
        poll->nevents = epoll_pwait2(poll->fd, poll->events, EVENTS, &ts, NULL);
        if (poll->nevents >= 0 || errno != ENOSYS) {
            return;
        }
        poll->no_pwait2 = 1; /* Linux before 5.11: pacing is coarse then */
    }
    poll->nevents = epoll_wait(poll->fd, poll->events, EVENTS, (int)((ns + 999999) / 1000000));
}

/*
 * Only at the sockets that somebody waits for: another one is nearly always writable, and would end
 * every wait at once.
 */
static void ask_writable(h3_poll *poll)
{
    struct epoll_event ev;
    quic_listener *l;
    int i;

    for (i = 0; i < poll->group->n; i++) {
        l = poll->group->listeners[i];
        if (poll->slot < 0 || l->full == poll->asked_writable[i]) {
            continue;
        }
        poll->asked_writable[i] = (char)l->full;
        ev.data.ptr = l;
        ev.events = l->full ? EPOLLIN | EPOLLOUT : EPOLLIN;
        epoll_ctl(poll->fd, EPOLL_CTL_MOD, l->fd[poll->slot], &ev);
    }
}

void h3_poll_deliver(h3_poll *poll, quic_endpoint *ep)
{
    const struct epoll_event *ev = poll->events, *end = ev + poll->nevents;
    int writable = 0;

    for (; ev < end; ev++) {
        quic_listener *l = ev->data.ptr;

        if (!l) {
            h3_bell_woken(poll->bell);
            continue;
        }
        if (ev->events & (EPOLLIN | EPOLLERR)) {
            quic_endpoint_recv(ep, l);
        }
        if (ev->events & EPOLLOUT) {
            l->full = 0;
            writable = 1;
        }
    }
    if (writable) {
        quic_endpoint_unblock(ep);
    }
}
