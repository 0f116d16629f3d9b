/* SPDX-License-Identifier: Apache-2.0 */
/* epoll_pwait2 */
#define _GNU_SOURCE
#include "h3_child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "ap_mpm.h"
#include "http_config.h"
#include "http_log.h"
#include "http_main.h"
#include "h3_session.h"
#include "quic_accept.h"

APLOG_USE_MODULE(http3);

/* Datagrams of one socket in one turn, so that timers and other sockets get theirs. */
#define RECV_BUDGET 256
/* What one call asks for; GRO may bring more in each message, never fewer. */
#define RECV_FULL 16
#define NSEC_PER_SEC 1000000000ull
#define NSEC_PER_MSEC 1000000ull
/*
 * Workers that run on after the drain: their requests are cut, they get so long
 * to notice; hardly any time when the parent waits for us (SIGTERM, restart).
 */
#define ABORT_MS 2000
#define ABORT_NOW_MS 300

typedef enum {
    CHILD_STARTING, /* the MPM is not running yet, or no slot is free */
    CHILD_SERVING,
    CHILD_DRAINING, /* GOAWAY is sent; requests in flight run on */
    CHILD_ABORTING, /* connections are closed; waiting for httpd to leave their requests */
    CHILD_ENDED
} child_state;

typedef struct h3_child {
    server_rec *server;
    const h3_config *conf;
    h3_retained *retained;
    child_state state;
    uint64_t deadline; /* of DRAINING and ABORTING */
    uint64_t next_tick, next_second;
    apr_thread_t *thread;
    quic_udp_batch *batch;
    int epoll_fd;
    int ended_fd;         /* eventfd: the I/O thread has ended */
    char *asked_writable; /* by listener: EPOLLOUT is asked for */
    int claimed;          /* slot and epoch are ours */
    pid_t pid;
    h3_stream_env streams;
    quic_env env;
} h3_child;

/* Written by hooks and signal handlers of any thread, read by the I/O thread: atomically. */
static int stop_graceful, stop_now;
static h3_child *the_child; /* one per process; set before the thread starts, never freed */

static void *APR_THREAD_FUNC io_thread(apr_thread_t *thread, void *data);
static void turn(h3_child *ch);
static void drain(h3_child *ch);
static void enter(h3_child *ch, child_state state);
static void close_all(h3_child *ch);

