/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
#include <apr_general.h>
#include "border/h3_workers.h"
#include "tap.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

/* A thread that has been created may take its time before it does anything. */
static int starts_held;

typedef struct {
    apr_thread_start_t func;
    void *data;
} thread_start;

static void *APR_THREAD_FUNC start_when_let(apr_thread_t *thread, void *data)
{
    thread_start *start = data;

    pthread_mutex_lock(&lock);
    while (starts_held) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
    return start->func(thread, start->data);
}

/* How many more threads can be made. */
static int threads_left = 1000;

static apr_status_t start_thread(apr_thread_t **thread, apr_threadattr_t *attr,
                                 apr_thread_start_t func, void *data, apr_pool_t *pool)
{
    thread_start *start = apr_palloc(pool, sizeof(*start));

    if (threads_left-- <= 0) {
        return APR_EAGAIN;
    }
    start->func = func;
    start->data = data;
    return apr_thread_create(thread, attr, start_when_let, start, pool);
}

static int errors, last_running, last_wanted;

static void not_started(void *baton, apr_status_t rv, int running, int wanted)
{
    (void)baton;
    errors += rv == APR_EAGAIN;
    last_running = running;
    last_wanted = wanted;
}

static apr_status_t create(h3_workers **ws, apr_pool_t *parent, int min, int max, int idle_secs)
{
    h3_workers_config config = { min, max, idle_secs, 256 * 1024, start_thread, not_started, NULL };

    return h3_workers_create(ws, &config, parent);
}

