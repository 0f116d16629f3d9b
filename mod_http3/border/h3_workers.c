/* SPDX-License-Identifier: Apache-2.0 */
#include "border/h3_workers.h"

#include <errno.h>
#include <pthread.h>
#include <apr_allocator.h>
#include "border/h3_cond.h"

/*
 * Threads beyond `max`, for jobs that are shorter than those which hold all the others:
 * may_run_locked() says why.
 */
#define RESERVE (H3_JOB_KINDS - 1)

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
    unsigned length; /* atomic: read without the lock */
} job_queue;

struct h3_workers {
    pthread_mutex_t lock;
    pthread_cond_t ended; /* a thread has ended */
    apr_pool_t *pool;     /* with an allocator of its own; used under the lock */
    h3_workers_config config;
    apr_threadattr_t *attr;
    job_queue queue[H3_JOB_KINDS]; /* by h3_job_kind */
    unsigned queued;               /* jobs in them */
    worker_slot *idle;             /* the last one to fall asleep is the first to be woken */
    int running;                   /* threads */
    int held[H3_JOB_KINDS];        /* threads that run a job of this kind or a longer one */
    int waking;                    /* threads that were woken or started and have not looked yet */
    int shutdown;
    worker_slot slots[];
};

static apr_status_t start_first(h3_workers *ws);
static apr_status_t start_locked(h3_workers *ws);
static void join_locked(worker_slot *slot);
static int may_run_locked(const h3_workers *ws, int kind);
static worker_slot *wake_locked(h3_workers *ws, int kind);
static h3_job *take_locked(h3_workers *ws, int *kind);
static int first_queued_locked(const h3_workers *ws);
static void hold_locked(h3_workers *ws, int kind, int n);
static worker_slot *call_help_locked(h3_workers *ws, int kind);
static void unlink_job_locked(h3_workers *ws, h3_job *job);
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

apr_status_t h3_workers_create(h3_workers **out, const h3_workers_config *config,
                               apr_pool_t *parent)
{
    int min = config->min < 1 ? 1 : config->min, max = config->max < min ? min : config->max, i;
    apr_pool_t *pool;
    apr_status_t rv;
    h3_workers *ws;

    *out = NULL;
    if ((rv = own_pool(&pool, parent, "h3_workers")) != APR_SUCCESS) {
        return rv;
    }
    ws = apr_pcalloc(pool, sizeof(*ws) + (size_t)(max + RESERVE) * sizeof(ws->slots[0]));
    ws->pool = pool;
    ws->config = *config;
    ws->config.min = min;
    ws->config.max = max;
    ws->config.idle_secs = config->idle_secs < 1 ? 1 : config->idle_secs;
    pthread_mutex_init(&ws->lock, NULL);
    h3_cond_init(&ws->ended);
    for (i = 0; i < max + RESERVE; i++) {
        ws->slots[i].pub.workers = ws;
        ws->slots[i].pub.index = i;
        h3_cond_init(&ws->slots[i].wake);
    }
    if ((rv = start_first(ws)) != APR_SUCCESS) {
        apr_pool_destroy(pool);
        return rv;
    }
    *out = ws;
    return APR_SUCCESS;
}

static apr_status_t start_first(h3_workers *ws)
{
    const h3_workers_config *config = &ws->config;
    apr_status_t rv;
    int running;

    rv = apr_threadattr_create(&ws->attr, ws->pool);
    if (rv == APR_SUCCESS && config->stack_size) {
        rv = apr_threadattr_stacksize_set(ws->attr, config->stack_size);
    }
    pthread_mutex_lock(&ws->lock);
    while (rv == APR_SUCCESS && ws->running < config->min) {
        rv = start_locked(ws);
    }
    running = ws->running;
    pthread_mutex_unlock(&ws->lock);
    if (rv != APR_SUCCESS) {
        config->not_started(config->baton, rv, running, config->min);
    }
    return running > 0 ? APR_SUCCESS : rv;
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
    rv = ws->config.start_thread(&slot->thread, ws->attr, worker_main, slot, slot->pool);
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
    for (i = 0; i < ws->config.max + RESERVE; i++) {
        if (ws->slots[i].state == SLOT_ENDED) {
            join_locked(&ws->slots[i]);
        }
    }
    pthread_mutex_unlock(&ws->lock);
    return rv;
}

/* ---- jobs ---- */

void h3_workers_push(h3_workers *ws, h3_job *job, h3_job_kind kind)
{
    job_queue *q = &ws->queue[kind];
    worker_slot *woken = NULL;

    job->kind = kind;
    job->next = NULL;
    pthread_mutex_lock(&ws->lock);
    job->waits = 1;
    job->prev = q->last;
    if (q->last) {
        q->last->next = job;
    }
    else {
        q->first = job;
    }
    q->last = job;
    ws->queued++;
    __atomic_add_fetch(&q->length, 1, __ATOMIC_RELAXED);
    if (ws->waking == 0 && may_run_locked(ws, (int)kind)) {
        woken = wake_locked(ws, (int)kind);
    }
    pthread_mutex_unlock(&ws->lock);
    if (woken) {
        pthread_cond_signal(&woken->wake);
    }
}

