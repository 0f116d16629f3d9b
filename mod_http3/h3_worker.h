/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker threads of one child. They run jobs: a request, a read of a file
 * that is not in the page cache, the finish of a request.
 *
 * Pushing is for the I/O thread; it never waits for a worker. A job's memory is
 * its owner's: it may be freed inside run().
 */
#ifndef H3_WORKER_H
#define H3_WORKER_H

#include <apr_pools.h>
#include <apr_thread_proc.h>
#include "httpd.h"

typedef struct h3_workers h3_workers;

typedef struct h3_worker {
    h3_workers *workers;
    apr_thread_t *thread;
    int index; /* 0..max-1, unique among the running workers of this child */
} h3_worker;

typedef struct h3_job {
    struct h3_job *next;
    void (*run)(struct h3_job *job, h3_worker *w);
} h3_job;

/* In the order in which they are taken. */
typedef enum {
    H3_JOB_SHORT,  /* waits for nobody: the finish of a request */
    H3_JOB_READ,   /* a read of a file: may wait for a disk, for ever if that hangs */
    H3_JOB_REQUEST /* may block until Timeout */
} h3_job_kind;
#define H3_JOB_KINDS 3

/*
 * Starts `min` threads (signals blocked, ap_thread_create); up to `max` as
 * needed; those above `min` end after idle_secs without a job. Own pool and
 * allocator below `pconf`, so that a stuck thread outlives pchild harmlessly.
 */
apr_status_t h3_workers_create(h3_workers **ws, server_rec *s, apr_pool_t *pconf, int min, int max,
                               int idle_secs);

/* Queues a job; wakes or starts a thread if none is about to look. */
void h3_workers_push(h3_workers *ws, h3_job *job, h3_job_kind kind);

int h3_workers_busy(h3_workers *ws);
int h3_workers_max(const h3_workers *ws);

/*
 * No more jobs will be pushed. Queued ones are still run. Waits at most
 * `timeout` for all threads to end; APR_TIMEUP if some are stuck (they keep what they use).
 */
apr_status_t h3_workers_shutdown(h3_workers *ws, apr_interval_time_t timeout);

#endif /* H3_WORKER_H */
