/* SPDX-License-Identifier: Apache-2.0 */
#include "h3/h3_child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "ap_mpm.h"
#include "http_config.h"
#include "http_core.h"
#include "http_log.h"
#include "http_main.h"
#include "mpm_common.h"
#include "conf/h3_memory.h"
#include "conf/h3_sockets.h"
#include "conf/h3_retained.h"
#include "border/h3_descriptors.h"
#include "h3/h3_poll.h"
#include "h3/h3_session.h"
#include "quic/quic_endpoint.h"
#include "quic/quic_route.h"

APLOG_USE_MODULE(http3);

#define NSEC_PER_SEC 1000000000ull
#define NSEC_PER_MSEC 1000000ull
/*
 * Workers that run on after the drain: their requests are cut, and they get this long to notice;
 * hardly any time when the parent waits for us (SIGTERM, restart).
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
    uint64_t now;      /* nanoseconds of CLOCK_MONOTONIC, read once per turn */
    uint64_t deadline; /* of DRAINING and ABORTING */
    uint64_t next_tick, next_second;
    apr_thread_t *thread;
    h3_poll *poll;
    int ended_fd; /* eventfd: the I/O thread has ended */
    int claimed;  /* the slot is ours */
    int slot;
    int is_alone; /* httpd -X: no parent binds what has become free */
    pid_t pid;
    h3_stream_env streams;
    quic_endpoint *quic; /* the I/O thread's */
} h3_child;

/* Written by hooks and signal handlers of any thread, read by the I/O thread: atomically. */
static int stop_graceful, stop_now;
static h3_child *the_child; /* one per process; set before the thread starts, then never freed */

static void make_budgets(h3_child *ch);
static apr_status_t make_quic(h3_child *ch, apr_pool_t *pconf);
static const quic_tls_host *any_host(server_rec *s);
static apr_status_t make_ended_fd(h3_child *ch);
static apr_status_t start_workers(h3_child *ch, apr_pool_t *pconf);
static void worker_not_started(void *baton, apr_status_t rv, int running, int wanted);
static apr_status_t start_io_thread(h3_child *ch, apr_pool_t *pconf);
static void undo_start(h3_child *ch);
static void *APR_THREAD_FUNC io_thread(apr_thread_t *thread, void *data);
static void turn(h3_child *ch);
static uint64_t time_to_wait(const h3_child *ch);
static void tick(h3_child *ch);
static void tell_memory(h3_stream_env *env);
static void try_to_serve(h3_child *ch);
static void look_for_sockets(h3_child *ch);
static void check_stop(h3_child *ch);
static void enter(h3_child *ch, child_state state);
static void begin_drain(h3_child *ch);
static void drain(h3_child *ch);
static void abort_all(h3_child *ch);
static void give_slot_back(h3_child *ch);
static void reset_gauges(h3_retained_stats *st);
static apr_status_t wait_for_end(void *data);
static void on_hard_stop(int sig);

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

/* ---- begin ---- */

apr_status_t h3_child_start(apr_pool_t *pchild, server_rec *s)
{
    /* Once it has started it is never freed: a worker that is stuck at the end may still use it. */
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
    /* As the MPMs read -X and -DONE_PROCESS. */
    ch->is_alone = ap_exists_config_define("DEBUG") || ap_exists_config_define("ONE_PROCESS");
    ch->streams.server = s;
    make_budgets(ch);
    ch->streams.max_waiting = (unsigned)ch->conf->max_connections;
    ch->ended_fd = -1;
    if ((rv = h3_bell_init(&ch->streams.bell)) != APR_SUCCESS) {
        free(ch);
        return rv;
    }
    h3_descriptors_share(ch->streams.bell.fd);
    if ((rv = make_quic(ch, pconf)) != APR_SUCCESS
        || (rv = h3_poll_create(&ch->poll, &ch->retained->group, &ch->streams.bell)) != APR_SUCCESS
        || (rv = make_ended_fd(ch)) != APR_SUCCESS || (rv = start_workers(ch, pconf)) != APR_SUCCESS
        || (rv = start_io_thread(ch, pconf)) != APR_SUCCESS) {
        undo_start(ch);
        return rv;
    }
    apr_pool_pre_cleanup_register(pchild, ch, wait_for_end);
    return APR_SUCCESS;
}

/* A half each: what windows have grown is not given back soon, and responses must go on. */
static void make_budgets(h3_child *ch)
{
    size_t max = ch->conf->max_mem ? (size_t)ch->conf->max_mem : h3_memory_share();

    h3_budget_init(&ch->streams.budget, max / 2);
    h3_budget_init(&ch->streams.windows_budget, max / 2);
}