static uint64_t monotonic(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static int is_set(const int *flag)
{
    return __atomic_load_n(flag, __ATOMIC_RELAXED);
}

static void set(int *flag)
{
    __atomic_store_n(flag, 1, __ATOMIC_RELAXED);
}

static uint64_t abort_ms(void)
{
    return is_set(&stop_now) ? ABORT_NOW_MS : ABORT_MS;
}

/* ---- slot and sockets ---- */

static int add_sockets(h3_child *ch)
{
    struct epoll_event ev;
    int i;

    for (i = 0; i < ch->retained->nlisteners; i++) {
        /* The slot's last owner may have ended while it was off. */
        quic_listener_gro(ch->retained->listeners[i], ch->env.slot, 1);
        ev.events = EPOLLIN;
        ev.data.ptr = ch->retained->listeners[i];
        if (epoll_ctl(ch->epoll_fd, EPOLL_CTL_ADD, ch->retained->listeners[i]->fd[ch->env.slot],
                      &ev)
            < 0) {
            return -1;
        }
    }
    return 0;
}

/*
 * Only at the sockets that somebody waits for: another one is nearly always writable, and would end
 * every wait at once.
 */
static void ask_writable(h3_child *ch)
{
    struct epoll_event ev;
    quic_listener *l;
    int i;

    for (i = 0; i < ch->retained->nlisteners; i++) {
        l = ch->retained->listeners[i];
        if (l->full == ch->asked_writable[i]) {
            continue;
        }
        ch->asked_writable[i] = l->full;
        ev.data.ptr = l;
        ev.events = l->full ? EPOLLIN | EPOLLOUT : EPOLLIN;
        epoll_ctl(ch->epoll_fd, EPOLL_CTL_MOD, l->fd[ch->env.slot], &ev);
    }
}

static void try_gro_again(h3_child *ch)
{
    quic_listener *l;
    int i;

    for (i = 0; i < ch->retained->nlisteners; i++) {
        l = ch->retained->listeners[i];
        if (l->gro_off_until && ch->env.now >= l->gro_off_until) {
            l->gro_off_until = 0;
            quic_listener_gro(l, ch->env.slot, 1);
        }
    }
}

static void reset_gauges(quic_stats *st)
{
    QUIC_STATS_ADD(st, connections, -st->connections);
    QUIC_STATS_ADD(st, half_open, -st->half_open);
    QUIC_STATS_ADD(st, streams, -st->streams);
    QUIC_STATS_ADD(st, requests, -st->requests);
}

/* Not before the MPM runs: other modules' child_init may still be to come. */
static void try_to_serve(h3_child *ch)
{
    h3_retained *r = ch->retained;
    int state = AP_MPMQ_STARTING, slot;
    uint8_t epoch;

    ap_mpm_query(AP_MPMQ_MPM_STATE, &state);
    if (state == AP_MPMQ_STARTING
        || quic_route_claim(r->route, &r->cid_secret, ch->pid, r->generation, r->listeners,
                            r->nlisteners, &slot, &epoch)
               != APR_SUCCESS) {
        return;
    }
    ch->claimed = 1;
    ch->env.slot = (uint8_t)slot;
    ch->env.epoch = epoch;
    ch->env.stats = ch->streams.stats = &r->stats[slot];
    reset_gauges(ch->env.stats);
    if (add_sockets(ch) < 0) {
        ap_log_error(APLOG_MARK, APLOG_ERR, errno, ch->server,
                     APLOGNO(10600) "cannot wait for datagrams, no HTTP/3 in this child");
        enter(ch, CHILD_ENDED);
        return;
    }
    ap_log_error(APLOG_MARK, APLOG_DEBUG, 0, ch->server, "child serves HTTP/3 in slot %d, epoch %d",
                 slot, epoch);
    enter(ch, CHILD_SERVING);
}

/* ---- the loop ---- */

static void receive(h3_child *ch, quic_listener *l)
{
    const quic_datagram *dg;
    int budget = RECV_BUDGET, n, i;

    while (budget > 0
           && (n = quic_udp_recv(ch->batch, l->fd[ch->env.slot], quic_addr_port(&l->addr), &dg))
                  > 0) {
        for (i = 0; i < n; i++) {
            quic_accept_datagram(&ch->env, l, &dg[i]);
        }
        if (n < RECV_FULL) {
            break; /* there were fewer than asked for: epoll tells of those that come now */
        }
        budget -= n;
    }
}

static int wait_for_events(h3_child *ch, struct epoll_event *ev, int max)
{
    static int no_pwait2;
    quic_timer *first = quic_timers_first(&ch->env.timers);
    uint64_t now = monotonic(), until = ch->next_tick, ns;
    struct timespec ts;
    int n;

    if (first && first->at < until) {
        until = first->at;
    }
    ns = until > now ? until - now : 0;
    if (ns && !h3_bell_sleep(&ch->streams.bell)) {
        ns = 0;
    }
    if (!no_pwait2) {
        ts.tv_sec = (time_t)(ns / NSEC_PER_SEC);
        ts.tv_nsec = (long)(ns % NSEC_PER_SEC);
        n = epoll_pwait2(ch->epoll_fd, ev, max, &ts, NULL);
        if (n >= 0 || errno != ENOSYS) {
            return n;
        }
        no_pwait2 = 1; /* Linux before 5.11: pacing is coarse then */
    }
    return epoll_wait(ch->epoll_fd, ev, max, (int)((ns + 999999) / 1000000));
}

static void tick(h3_child *ch)
{
    h3_retained *r = ch->retained;
    quic_conn *conn, *next;

    ch->next_tick = ch->env.now + NSEC_PER_SEC;
    if (ch->state == CHILD_STARTING) {
        try_to_serve(ch);
        if (ch->state == CHILD_STARTING) {
            ch->next_tick = ch->env.now + NSEC_PER_SEC / 50;
        }
        return;
    }
    if (ch->env.now >= ch->next_second) {
        ch->next_second = ch->env.now + NSEC_PER_SEC;
        for (conn = ch->env.all; conn; conn = next) {
            next = conn->next;
            h3_session_tick(conn);
        }
        quic_route_reap(r->route, &r->cid_secret, r->listeners, r->nlisteners);
        try_gro_again(ch);
    }
    if (ch->state >= CHILD_DRAINING) {
        ch->next_tick = ch->env.now + NSEC_PER_SEC / 100;
    }
    if (ch->state == CHILD_DRAINING) {
        drain(ch);
    }
}

static void turn(h3_child *ch)
{
    struct epoll_event ev[32];
    quic_listener *l;
    uint64_t count;
    int i, n, writable = 0;

    n = wait_for_events(ch, ev, 32);
    ch->env.now = monotonic();
    for (i = 0; i < n; i++) {
        l = ev[i].data.ptr;
        if (!l) {
            while (read(ch->streams.bell.fd, &count, sizeof(count)) < 0 && errno == EINTR) {}
            continue;
        }
        if (ev[i].events & (EPOLLIN | EPOLLERR)) {
            receive(ch, l);
        }
        if (ev[i].events & EPOLLOUT) {
            l->full = 0;
            writable = 1;
        }
    }
    if (writable) {
        quic_env_unblock(&ch->env);
    }
    h3_session_news(&ch->streams);
    if (ch->env.now >= ch->next_tick) {
        tick(ch);
    }
    quic_env_expire(&ch->env);
    quic_env_write(&ch->env);
    ask_writable(ch);
}

/* ---- the end ---- */

/* What still waits in the socket came before the route was changed: it is served. */
static void begin_drain(h3_child *ch)
{
    h3_retained *r = ch->retained;

    ap_log_error(APLOG_MARK, APLOG_DEBUG, 0, ch->server,
                 "child stops: %u connections, %u requests in flight", ch->env.connections,
                 ch->streams.running);
    quic_route_drain(r->route, &r->cid_secret, ch->env.slot, r->listeners, r->nlisteners);
    ch->deadline = ch->env.now + (uint64_t)ch->conf->graceful_timeout * 1000;
}

/* A hundred times a second: it looks at every connection. */
static void drain(h3_child *ch)
{
    quic_conn *conn, *next;

    for (conn = ch->env.all; conn; conn = next) {
        next = conn->next;
        if (conn->state != QUIC_CONN_OPEN || !conn->app) {
            continue;
        }
        ch->env.app->shutdown(conn->app);
        if (ch->env.app->is_drained(conn->app)) {
            quic_conn_close(conn);
        }
    }
    /*
     * Closing connections are waited for: another child would answer what crosses their close, or
     * follows a close that was lost, with a stateless reset. RFC 9000 section 10.2
     */
    if (!ch->env.connections && !ch->env.closing && !ch->streams.running) {
        enter(ch, CHILD_ENDED);
    }
    else if (ch->env.now >= ch->deadline) {
        enter(ch, CHILD_ABORTING);
    }
}

static void close_all(h3_child *ch)
{
    quic_conn *conn, *next;

    for (conn = ch->env.all; conn; conn = next) {
        next = conn->next;
        quic_conn_close(conn);
    }
}

/* The one place where the state changes. */
static void enter(h3_child *ch, child_state state)
{
    ap_assert(state > ch->state); /* states only go forward */
    ch->state = state;
    switch (state) {
    case CHILD_DRAINING:
        begin_drain(ch);
        break;
    case CHILD_ABORTING:
        close_all(ch);
        ch->deadline = ch->env.now + abort_ms() * NSEC_PER_MSEC;
        break;
    default:
        break;
    }
    ch->next_tick = ch->env.now;
}

static void check_stop(h3_child *ch)
{
    int now = is_set(&stop_now);

    if (!now && !is_set(&stop_graceful)) {
        return;
    }
    if (ch->state == CHILD_STARTING) {
        enter(ch, CHILD_ENDED);
    }
    else if (now && ch->state < CHILD_ABORTING) {
        enter(ch, CHILD_ABORTING);
    }
    else if (ch->state == CHILD_SERVING) {
        enter(ch, CHILD_DRAINING);
    }
    if (ch->state == CHILD_ABORTING && (!ch->streams.running || ch->env.now >= ch->deadline)) {
        enter(ch, CHILD_ENDED);
    }
}

static void *APR_THREAD_FUNC io_thread(apr_thread_t *thread, void *data)
{
    h3_child *ch = data;
    h3_retained *r = ch->retained;
    uint64_t one = 1;

    (void)thread;
    ch->pid = getpid();
    ch->env.now = monotonic();
    while (ch->state != CHILD_ENDED) {
        turn(ch);
        check_stop(ch);
    }
    while (ch->env.all) {
        quic_conn_destroy(ch->env.all);
    }
    if (ch->claimed) {
        reset_gauges(ch->env.stats);
        quic_route_release(r->route, &r->cid_secret, ch->env.slot, r->listeners, r->nlisteners);
    }
    while (write(ch->ended_fd, &one, sizeof(one)) < 0 && errno == EINTR) {}
    return NULL;
}

static void on_hard_stop(int sig)
{
    int saved = errno;

    (void)sig;
    set(&stop_now);
    if (the_child) {
        h3_bell_wake(&the_child->streams.bell);
    }
    errno = saved;
}

/*
 * In the child's main thread, when TCP has drained and every other module is
 * still alive. SIGTERM, or the parent's SIGHUP, ends the wait.
 */
static apr_status_t wait_for_end(void *data)
{
    h3_child *ch = data;
    struct sigaction sa;
    struct pollfd pfd = { ch->ended_fd, POLLIN, 0 };
    sigset_t set;
    uint64_t until;
    apr_status_t rv;
    int left;

    memset(&sa, 0, sizeof(sa));
    sa.sa_handler = on_hard_stop;
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);

    h3_child_stopping(1);
    until =
        monotonic() + (uint64_t)ch->conf->graceful_timeout * 1000 + 2 * ABORT_MS * NSEC_PER_MSEC;
    for (;;) {
        left = (int)((int64_t)(until - monotonic()) / 1000000);
        if (left <= 0 || poll(&pfd, 1, left) > 0) {
            break;
        }
    }
    if (pfd.revents & POLLIN) {
        apr_thread_join(&rv, ch->thread);
        h3_workers_shutdown(ch->streams.workers, apr_time_from_msec((int)abort_ms()));
    }
    return APR_SUCCESS;
}

