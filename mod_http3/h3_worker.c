/* SPDX-License-Identifier: Apache-2.0 */
#include "h3_worker.h"

#include <errno.h>
#include <pthread.h>
#include <apr_allocator.h>
#include "http_config.h"
#include "http_log.h"
#include "mpm_common.h"
#include "h3_cond.h"

APLOG_USE_MODULE(http3);

typedef enum { SLOT_FREE, SLOT_RUNNING, SLOT_ENDED /* to be joined */ } slot_state;

/* One thread's place. All under h3_workers.lock but `pub`, which is its thread's own. */
typedef struct worker_slot {
    h3_worker pub;
    slot_state state;
    apr_thread_t *thread;
    apr_pool_t *pool; /* with an allocator of its own; the thread's */
    pthread_cond_t wake;
    struct worker_slot *next; /* on the stack of idle workers */
    int idle;                 /* on that stack */
} worker_slot;

typedef struct job_queue {
    h3_job *first, *last;
} job_queue;

struct h3_workers {
    pthread_mutex_t lock;
    pthread_cond_t ended; /* a thread has ended */
    apr_pool_t *pool;     /* below pconf, own allocator; used under the lock */
    server_rec *server;
    apr_threadattr_t *attr;
    int min, max, idle_secs;
    job_queue queue[H3_JOB_KINDS]; /* by h3_job_kind */
    unsigned queued;               /* jobs in them */
    worker_slot *idle;             /* the last one to fall asleep is the first to be woken */
    int running;                   /* threads */
    int busy;                      /* threads that run a job */
    int waking;                    /* threads that were woken or started and have not looked yet */
    int shutdown;
    worker_slot slots[];
};

static apr_status_t start_locked(h3_workers *ws);
static void join_locked(worker_slot *slot);
static worker_slot *wake_locked(h3_workers *ws);
static h3_job *take_locked(h3_workers *ws, int *help);
static int sleep_locked(h3_workers *ws, worker_slot *slot);
static void unlink_idle_locked(h3_workers *ws, worker_slot *slot);
static void *APR_THREAD_FUNC worker_main(apr_thread_t *thread, void *data);

/* ---- life ---- */

static apr_status_t own_pool(apr_pool_t **pool, apr_pool_t *parent, const char *tag)
{
    apr_allocator_t *allocator;
    apr_status_t rv;

    if ((rv = apr_allocator_create(&allocator)) != APR_SUCCESS) {
        return rv;
    }
    rv = apr_pool_create_ex(pool, parent, NULL, allocator);
    if (rv != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return rv;
    }
    apr_allocator_owner_set(allocator, *pool);
    apr_pool_tag(*pool, tag);
    return APR_SUCCESS;
}

apr_status_t h3_workers_create(h3_workers **out, server_rec *s, apr_pool_t *pconf, int min, int max,
                               int idle_secs)
{
    apr_pool_t *pool;
    apr_status_t rv;
    h3_workers *ws;
    int i;

    *out = NULL;
    min = min < 1 ? 1 : min;
    max = max < min ? min : max;
    if ((rv = own_pool(&pool, pconf, "h3_workers")) != APR_SUCCESS) {
        return rv;
    }
    ws = apr_pcalloc(pool, sizeof(*ws) + (size_t)max * sizeof(ws->slots[0]));
    ws->pool = pool;
    ws->server = s;
    ws->min = min;
    ws->max = max;
    ws->idle_secs = idle_secs < 1 ? 1 : idle_secs;
    pthread_mutex_init(&ws->lock, NULL);
    h3_cond_init(&ws->ended);
    for (i = 0; i < max; i++) {
        ws->slots[i].pub.workers = ws;
        ws->slots[i].pub.index = i;
        h3_cond_init(&ws->slots[i].wake);
    }
    if ((rv = apr_threadattr_create(&ws->attr, pool)) == APR_SUCCESS && ap_thread_stacksize) {
        rv = apr_threadattr_stacksize_set(ws->attr, ap_thread_stacksize);
    }
    pthread_mutex_lock(&ws->lock);
    for (i = 0; rv == APR_SUCCESS && i < min; i++) {
        rv = start_locked(ws);
    }
    i = ws->running;
    pthread_mutex_unlock(&ws->lock);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, s,
                     APLOGNO(20300) "could start only %d of %d HTTP/3 worker threads", i, min);
        if (i == 0) {
            apr_pool_destroy(pool);
            return rv;
        }
    }
    *out = ws;
    return APR_SUCCESS;
}

/* The new thread counts as waking until it has looked for a job. */
static apr_status_t start_locked(h3_workers *ws)
{
    worker_slot *slot = ws->slots;
    apr_status_t rv;

    while (slot->state == SLOT_RUNNING) {
        slot++;
    }
    if (slot->state == SLOT_ENDED) {
        join_locked(slot);
    }
    if ((rv = own_pool(&slot->pool, ws->pool, "h3_worker")) != APR_SUCCESS) {
        return rv;
    }
    slot->state = SLOT_RUNNING;
    ws->running++;
    ws->waking++;
    rv = ap_thread_create(&slot->thread, ws->attr, worker_main, slot, slot->pool);
    if (rv != APR_SUCCESS) {
        slot->state = SLOT_FREE;
        ws->running--;
        ws->waking--;
        apr_pool_destroy(slot->pool);
    }
    return rv;
}