static apr_status_t make_quic(h3_child *ch, apr_pool_t *pconf)
{
    quic_endpoint_config conf = {
        .server = ch->server,
        .group = &ch->retained->group,
        .app = &h3_session_ops,
        .app_env = &ch->streams,
        .any_host = any_host(ch->server),
        .handshake_timeout = (uint64_t)ch->conf->handshake_timeout * 1000,
        .max_connections = (unsigned)ch->conf->max_connections,
        .qlog_dir = ch->conf->qlog_dir,
    };

    h3_session_limits(&conf.limits, h3_config_get(quic_tls_host_server(conf.any_host)));
    ch->quic = quic_endpoint_create(&conf, pconf);
    return ch->quic ? APR_SUCCESS : APR_ENOMEM;
}

static const quic_tls_host *any_host(server_rec *s)
{
    for (; s; s = s->next) {
        if (h3_config_get(s)->tls_host) {
            return h3_config_get(s)->tls_host;
        }
    }
    return NULL;
}

static apr_status_t make_ended_fd(h3_child *ch)
{
    ch->ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return ch->ended_fd < 0 ? errno : APR_SUCCESS;
}

static apr_status_t start_workers(h3_child *ch, apr_pool_t *pconf)
{
    h3_workers_config config = {
        .min = ch->conf->min_workers,
        .max = ch->conf->max_workers,
        .idle_secs = (int)ch->conf->max_worker_idle_secs,
        .stack_size = ap_thread_stacksize,
        .start_thread = ap_thread_create,
        .not_started = worker_not_started,
        .baton = ch->server,
    };

    if (config.min <= 0) {
        ap_mpm_query(AP_MPMQ_MAX_THREADS, &config.min);
    }
    if (config.max <= 0) {
        config.max = config.min + config.min / 2;
    }
    if (config.max < config.min) {
        config.min = config.max;
    }
    return h3_workers_create(&ch->streams.workers, &config, pconf);
}

static void worker_not_started(void *baton, apr_status_t rv, int running, int wanted)
{
    const server_rec *s = baton;

    if (wanted) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                     APLOGNO(20300) "could start only %d of %d HTTP/3 worker threads", running,
                     wanted);
    }
    else {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                     APLOGNO(20301) "could not start another HTTP/3 worker thread, %d run",
                     running);
    }
}

static apr_status_t start_io_thread(h3_child *ch, apr_pool_t *pconf)
{
    apr_status_t rv;

    the_child = ch;
    rv = ap_thread_create(&ch->thread, NULL, io_thread, ch, pconf);
    if (rv != APR_SUCCESS) {
        the_child = NULL;
    }
    return rv;
}

/*
 * The child serves TCP all the same, so it gets back what a start that fails has taken: above all
 * threads, for the MPM has yet to start its own. Workers have had no job, and end at once.
 */
static void undo_start(h3_child *ch)
{
    if (ch->streams.workers) {
        h3_workers_shutdown(ch->streams.workers, apr_time_from_msec(ABORT_MS));
    }
    if (ch->ended_fd >= 0) {
        close(ch->ended_fd);
    }
    if (ch->poll) {
        h3_poll_destroy(ch->poll);
    }
    if (ch->quic) {
        quic_endpoint_destroy(ch->quic);
    }
    h3_bell_destroy(&ch->streams.bell);
    free(ch);
}

/* ---- the I/O thread ---- */

static void *APR_THREAD_FUNC io_thread(apr_thread_t *thread, void *data)
{
    h3_child *ch = data;
    uint64_t one = 1;

    (void)thread;
    ch->pid = getpid();
    ch->now = monotonic();
    while (ch->state != CHILD_ENDED) {
        turn(ch);
        check_stop(ch);
    }
    quic_endpoint_destroy(ch->quic);
    give_slot_back(ch);
    while (write(ch->ended_fd, &one, sizeof(one)) < 0 && errno == EINTR) {}
    return NULL;
}

static void turn(h3_child *ch)
{
    h3_poll_wait(ch->poll, time_to_wait(ch));
    ch->now = monotonic();
    quic_endpoint_begin_turn(ch->quic, ch->now);
    h3_poll_deliver(ch->poll, ch->quic);
    h3_stream_wake_fed(&ch->streams);
    h3_session_news(&ch->streams);
    if (ch->now >= ch->next_tick) {
        tick(ch);
    }
    quic_endpoint_end_turn(ch->quic);
}

/* Nanoseconds until something is due. */
static uint64_t time_to_wait(const h3_child *ch)
{
    uint64_t now = monotonic(), until = quic_endpoint_next_turn(ch->quic);

    if (ch->next_tick < until) {
        until = ch->next_tick;
    }
    return until > now ? until - now : 0;
}

static void tick(h3_child *ch)
{
    ch->next_tick = ch->now + NSEC_PER_SEC;
    if (ch->state == CHILD_STARTING) {
        try_to_serve(ch);
        if (ch->state == CHILD_STARTING) {
            ch->next_tick = ch->now + NSEC_PER_SEC / 50;
        }
        return;
    }
    if (ch->now >= ch->next_second) {
        ch->next_second = ch->now + NSEC_PER_SEC;
        quic_endpoint_tick(ch->quic);
        tell_memory(&ch->streams);
        look_for_sockets(ch);
        quic_route_reap(&ch->retained->group);
    }
    if (ch->state >= CHILD_DRAINING) {
        ch->next_tick = ch->now + NSEC_PER_SEC / 100;
    }
    if (ch->state == CHILD_DRAINING) {
        drain(ch);
    }
}