void h3_child_stopping(int graceful)
{
    set(graceful ? &stop_graceful : &stop_now);
    if (the_child) {
        h3_bell_wake(&the_child->streams.bell);
    }
}

/* ---- begin ---- */

static const quic_tls_host *any_host(server_rec *s)
{
    for (; s; s = s->next) {
        if (h3_config_get(s)->tls_host) {
            return h3_config_get(s)->tls_host;
        }
    }
    return NULL;
}

static void fill_env(h3_child *ch)
{
    quic_env *env = &ch->env;

    env->server = ch->server;
    env->secret = &ch->retained->cid_secret;
    env->route = ch->retained->route;
    env->app = &h3_session_ops;
    env->app_env = &ch->streams;
    env->any_host = any_host(ch->server);
    h3_session_limits(&env->limits, h3_config_get(quic_tls_host_server(env->any_host)));
    env->handshake_timeout = (uint64_t)ch->conf->handshake_timeout * 1000;
    env->max_connections = (unsigned)ch->conf->max_connections;
    env->max_half_open = (env->max_connections + 3) / 4;
    env->qlog_dir = ch->conf->qlog_dir;
    quic_timers_init(&env->timers);
    ch->streams.server = ch->server;
}

static apr_status_t make_fds(h3_child *ch)
{
    struct epoll_event ev;

    ch->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    ch->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (ch->epoll_fd < 0 || ch->ended_fd < 0) {
        return errno;
    }
    ev.events = EPOLLIN;
    ev.data.ptr = NULL; /* the bell */
    if (epoll_ctl(ch->epoll_fd, EPOLL_CTL_ADD, ch->streams.bell.fd, &ev) < 0) {
        return errno;
    }
    return APR_SUCCESS;
}