static void hold_starts(int held)
{
    pthread_mutex_lock(&lock);
    starts_held = held;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* ---- jobs ---- */

static int gate_open, at_gate, done, order[8], norder;
static char used[64];

typedef struct test_job {
    h3_job job;
    int number;
} test_job;

static void count(h3_job *job, h3_worker *w)
{
    pthread_mutex_lock(&lock);
    used[w->index] = 1;
    done++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    free(job);
}

static void note(h3_job *job, h3_worker *w)
{
    pthread_mutex_lock(&lock);
    order[norder++] = ((test_job *)job)->number;
    pthread_mutex_unlock(&lock);
    count(job, w);
}

static void wait_at_gate(h3_job *job, h3_worker *w)
{
    pthread_mutex_lock(&lock);
    at_gate++;
    pthread_cond_broadcast(&changed);
    while (!gate_open) {
        pthread_cond_wait(&changed, &lock);
    }
    at_gate--;
    pthread_mutex_unlock(&lock);
    count(job, w);
}

static void push(h3_workers *ws, void (*run)(h3_job *, h3_worker *), h3_job_kind kind, int number)
{
    test_job *j = calloc(1, sizeof(*j));

    j->job.run = run;
    j->number = number;
    h3_workers_push(ws, &j->job, kind);
}

/* Whether *var becomes `want` within ten seconds. */
static int becomes(int *var, int want)
{
    struct timespec until;
    int got;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    pthread_mutex_lock(&lock);
    while (*var != want && pthread_cond_timedwait(&changed, &lock, &until) == 0) {}
    got = *var;
    pthread_mutex_unlock(&lock);
    return got == want;
}

static void gate(int open)
{
    pthread_mutex_lock(&lock);
    gate_open = open;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void reset(void)
{
    done = norder = 0;
    gate_open = 0;
    memset(used, 0, sizeof(used));
}

static int n_used(void)
{
    int i, n = 0;

    for (i = 0; i < 64; i++) {
        n += used[i];
    }
    return n;
}

/* ---- tests ---- */

static void many(apr_pool_t *pconf)
{
    h3_workers *ws;
    int i;

    reset();
    is_int(create(&ws, pconf, 2, 4, 60), APR_SUCCESS, "created");
    for (i = 0; i < 20000; i++) {
        push(ws, count, i % 3 ? H3_JOB_REQUEST : H3_JOB_SHORT, i);
    }
    ok(becomes(&done, 20000), "20,000 jobs are run, each once");
    for (i = 0; i < 200; i++) {
        push(ws, count, H3_JOB_REQUEST, i);
        usleep(i % 7 * 50);
    }
    ok(becomes(&done, 20200), "200 more that come one by one");
    is_int(h3_workers_shutdown(ws, apr_time_from_sec(10)), APR_SUCCESS, "shut down");
    is_int(done + (int)h3_workers_waiting(ws, H3_JOB_REQUEST), 20200, "nobody busy, each ran once");
}

static void grows(apr_pool_t *pconf)
{
    h3_workers *ws;
    int i;

    reset();
    create(&ws, pconf, 1, 4, 1);
    for (i = 0; i < 6; i++) {
        push(ws, wait_at_gate, H3_JOB_REQUEST, i);
    }
    ok(becomes(&at_gate, 4), "four blocking jobs have a thread each");
    is_int(h3_workers_waiting(ws, H3_JOB_REQUEST), 2, "four busy");
    usleep(50000);
    is_int(at_gate, 4, "and never more than max");
    gate(1);
    ok(becomes(&done, 6), "the other two follow");
    is_int(n_used(), 4, "each thread had an index of its own");

    /* Idle ones end after a second, but for one; their indexes are used again. */
    usleep(1600000);
    reset();
    for (i = 0; i < 4; i++) {
        push(ws, wait_at_gate, H3_JOB_REQUEST, i);
    }
    ok(becomes(&at_gate, 4), "threads that have ended are replaced");
    gate(1);
    ok(becomes(&done, 4), "and run their jobs");
    is_int(n_used(), 4, "with indexes below max");
    is_int(h3_workers_shutdown(ws, apr_time_from_sec(10)), APR_SUCCESS, "shut down");
}

static void short_first(apr_pool_t *pconf)
{
    h3_workers *ws;

    reset();
    create(&ws, pconf, 1, 1, 60);
    push(ws, wait_at_gate, H3_JOB_SHORT, 0);
    ok(becomes(&at_gate, 1), "the only thread is busy");
    push(ws, note, H3_JOB_REQUEST, 1);
    push(ws, note, H3_JOB_REQUEST, 2);
    push(ws, note, H3_JOB_READ, 5);
    push(ws, note, H3_JOB_SHORT, 3);
    push(ws, note, H3_JOB_SHORT, 4);
    gate(1);
    ok(becomes(&done, 6), "all are run");
    ok(order[0] == 3 && order[1] == 4 && order[2] == 5 && order[3] == 1 && order[4] == 2,
       "short jobs go first, then reads, each kind in its order");
    is_int(h3_workers_shutdown(ws, apr_time_from_sec(10)), APR_SUCCESS, "shut down");
}

static void cancels(apr_pool_t *pconf)
{
    test_job jobs[5];
    h3_workers *ws;
    int i, good = 1;

    reset();
    create(&ws, pconf, 1, 1, 60);
    push(ws, wait_at_gate, H3_JOB_REQUEST, 0);
    ok(becomes(&at_gate, 1), "the only thread is busy");
    memset(jobs, 0, sizeof(jobs));
    ok(!h3_workers_cancel(ws, &jobs[0].job), "what was never pushed is not taken back");
    for (i = 0; i < 5; i++) {
        jobs[i].job.run = note;
        h3_workers_push(ws, &jobs[i].job, H3_JOB_REQUEST);
    }
    is_int(h3_workers_waiting(ws, H3_JOB_REQUEST), 5, "five wait");
    is_int(h3_workers_waiting(ws, H3_JOB_SHORT), 0, "none of another kind");
    /* The middle, the last, the first, and the rest. */
    for (i = 0; i < 5; i++) {
        good = good && h3_workers_cancel(ws, &jobs[(i * 3 + 2) % 5].job);
    }
    ok(good, "each can be taken back");
    ok(!h3_workers_cancel(ws, &jobs[2].job), "once");
    is_int(h3_workers_waiting(ws, H3_JOB_REQUEST), 0, "none waits");
    push(ws, note, H3_JOB_REQUEST, 7);
    push(ws, note, H3_JOB_REQUEST, 8);
    gate(1);
    ok(becomes(&done, 3), "what was pushed later is run");
    ok(order[0] == 7 && order[1] == 8, "and nothing else");
    is_int(h3_workers_shutdown(ws, apr_time_from_sec(10)), APR_SUCCESS, "shut down");
}

static void nobody_waits_for_a_disk(apr_pool_t *pconf, h3_job_kind behind)
{
    h3_workers *ws;

    reset();
    create(&ws, pconf, 1, 3, 60);
    push(ws, wait_at_gate, H3_JOB_REQUEST, 0);
    ok(becomes(&at_gate, 1), "the only thread is busy");
    hold_starts(1);
    push(ws, wait_at_gate, H3_JOB_READ, 1);
    push(ws, note, behind, 2);
    hold_starts(0);
    ok(becomes(&done, 1) && order[0] == 2, "a job behind a read that hangs is run");
    ok(becomes(&at_gate, 2), "by a thread of its own, if need be");
    gate(1);
    ok(becomes(&done, 3), "all are run");
    is_int(h3_workers_shutdown(ws, apr_time_from_sec(10)), APR_SUCCESS, "shut down");
}

/* A request may wait for what only another one's finish gives back. */
static void nobody_waits_for_a_request(apr_pool_t *pconf)
{
    h3_workers *ws;

    reset();
    create(&ws, pconf, 1, 2, 60);
    push(ws, wait_at_gate, H3_JOB_REQUEST, 0);
    push(ws, wait_at_gate, H3_JOB_REQUEST, 1);
    push(ws, note, H3_JOB_REQUEST, 2);
    ok(becomes(&at_gate, 2), "as many requests as there may be");
    push(ws, note, H3_JOB_SHORT, 3);
    ok(becomes(&done, 1) && order[0] == 3, "a short job is run all the same");
    push(ws, wait_at_gate, H3_JOB_READ, 4);
    push(ws, note, H3_JOB_READ, 5);
    ok(becomes(&at_gate, 3), "and a read");
    push(ws, note, H3_JOB_SHORT, 6);
    ok(becomes(&done, 2) && order[1] == 6, "a short job beside a read that hangs, too");
    is_int(at_gate, 3, "but no more requests than before");
    gate(1);
    ok(becomes(&done, 7), "all are run");
    is_int(h3_workers_shutdown(ws, apr_time_from_sec(10)), APR_SUCCESS, "shut down");
}

static void ends(apr_pool_t *pconf)
{
    h3_workers *ws;
    apr_time_t start;

    reset();
    create(&ws, pconf, 1, 1, 60);
    push(ws, wait_at_gate, H3_JOB_REQUEST, 0);
    push(ws, count, H3_JOB_REQUEST, 1);
    becomes(&at_gate, 1);
    start = apr_time_now();
    is_int(h3_workers_shutdown(ws, apr_time_from_msec(200)), APR_TIMEUP, "a stuck thread");
    start = apr_time_now() - start;
    ok(start >= apr_time_from_msec(190) && start < apr_time_from_sec(5),
       "costs the timeout and no more (%d ms)", (int)apr_time_as_msec(start));
    gate(1);
    is_int(h3_workers_shutdown(ws, apr_time_from_sec(10)), APR_SUCCESS, "not stuck any more");
    is_int(done, 2, "the queued job was run before the end");
}

/* Where the system gives no more threads. */
static void no_threads(apr_pool_t *pconf)
{
    h3_workers *ws;

    reset();
    threads_left = 2;
    is_int(create(&ws, pconf, 3, 4, 60), APR_SUCCESS, "two threads of three are enough");
    ok(errors == 1 && last_running == 2 && last_wanted == 3, "but are told of");
    push(ws, wait_at_gate, H3_JOB_REQUEST, 0);
    push(ws, wait_at_gate, H3_JOB_REQUEST, 1);
    ok(becomes(&at_gate, 2), "both are busy");
    push(ws, note, H3_JOB_REQUEST, 2);
    ok(errors == 2 && last_running == 2 && last_wanted == 0, "one more cannot be started");
    threads_left = 1;
    push(ws, note, H3_JOB_REQUEST, 3);
    ok(becomes(&done, 2) && order[0] == 2 && order[1] == 3, "it is when there is a job again");
    gate(1);
    ok(becomes(&done, 4), "all are run");
    is_int(h3_workers_shutdown(ws, apr_time_from_sec(10)), APR_SUCCESS, "shut down");
    threads_left = errors = 0;
    is_int(create(&ws, pconf, 3, 4, 60), APR_EAGAIN, "no thread at all is an error");
    ok(!ws && errors == 1 && last_running == 0 && last_wanted == 3, "and is told of, too");
}

int main(void)
{
    apr_pool_t *pconf;

    apr_initialize();
    apr_pool_create(&pconf, NULL);
    many(pconf);
    grows(pconf);
    short_first(pconf);
    cancels(pconf);
    nobody_waits_for_a_disk(pconf, H3_JOB_READ);
    nobody_waits_for_a_disk(pconf, H3_JOB_REQUEST);
    nobody_waits_for_a_request(pconf);
    ends(pconf);
    is_int(errors, 0, "nothing was logged");
    no_threads(pconf);
    apr_pool_destroy(pconf);
    apr_terminate();
    return done_testing();
}