/* The thread has let go of the lock for the last time: this hardly waits. */
static void join_locked(worker_slot *slot)
{
    apr_status_t rv;

    apr_thread_join(&rv, slot->thread);
    apr_pool_destroy(slot->pool);
    slot->state = SLOT_FREE;
}

apr_status_t h3_workers_shutdown(h3_workers *ws, apr_interval_time_t timeout)
{
    struct timespec until;
    apr_status_t rv = APR_SUCCESS;
    worker_slot *slot;
    int i;

    h3_cond_deadline(&until, timeout);
    pthread_mutex_lock(&ws->lock);
    ws->shutdown = 1;
    for (slot = ws->idle; slot; slot = slot->next) {
        pthread_cond_signal(&slot->wake);
    }
    while (ws->running > 0 && rv == APR_SUCCESS) {
        if (pthread_cond_timedwait(&ws->ended, &ws->lock, &until) == ETIMEDOUT && ws->running > 0) {
            rv = APR_TIMEUP;
        }
    }
    for (i = 0; i < ws->max; i++) {
        if (ws->slots[i].state == SLOT_ENDED) {
            join_locked(&ws->slots[i]);
        }
    }
    pthread_mutex_unlock(&ws->lock);
    return rv;
}

int h3_workers_max(const h3_workers *ws)
{
    return ws->max;
}

int h3_workers_busy(h3_workers *ws)
{
    int busy;

    pthread_mutex_lock(&ws->lock);
    busy = ws->busy;
    pthread_mutex_unlock(&ws->lock);
    return busy;
}

/* ---- jobs ---- */

void h3_workers_push(h3_workers *ws, h3_job *job, h3_job_kind kind)
{
    job_queue *q = &ws->queue[kind];
    worker_slot *woken = NULL;

    job->next = NULL;
    pthread_mutex_lock(&ws->lock);
    if (q->last) {
        q->last->next = job;
    }
    else {
        q->first = job;
    }
    q->last = job;
    ws->queued++;
    if (ws->waking == 0) {
        woken = wake_locked(ws);
    }
    pthread_mutex_unlock(&ws->lock);
    if (woken) {
        pthread_cond_signal(&woken->wake);
    }
}

/* A sleeping worker for the caller to signal, or NULL: one was started, or all are busy. */
static worker_slot *wake_locked(h3_workers *ws)
{
    worker_slot *slot = ws->idle;
    apr_status_t rv;

    if (slot) {
        ws->idle = slot->next;
        slot->idle = 0;
        ws->waking++;
    }
    else if (ws->running < ws->max && (rv = start_locked(ws)) != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_ERR, rv, ws->server,
                     APLOGNO(20301) "could not start another HTTP/3 worker thread, %d run",
                     ws->running);
    }
    return slot;
}

/*
 * *help: another worker is wanted. A short job is soon done, so one more job waits for this very
 * worker: the finish of one request and the beginning of the next often come together. Nobody
 * waits behind a read: the disk may hang.
 */
static h3_job *take_locked(h3_workers *ws, int *help)
{
    job_queue *q = ws->queue;
    h3_job *job;

    *help = 0;
    if (!ws->queued) {
        return NULL;
    }
    while (!q->first) {
        q++;
    }
    job = q->first;
    q->first = job->next;
    if (!q->first) {
        q->last = NULL;
    }
    ws->queued--;
    *help = ws->queued > (q == &ws->queue[H3_JOB_SHORT] ? 1 : 0);
    return job;
}

/* ---- the threads ---- */

static void *APR_THREAD_FUNC worker_main(apr_thread_t *thread, void *data)
{
    worker_slot *slot = data, *woken;
    h3_workers *ws = slot->pub.workers;
    h3_job *job;
    int help;

    slot->pub.thread = thread;
    pthread_mutex_lock(&ws->lock);
    ws->waking--;
    for (;;) {
        if ((job = take_locked(ws, &help))) {
            /* One wakes the next, as far as there is work: pushing costs one wake-up at most. */
            woken = help && ws->waking == 0 ? wake_locked(ws) : NULL;
            ws->busy++;
            pthread_mutex_unlock(&ws->lock);
            if (woken) {
                pthread_cond_signal(&woken->wake);
            }
            job->run(job, &slot->pub);
            pthread_mutex_lock(&ws->lock);
            ws->busy--;
        }
        else if (ws->shutdown || !sleep_locked(ws, slot)) {
            break;
        }
    }
    slot->state = SLOT_ENDED;
    ws->running--;
    pthread_cond_signal(&ws->ended);
    pthread_mutex_unlock(&ws->lock);
    return NULL;
}

/* Until woken. 0: this thread has been idle for long and is one too many. */
static int sleep_locked(h3_workers *ws, worker_slot *slot)
{
    struct timespec until;
    int rv = 0;

    h3_cond_deadline(&until, apr_time_from_sec(ws->idle_secs));
    slot->next = ws->idle;
    slot->idle = 1;
    ws->idle = slot;
    while (slot->idle && !ws->shutdown && rv != ETIMEDOUT) {
        rv = pthread_cond_timedwait(&slot->wake, &ws->lock, &until);
    }
    if (!slot->idle) {
        ws->waking--;
        return 1;
    }
    unlink_idle_locked(ws, slot);
    return ws->shutdown || ws->running <= ws->min;
}

static void unlink_idle_locked(h3_workers *ws, worker_slot *slot)
{
    worker_slot **p = &ws->idle;

    while (*p != slot) {
        p = &(*p)->next;
    }
    *p = slot->next;
    slot->idle = 0;
}