static void tell_memory(h3_stream_env *env)
{
    size_t held = h3_budget_held(&env->budget) + h3_budget_held(&env->windows_budget);

    H3_STATS_ADD(env->stats, memory, (int64_t)held - env->stats->memory);
}

/* ---- slot and sockets ---- */

/* Not before the MPM runs: other modules' child_init may still be to come. */
static void try_to_serve(h3_child *ch)
{
    h3_retained *r = ch->retained;
    int state = AP_MPMQ_STARTING, slot;
    uint8_t epoch;

    ap_mpm_query(AP_MPMQ_MPM_STATE, &state);
    h3_sockets_look(&r->group);
    if (state == AP_MPMQ_STARTING
        || quic_route_claim(&slot, &epoch, &r->group, ch->pid, r->generation) != APR_SUCCESS) {
        return;
    }
    ch->claimed = 1;
    ch->slot = slot;
    quic_endpoint_serve(ch->quic, (uint8_t)slot, epoch, &r->stats[slot].quic);
    ch->streams.stats = &r->stats[slot].h3;
    reset_gauges(&r->stats[slot]);
    if (h3_poll_serve(ch->poll, slot) < 0) {
        ap_log_error(APLOG_MARK, APLOG_ERR, errno, ch->server,
                     APLOGNO(10600) "cannot wait for datagrams, no HTTP/3 in this child");
        enter(ch, CHILD_ENDED);
        return;
    }
    ap_log_error(APLOG_MARK, APLOG_DEBUG, 0, ch->server, "child serves HTTP/3 in slot %d, epoch %d",
                 slot, epoch);
    enter(ch, CHILD_SERVING);
}

/*
 * Another child may have attached its program without the sockets that it did not know yet to be
 * bound, so each that sees it attaches.
 */
static void look_for_sockets(h3_child *ch)
{
    h3_retained *r = ch->retained;

    if (ch->is_alone) {
        h3_sockets_retry(ch->server);
    }
    if (h3_sockets_look(&r->group)) {
        quic_route_refresh(&r->group);
    }
}

static void give_slot_back(h3_child *ch)
{
    h3_retained *r = ch->retained;

    if (ch->claimed) {
        reset_gauges(&r->stats[ch->slot]);
        quic_route_release(&r->group, ch->slot);
    }
}

static void reset_gauges(h3_retained_stats *st)
{
    QUIC_STATS_ADD(&st->quic, connections, -st->quic.connections);
    QUIC_STATS_ADD(&st->quic, half_open, -st->quic.half_open);
    H3_STATS_ADD(&st->h3, streams, -st->h3.streams);
    H3_STATS_ADD(&st->h3, requests, -st->h3.requests);
    H3_STATS_ADD(&st->h3, memory, -st->h3.memory);
}

/* ---- the end ---- */

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
        abort_all(ch);
    }
    else if (ch->state == CHILD_SERVING) {
        begin_drain(ch);
    }
    if (ch->state == CHILD_ABORTING && (!ch->streams.running || ch->now >= ch->deadline)) {
        enter(ch, CHILD_ENDED);
    }
}

/* The one place where the state changes; what is to be done in it is done in this turn. */
static void enter(h3_child *ch, child_state state)
{
    ap_assert(state > ch->state); /* a child that ends does not begin again */
    ch->state = state;
    ch->next_tick = ch->now;
}

/* What still waits in the socket came before the route was changed: it is served. */
static void begin_drain(h3_child *ch)
{
    enter(ch, CHILD_DRAINING);
    ap_log_error(APLOG_MARK, APLOG_DEBUG, 0, ch->server,
                 "child stops: %u connections, %u requests in flight",
                 quic_endpoint_connections(ch->quic), ch->streams.running);
    quic_route_drain(&ch->retained->group, ch->slot);
    ch->deadline = ch->now + (uint64_t)ch->conf->graceful_timeout * 1000;
}

/* A hundred times a second: it looks at every connection. */
static void drain(h3_child *ch)
{
    if (quic_endpoint_drain(ch->quic) && !ch->streams.running) {
        enter(ch, CHILD_ENDED);
    }
    else if (ch->now >= ch->deadline) {
        abort_all(ch);
    }
}

static void abort_all(h3_child *ch)
{
    enter(ch, CHILD_ABORTING);
    quic_endpoint_close_all(ch->quic);
    ch->deadline = ch->now + abort_ms() * NSEC_PER_MSEC;
}

/* ---- other threads ---- */

void h3_child_stopping(int graceful)
{
    set(graceful ? &stop_graceful : &stop_now);
    if (the_child) {
        h3_bell_wake(&the_child->streams.bell);
    }
}

/*
 * In the child's main thread, when TCP has drained and every other module is still alive. SIGTERM,
 * or the parent's SIGHUP, ends the wait.
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
