/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker threads of one child. They run jobs: a request, a read of a file that is not in the
 * page cache, the finish of a request.
 *
 * Jobs are pushed by the I/O thread, and by workers; pushing never waits for a worker. The kinds of
 * jobs are queues of their own, taken in the order of h3_job_kind. Requests, which may block for
 * long, hold `max` threads at most; there is one more for each shorter kind, so that requests that
 * wait for what another one has to give back cannot keep its finish from being run.
 *
 * The pool of threads lives as long as the process: a thread that is stuck may still use it.
 */
#ifndef H3_WORKERS_H
#define H3_WORKERS_H

#include <apr_pools.h>
#include <apr_thread_proc.h>

typedef struct h3_workers h3_workers;

typedef struct h3_worker {
    h3_workers *workers;
    apr_thread_t *thread;
    int index; /* from 0, unique among the running workers of this child */
    void *own; /* kept by what runs the jobs; NULL at first, handed on to the next of this index */
} h3_worker;

/* In the order in which they are taken. */
typedef enum {
    H3_JOB_SHORT,  /* waits for nobody: the finish of a request */
    H3_JOB_READ,   /* a read of a file: may wait for a disk, for ever if that hangs */
    H3_JOB_REQUEST /* may block until Timeout */
} h3_job_kind;
#define H3_JOB_KINDS 3

/*
 * Embedded in what it is about; zeroed but for run. Its memory is its owner's, and may be freed
 * inside run().
 */
typedef struct h3_job {
    void (*run)(struct h3_job *job, h3_worker *w); /* on a worker */
    /* The queue's. */
    struct h3_job *next, *prev;
    h3_job_kind kind;
    int waits; /* it is in the queue */
} h3_job;

/* How threads are made, and how many. */
typedef struct h3_workers_config {
    int min;               /* are started at once, and stay; at least one */
    int max;               /* may run requests; at least min */
    int idle_secs;         /* those above min end after so long without a job */
    apr_size_t stack_size; /* bytes; 0: the system's */
    apr_status_t (*start_thread)(apr_thread_t **thread, apr_threadattr_t *attr,
                                 apr_thread_start_t main, void *data, apr_pool_t *p);
    /*
     * A thread could not be started, and so many run. `wanted`: so many should run when the pool of
     * threads is made; 0: it is one more, later. On any thread that pushes, with a lock held: it
     * logs and does not push.
     */
    void (*not_started)(void *baton, apr_status_t rv, int running, int wanted);
    void *baton;
} h3_workers_config;

/*
 * Own pool and allocator below `parent`. Fewer than min threads are enough; none is an error, the
 * last one's status. `config` is copied.
 */
apr_status_t h3_workers_create(h3_workers **ws, const h3_workers_config *config,
                               apr_pool_t *parent);

/* Queues a job; wakes or starts a thread if none is about to look. Any thread of the child. */
void h3_workers_push(h3_workers *ws, h3_job *job, h3_job_kind kind);

/*
 * Takes a job out of the queue. 1: it will not be run; 0: it was not there: a worker has it, or has
 * had it. The thread that pushed it.
 */
int h3_workers_cancel(h3_workers *ws, h3_job *job);

/* How many jobs of this kind no worker has taken yet. */
unsigned h3_workers_waiting(const h3_workers *ws, h3_job_kind kind);

/*
 * No more jobs will be pushed. Queued ones are still run. Waits at most `timeout` for all threads
 * to end; APR_TIMEUP if some are stuck (they keep what they use).
 */
apr_status_t h3_workers_shutdown(h3_workers *ws, apr_interval_time_t timeout);

#endif /* H3_WORKERS_H */
