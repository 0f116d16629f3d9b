/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A load and bulk client for HTTP/3: one thread, epoll, connections x streams
 * in a closed loop. `h3load --help` lists what it can; README.md says what for.
 *
 *   h3load.c     how many connections, when all is over
 *   load_conn    one QUIC connection          load_tls   certificates, sessions
 *   load_http    requests and answers on it   load_sock  its socket, losses
 *   load_opts    the command line             load_stat  counters, the report
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>
#include <apr_general.h>
#include <apr_pools.h>
#include "load_conn.h"
#include "load_opts.h"
#include "load_sock.h"
#include "load_stat.h"
#include "load_tls.h"

#define EVENTS 256
#define NS 1000000000ull

/* One run. */
typedef struct load_run {
    load_env env;
    load_conn *conns;  /* those that live, and those that went in this turn */
    uint64_t nconns;   /* length of the list */
    uint64_t to_open;  /* connections, or handshakes, that are still to be begun */
    uint64_t numbered; /* connections begun so far */
    int64_t remainder; /* requests that do not divide evenly */
    uint64_t stop_at;  /* no new requests from here on */
    uint64_t give_up_at;
    uint64_t idle_until; /* UINT64_MAX: not idle yet */
} load_run;

static volatile sig_atomic_t interrupted;

static void on_signal(int sig);
static uint64_t now_ns(void);
static int prepare(load_run *run, const load_opts *o, load_stat *st, apr_pool_t *pool);
static void loop(load_run *run);
static void wait_for_events(load_run *run);
static void run_timers(load_run *run);
static void open_more(load_run *run);
static load_conn *add_conn(load_run *run, int64_t remaining, load_conn *from);
static void look_at(load_run *run, load_conn *c);
static void look_at_touched(load_run *run);
static void remove_conn(load_run *run, load_conn *c);
static void keep_idle(load_run *run);
static void stop_requests(load_run *run);
static void give_up(load_run *run);

int main(int argc, char **argv)
{
    /* Static: nothing of these is freed, and no leak checker shall miss them. */
    static load_opts opts;
    static load_stat stat;
    static load_run run;
    apr_pool_t *pool;
    uint8_t digest[32];
    int rv = load_opts_parse(&opts, argc, argv);

    if (rv) {
        return rv < 0 ? 2 : 0;
    }
    apr_initialize();
    apr_pool_create(&pool, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    load_sock_raise_limit();
    load_sock_seed((uint64_t)opts.seed);
    if (opts.sha256 && opts.upload_size >= 0) {
        load_tls_upload_digest(digest, &opts);
        load_stat_hex(stat.upload_sha256, digest);
    }
    if (prepare(&run, &opts, &stat, pool)) {
        return 2;
    }
    loop(&run);
    stat.ended = now_ns();
    load_stat_print(&stat, &opts);
    return load_stat_all_well(&stat, &opts) && !interrupted ? 0 : 1;
}

static void on_signal(int sig)
{
    (void)sig;
    interrupted = 1;
}

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
}

static int prepare(load_run *run, const load_opts *o, load_stat *st, apr_pool_t *pool)
{
    run->env.opts = o;
    run->env.stat = st;
    run->env.now = st->begun = now_ns();
    run->env.tls = load_tls_ctx(o);
    run->env.batch = quic_udp_batch_create(pool);
    run->env.epoll = epoll_create1(EPOLL_CLOEXEC);
    quic_timer_heap_init(&run->env.timers);
    run->to_open = (uint64_t)(o->handshakes_only ? o->requests : o->conns);
    run->remainder = o->requests > 0 ? o->requests % o->conns : 0;
    run->stop_at = o->seconds > 0 ? st->begun + (uint64_t)(o->seconds * 1e9) : UINT64_MAX;
    run->give_up_at = st->begun + (uint64_t)(o->timeout * 1e9);
    run->idle_until = UINT64_MAX;
    if (run->env.epoll < 0) {
        fprintf(stderr, "h3load: epoll: %s\n", strerror(errno));
        return -1;
    }
    return run->env.tls ? 0 : -1;
}

static void loop(load_run *run)
{
    open_more(run);
    while (run->nconns || run->to_open) {
        wait_for_events(run);
        run_timers(run);
        look_at_touched(run);
        if (interrupted || run->env.now >= run->give_up_at) {
            give_up(run);
            return;
        }
        if (run->env.now >= run->stop_at) {
            stop_requests(run);
        }
        open_more(run);
        if (run->env.opts->idle >= 0) {
            keep_idle(run);
        }
    }
}

/* Until the next timer or deadline. */
static struct timespec patience(const load_run *run)
{
    const quic_timer *first = quic_timer_first(&run->env.timers);
    uint64_t when = run->give_up_at, now = now_ns();
    struct timespec ts = { 0, 0 };