static apr_status_t start_workers(h3_child *ch, apr_pool_t *pconf)
{
    int min = ch->conf->min_workers, max = ch->conf->max_workers;

    if (min <= 0) {
        ap_mpm_query(AP_MPMQ_MAX_THREADS, &min);
    }
    if (max <= 0) {
        max = min + min / 2;
    }
    if (max < min) {
        min = max;
    }
    return h3_workers_create(&ch->streams.workers, ch->server, pconf, min, max,
                             (int)ch->conf->max_worker_idle_secs);
}

apr_status_t h3_child_start(apr_pool_t *pchild, server_rec *s)
{
    /* Never freed: a worker that is stuck at the end may still use it. */
    h3_child *ch = calloc(1, sizeof(*ch));
    apr_pool_t *pconf = s->process->pconf;
    apr_status_t rv;

    if (!ch) {
        return APR_ENOMEM;
    }
    stop_graceful = stop_now = 0;
    ch->server = s;
    ch->conf = h3_config_get(s);
    ch->retained = h3_retained_get();
    fill_env(ch);
    ch->env.table = quic_cid_table_create();
    ch->batch = quic_udp_batch_create(pconf);
    ch->asked_writable = apr_pcalloc(pconf, (apr_size_t)ch->retained->nlisteners);
    if (!ch->env.table || !ch->batch) {
        return APR_ENOMEM;
    }
    if ((rv = h3_bell_init(&ch->streams.bell)) != APR_SUCCESS || (rv = make_fds(ch)) != APR_SUCCESS
        || (rv = start_workers(ch, pconf)) != APR_SUCCESS) {
        return rv;
    }
    the_child = ch;
    rv = ap_thread_create(&ch->thread, NULL, io_thread, ch, pconf);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    apr_pool_pre_cleanup_register(pchild, ch, wait_for_end);
    return APR_SUCCESS;
}