static void unlink_job_locked(h3_workers *ws, h3_job *job)
{
    job_queue *q = &ws->queue[job->kind];

    if (job->next) {
        job->next->prev = job->prev;
    }
    else {
        q->last = job->prev;
    }
    if (job->prev) {
        job->prev->next = job->next;
    }
    else {
        q->first = job->next;
    }
    job->waits = 0;
    ws->queued--;
    __atomic_sub_fetch(&q->length, 1, __ATOMIC_RELAXED);
}

int h3_workers_cancel(h3_workers *ws, h3_job *job)
{
    int waits;

    pthread_mutex_lock(&ws->lock);
    waits = job->waits;
    if (waits) {
        unlink_job_locked(ws, job);
    }
    pthread_mutex_unlock(&ws->lock);
    return waits;
}

unsigned h3_workers_waiting(const h3_workers *ws, h3_job_kind kind)
{
    return __atomic_load_n(&ws->queue[kind].length, __ATOMIC_RELAXED);
}

/*
 * Requests may wait for each other: for what one that is over has acquired and gives back only in
 * its finish (mod_dbd's database handles), which may wait for a read of its file. So requests never
 * hold more than `max` threads, and beyond these there is one more for reads, and one for the rest.
 */
static int may_run_locked(const h3_workers *ws, int kind)
{
    return ws->held[kind] < ws->config.max + RESERVE - kind;
}

/*
 * A sleeping worker for the caller to signal, or NULL: one was started, or all are busy. One
 * beyond `max` is started when all the others hold longer jobs than this one.
 */
static worker_slot *wake_locked(h3_workers *ws, int kind)
{
    worker_slot *slot = ws->idle;
    int most = ws->config.max;
    apr_status_t rv;

    if (kind < RESERVE && ws->held[kind + 1] >= most) {
        most = ws->held[kind + 1] + 1;
    }
    if (slot) {
        ws->idle = slot->next;
        slot->idle = 0;
        ws->waking++;
    }
    else if (ws->running < most && (rv = start_locked(ws)) != APR_SUCCESS) {
        ws->config.not_started(ws->config.baton, rv, ws->running, 0);
    }
    return slot;
}

/* The kind whose turn it is, or -1: there is no job that may be run now. */
static int first_queued_locked(const h3_workers *ws)
{
    int kind = 0;

    while (kind < H3_JOB_KINDS && !ws->queue[kind].first) {
        kind++;
    }
    /* The kinds after one that may not run hold threads for longer: nor may they. */
    return kind < H3_JOB_KINDS && may_run_locked(ws, kind) ? kind : -1;
}

static h3_job *take_locked(h3_workers *ws, int *kind)
{
    job_queue *q;
    h3_job *job;

    if ((*kind = first_queued_locked(ws)) < 0) {
        return NULL;
    }
    q = &ws->queue[*kind];
    job = q->first;
    unlink_job_locked(ws, job);
    return job;
}

/* n: 1 when a job of this kind begins, -1 when it is over. */
static void hold_locked(h3_workers *ws, int kind, int n)
{
    int i;

    for (i = 0; i <= kind; i++) {
        ws->held[i] += n;
    }
}

/*
 * Another worker for what is queued, while this one runs a job of this kind? A short job is soon
 * done, so a single one waits for this very worker: the finish of one request and the beginning of
 * the next often come together. Nothing waits for a read to be over: the disk may hang.
 */
static worker_slot *call_help_locked(h3_workers *ws, int kind)
{
    int next = first_queued_locked(ws);

    if (next < 0 || ws->waking || ws->queued <= (kind == H3_JOB_SHORT ? 1u : 0u)) {
        return NULL;
    }
    return wake_locked(ws, next);
}

/* ---- the threads ---- */

static void *APR_THREAD_FUNC worker_main(apr_thread_t *thread, void *data)
{
    worker_slot *slot = data, *woken;
    h3_workers *ws = slot->pub.workers;
    h3_job *job;
    int kind;

    slot->pub.thread = thread;
    pthread_mutex_lock(&ws->lock);
    ws->waking--;
    for (;;) {
        if ((job = take_locked(ws, &kind))) {
            hold_locked(ws, kind, 1);
            /* One wakes the next while there is work: pushing costs one wake-up at most. */
            woken = call_help_locked(ws, kind);
            pthread_mutex_unlock(&ws->lock);
            if (woken) {
                pthread_cond_signal(&woken->wake);
            }
            job->run(job, &slot->pub);
            pthread_mutex_lock(&ws->lock);
            hold_locked(ws, kind, -1);
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

    h3_cond_deadline(&until, apr_time_from_sec(ws->config.idle_secs));
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
    return ws->shutdown || ws->running <= ws->config.min;
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