    if (first && first->at < when) {
        when = first->at;
    }
    if (run->stop_at < when) {
        when = run->stop_at;
    }
    if (run->idle_until < when) {
        when = run->idle_until;
    }
    if (when > now) {
        ts.tv_sec = (time_t)((when - now) / NS);
        ts.tv_nsec = (long)((when - now) % NS);
    }
    return ts;
}

/* With nanoseconds, because ngtcp2 paces what it sends. */
static void wait_for_events(load_run *run)
{
    struct epoll_event events[EVENTS];
    struct timespec ts = patience(run);
    int i, n = epoll_pwait2(run->env.epoll, events, EVENTS, &ts, NULL);

    run->env.now = now_ns();
    for (i = 0; i < n; ++i) {
        load_conn_on_event(events[i].data.ptr, events[i].events);
    }
}

static void run_timers(load_run *run)
{
    const quic_timer *t;

    while ((t = quic_timer_first(&run->env.timers)) != NULL && t->at <= run->env.now) {
        load_conn_on_timer(t->owner);
    }
}

static void open_more(load_run *run)
{
    const load_opts *o = run->env.opts;
    const load_stat *st = run->env.stat;
    int64_t share;

    while (run->to_open && run->nconns < (uint64_t)o->conns
           && st->opened - st->connected - st->conn_failed < (uint64_t)o->connecting) {
        --run->to_open;
        share = 0;
        if (!o->handshakes_only) {
            share = o->requests < 0 ? -1 : o->requests / o->conns;
            if (run->remainder > 0) {
                --run->remainder;
                ++share;
            }
        }
        add_conn(run, share, NULL);
    }
}

static load_conn *add_conn(load_run *run, int64_t remaining, load_conn *from)
{
    load_conn *c = load_conn_new(&run->env, run->numbered++, remaining);

    if (!c) {
        return NULL;
    }
    if (from) {
        load_conn_inherit(c, from);
    }
    c->prev = &run->conns;
    c->next = run->conns;
    if (c->next) {
        c->next->prev = &c->next;
    }
    run->conns = c;
    ++run->nconns;
    return c;
}

static void look_at_touched(load_run *run)
{
    load_conn *c;

    while ((c = run->env.touched) != NULL) {
        run->env.touched = c->touched_next;
        c->is_touched = 0;
        look_at(run, c);
    }
}

/* Ends what has nothing to do any more, and replaces what was turned away. */
static void look_at(load_run *run, load_conn *c)
{
    const load_opts *o = run->env.opts;

    if (c->state == LOAD_CONN_GONE) {
        if (load_http_has_work(&c->http)) {
            ++run->env.stat->replaced;
            if (!add_conn(run, 0, c)) {
                load_http_gone(&c->http, 0);
            }
        }
        remove_conn(run, c);
        return;
    }
    if (c->state == LOAD_CONN_HANDSHAKE || c->http.nstreams) {
        return;
    }
    if (c->http.goaway >= 0) {
        c->turned_away = 1;
        load_conn_close(c);
        look_at(run, c);
        return;
    }
    if (o->handshakes_only ? c->state == LOAD_CONN_CONFIRMED
                           : o->idle < 0 && !load_http_has_work(&c->http)) {
        load_conn_close(c);
        remove_conn(run, c);
    }
}

static void remove_conn(load_run *run, load_conn *c)
{
    *c->prev = c->next;
    if (c->next) {
        c->next->prev = c->prev;
    }
    --run->nconns;
    load_conn_free(c);
}

/* The clock of --idle runs once all connections are there and all requests are done. */
static void keep_idle(load_run *run)
{
    const load_stat *st = run->env.stat;
    load_conn *c;

    if (run->idle_until != UINT64_MAX) {
        if (run->env.now >= run->idle_until) {
            while (run->conns) {
                load_conn_close(run->conns);
                remove_conn(run, run->conns);
            }
        }
        return;
    }
    if (run->to_open || st->confirmed + st->conn_failed < st->opened) {
        return;
    }
    for (c = run->conns; c; c = c->next) {
        if (load_http_has_work(&c->http)) {
            return;
        }
    }
    fprintf(stderr, "h3load: idle: %" PRIu64 " connections\n", run->nconns);
    run->idle_until = run->env.now + (uint64_t)(run->env.opts->idle * 1e9);
}

static void stop_requests(load_run *run)
{
    load_conn *c, *next;

    run->stop_at = UINT64_MAX;
    run->to_open = 0;
    for (c = run->conns; c; c = next) {
        next = c->next;
        load_http_stop(&c->http);
        look_at(run, c);
    }
}

static void give_up(load_run *run)
{
    uint64_t failed = run->env.stat->failed;

    load_stat_complain(run->env.stat, "%s with %" PRIu64 " connections open",
                       interrupted ? "interrupted" : "out of time", run->nconns);
    while (run->conns) {
        run->conns->turned_away = 0;
        run->env.stat->conn_failed += run->conns->state == LOAD_CONN_HANDSHAKE;
        load_conn_close(run->conns);
        remove_conn(run, run->conns);
    }
    run->env.stat->cut = run->env.stat->failed - failed;
}
