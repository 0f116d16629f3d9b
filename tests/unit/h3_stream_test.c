/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two sides of a stream: what each verb does in each state, and in which order they may come.
 * Pipe, head and fields are real; workers, files and what httpd does are played here.
 */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include "border/h3_descriptors.h"
#include "border/h3_error.h"
#include "h3/h3_fields.h"
#include "h3/h3_stream.h"
#include "httpd/h3_request.h"
#include "httpd/h3_txn.h"
#include "tap.h"

#define LIMIT (64 * 1024)
#define STEP 4096
#define LONG_TIME (60 * APR_USEC_PER_SEC)
#define ID 4
#define NOW 1000

static server_rec server;
static h3_stats stats;
static h3_stream_env env;

/* ---- httpd, the workers and files ---- */

static jmp_buf asserted;
static int may_assert;

void ap_log_assert(const char *what, const char *file, int line)
{
    if (may_assert) {
        longjmp(asserted, 1);
    }
    printf("# %s:%d: %s\n", file, line, what);
    abort();
}

/* Whether `what` comes at a time when it must not. */
#define dies(what) \
    (may_assert = 1, setjmp(asserted) ? (may_assert = 0, 1) : ((what), may_assert = 0, 0))

static h3_job *queued[H3_JOB_KINDS];
static h3_txn *running;
static int finished, finished_unrun;
static uint64_t bytes_sent;

void h3_workers_push(h3_workers *ws, h3_job *job, h3_job_kind kind)
{
    (void)ws;
    queued[kind] = job;
}

int h3_workers_cancel(h3_workers *ws, h3_job *job)
{
    int i;

    (void)ws;
    for (i = 0; i < H3_JOB_KINDS; i++) {
        if (queued[i] == job) {
            queued[i] = NULL;
            return 1;
        }
    }
    return 0;
}

unsigned h3_workers_waiting(const h3_workers *ws, h3_job_kind kind)
{
    (void)ws;
    return queued[kind] != NULL;
}

static void work(h3_job_kind kind)
{
    h3_job *job = queued[kind];

    queued[kind] = NULL;
    job->run(job, NULL);
}

void h3_request_run(h3_txn *txn, h3_worker *w)
{
    (void)w;
    running = txn;
}

void h3_request_finish(h3_txn *txn, h3_worker *w)
{
    (void)w;
    finished++;
    finished_unrun += txn != running;
    bytes_sent = txn->sent;
    h3_head_destroy(txn->head);
    running = NULL;
}

static h3_file_result file_says, worker_says;

size_t h3_file_want(const h3_span *span, size_t room, int others)
{
    (void)room, (void)others;
    return (size_t)span->left;
}

h3_file_result h3_file_read(h3_file_devices *devices, const h3_span *span, h3_chunk *c)
{
    (void)devices, (void)span;
    if (file_says == H3_FILE_DONE) {
        memset(c->data, 'f', c->cap);
        c->len = c->cap;
    }
    return file_says;
}

h3_file_result h3_file_read_waiting(const h3_span *span, h3_chunk *c)
{
    (void)span;
    if (worker_says == H3_FILE_DONE) {
        memset(c->data, 'w', c->cap);
        c->len = c->cap;
    }
    return worker_says;
}

/* ---- a stream in each state ---- */

static h3_stream *make(void)
{
    finished = finished_unrun = 0;
    file_says = worker_says = H3_FILE_DONE;
    return h3_stream_create(&env, (struct h3_session *)&server, ID, &server, LIMIT, STEP, NOW);
}

static void add(h3_stream *s, const char *name, const char *value)
{
    h3_stream_field(s, -1, name, strlen(name), value, strlen(value));
}

/* With as many lines as nghttp3 will tell of. */
static h3_stream *with_head(const char *method)
{
    static const uint8_t headers[] = { 1, 3, 0, 0, 0xd1 };
    h3_stream *s = make();

    h3_stream_feed(s, headers, sizeof(headers));
    h3_stream_field(s, H3_HEAD_METHOD, ":method", 7, method, strlen(method));
    return s;
}

static h3_stream *in_body(void)
{
    h3_stream *s = with_head("POST");

    h3_stream_end_head(s, 0);
    h3_stream_run(s, NULL, 0);
    return s;
}

static h3_stream *with_worker(void)
{
    h3_stream *s = in_body();

    work(H3_JOB_REQUEST);
    return s;
}

/* QUIC has closed it, and httpd leaves it. */
static void end(h3_stream *s)
{
    if (h3_stream_closed(s)) {
        if (queued[H3_JOB_SHORT]) {
            work(H3_JOB_SHORT);
        }
        return;
    }
    if (queued[H3_JOB_READ]) {
        work(H3_JOB_READ);
    }
    if (running) {
        h3_pipe_w_leave(running->pipe);
    }
    h3_bell_take(&env.bell);
    ok(h3_stream_orphan_take(s), "an orphan goes when its worker leaves it");
    work(H3_JOB_SHORT);
}

static void take(h3_stream *s, h3_pipe_news *news)
{
    h3_bell_take(&env.bell);
    h3_stream_take(s, news);
    while (news->heads) {
        h3_pipe_head *head = news->heads;

        news->heads = head->next;
        h3_head_destroy(head->head);
        free(head);
    }
}

/* ---- the request's side ---- */

static void request_in_order(void)
{
    h3_stream *s = with_head("POST");

    ok(h3_stream_is_in_head(s), "it begins with its head");
    is_int(h3_stream_recv(s, (const uint8_t *)"x", 1), 0,
           "which nothing of a body reaches httpd in");
    is_int(h3_stream_recv_fin(s), 0, "nor an end");
    is_int(h3_stream_end_head(s, 0), 1, "a POST can be run when its head is complete");
    h3_stream_run(s, NULL, 0);
    ok(!h3_stream_is_in_head(s) && !h3_stream_is_request_over(s), "then comes its body");
    is_int(env.running, 1, "it counts as running");
    is_int(h3_stream_field(s, -1, "x", 1, "y", 1), 0, "a field that comes then is not looked at");
    is_int(h3_stream_end_head(s, 0), 0, "nor is an end of the head");
    ok(dies(h3_stream_run(s, NULL, 0)), "it is run once");
    is_int(h3_stream_recv(s, (const uint8_t *)"abc", 3), 1, "the body goes to httpd");
    is_int(h3_stream_body_received(s), 3, "and is counted");
    is_int(h3_stream_recv_fin(s), 1, "until it is complete");
    ok(h3_stream_is_request_over(s), "the request is over then");
    is_int(h3_stream_recv_fin(s), 0, "once");
    is_int(h3_stream_recv(s, (const uint8_t *)"abc", 3), 0, "nothing more goes to httpd");
    is_int(h3_stream_end_request(s), 0, "it cannot be ended again");
    h3_stream_give_up(s);
    ok(h3_stream_is_given_up(s), "but given up");
    h3_stream_give_up(s);
    ok(h3_stream_is_given_up(s), "which may be said twice");
    work(H3_JOB_REQUEST);
    end(s);
    is_int(env.running, 0, "and counts no more");
}

static void request_awaits_its_end(void)
{
    static const struct {
        const char *method, *name, *value;
        int fin, awaits;
    } t[] = {
        { "GET", NULL, NULL, 0, 1 },
        { "GET", NULL, NULL, 1, 0 },
        { "GET", "content-length", "0", 0, 0 },
        { "GET", "expect", "100-continue", 0, 0 },
        { "DELETE", NULL, NULL, 0, 1 },
        { "PUT", NULL, NULL, 0, 0 },
    };
    h3_stream *s;
    size_t i;

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        static const uint8_t one[] = { 1, 3, 0, 0, 0xd1 }, two[] = { 1, 4, 0, 0, 0xd1, 0xd1 };

        s = make();
        h3_stream_feed(s, t[i].name ? two : one, t[i].name ? sizeof(two) : sizeof(one));
        h3_stream_field(s, H3_HEAD_METHOD, ":method", 7, t[i].method, strlen(t[i].method));
        if (t[i].name) {
            add(s, t[i].name, t[i].value);
        }
        is_int(h3_stream_end_head(s, t[i].fin), !t[i].awaits, "%s with %s%s: run at once?",
               t[i].method, t[i].name ? t[i].name : "nothing", t[i].fin ? " and FIN" : "");
        is_int(h3_stream_awaits_end(s), t[i].awaits, "or does it await its end?");
        end(s);
    }
    s = with_head("GET");
    h3_stream_end_head(s, 0);
    ok(h3_stream_is_in_head(s), "what awaits its end is not httpd's yet");
    is_int(h3_stream_recv(s, (const uint8_t *)"x", 1), 0, "nor is a body");
    h3_stream_run(s, NULL, 1);
    ok(h3_stream_is_request_over(s) && !h3_stream_awaits_end(s), "its FIN has come: it is over");
    work(H3_JOB_REQUEST);
    ok(running->head_only_eof, "and httpd knows that there is no body");
    end(s);
}

static void request_ends_early(void)
{
    h3_stream *s = with_head("GET");

    is_int(h3_stream_end_request(s), 1, "stopped inside its head");
    is_int(h3_stream_end_request(s), 0, "once");
    h3_stream_refuse_head(s, 431);
    is_int(h3_stream_end_head(s, 1), 0, "its head does not come any more");
    h3_stream_run(s, NULL, 1);
    ok(!h3_stream_is_in_head(s), "httpd answers it all the same");
    work(H3_JOB_REQUEST);
    is_int(running->head->status, 431, "with the status");
    end(s);

    s = with_head("GET");
    h3_stream_give_up(s);
    ok(h3_stream_is_request_over(s), "one that is given up is over");
    is_int(h3_stream_end_head(s, 1), 0, "and not run");
    end(s);
    is_int(finished, 0, "what was no request is not logged");

    s = in_body();
    is_int(h3_stream_end_request(s), 1, "stopped inside its body");
    is_int(h3_stream_recv(s, (const uint8_t *)"x", 1), 0, "the rest is nobody's");
    work(H3_JOB_REQUEST);
    end(s);
}

static void fields_count(void)
{
    h3_stream *s = with_head("GET");
    int i, rv = 0;

    is_int(h3_stream_field(s, -1, "x-a", 3, "bc", 2), 5, "name and value are payload");
    for (i = 1; i < 10; i++) {
        rv = h3_stream_field(s, -1, "x", 1, "y", 1);
    }
    is_int(rv, 2, "as many as LimitRequestFields");
    rv = h3_stream_field(s, -1, "content-length", 14, "99", 2);
    is_int(rv, 0, "one more is none");
    is_int(h3_stream_body_length(s), 99, "but says how long the body is");
    for (i = 0; i < 99; i++) {
        rv = h3_stream_field(s, -1, "x", 1, "y", 1);
    }
    is_int(rv, 0, "a hundred more are borne");
    is_int(h3_stream_field(s, -1, "x", 1, "y", 1), H3_FIELDS_EXCESS, "and no more");
    end(s);
}

static void queue(void)
{
    h3_stream *s, *other = in_body();

    env.max_waiting = 1;
    ok(!h3_stream_may_run(other), "as many requests wait as may");
    env.max_waiting = 2;
    ok(h3_stream_may_run(other), "one more may");
    is_int(h3_stream_closed(other), 1, "one that no worker has taken goes at once");
    ok(finished == 1 && finished_unrun == 1, "and is logged");
    ok(!queued[H3_JOB_REQUEST], "its place in the queue is free");

    s = with_worker();
    is_int(h3_stream_closed(s), 0, "one that a worker has is an orphan");
    ok(h3_stream_is_orphan(s), "as it says");
    h3_pipe_w_flush(running->pipe);
    is_int(h3_stream_orphan_take(s), 0, "until httpd has left it");
    h3_pipe_w_leave(running->pipe);
    h3_bell_take(&env.bell);
    is_int(h3_stream_orphan_take(s), 1, "then it goes");
    work(H3_JOB_SHORT);
    is_int(finished, 1, "and is logged by a worker");
}

static void time_passes(void)
{
    h3_stream *s = make();

    is_int(h3_stream_waited(s, NOW + 5), 5, "it waits from its beginning");
    h3_stream_step(s, NOW + 7);
    is_int(h3_stream_waited(s, NOW + 9), 2, "and from its client's last step");
    ok(h3_stream_session(s) == (struct h3_session *)&server && h3_stream_id(s) == ID,
       "whose it is");
    h3_stream_lose_session(s);
    ok(!h3_stream_session(s), "nobody's");
    end(s);
}

/* ---- the response's side ---- */

static void response_in_order(void)
{
    h3_stream *s = with_worker();
    h3_pipe_news news;
    struct iovec vec[4];
    int eof;

    ok(h3_stream_takes_head(s) && !h3_stream_is_open(s), "no head has gone");
    is_int(h3_stream_read(s, vec, 4, &eof), -1, "nothing of a body goes before it");
    h3_pipe_w_write(running->pipe, "hello", 5, LONG_TIME);
    h3_pipe_w_flush(running->pipe);
    take(s, &news);
    ok(h3_stream_has_more(s) && !news.end, "a piece has come");
    h3_stream_head_sent(s);
    ok(!h3_stream_takes_head(s) && h3_stream_is_open(s), "the head has gone");
    ok(dies(h3_stream_head_sent(s)), "there is one final head");
    is_int(h3_stream_read(s, vec, 4, &eof), 1, "the piece goes");
    is_mem(vec[0].iov_base, "hello", 5, "as it is");
    ok(!eof && !h3_stream_has_more(s), "and is not the last");
    is_int(h3_stream_read(s, vec, 4, &eof), -1, "nothing more now");
    h3_stream_sent(s, 8, 0);
    h3_pipe_w_write(running->pipe, "!", 1, LONG_TIME);
    h3_pipe_w_end(running->pipe, 0);
    h3_pipe_w_leave(running->pipe);
    take(s, &news);
    ok(news.end && news.left && h3_stream_is_left(s), "httpd has left it");
    h3_stream_end_response(s, news.error);
    ok(h3_stream_is_open(s), "there is still something to send");
    is_int(h3_stream_read(s, vec, 4, &eof), 1, "the last piece");
    ok(eof, "is said to be it");
    h3_stream_sent(s, 4, 1);
    ok(!h3_stream_is_answered(s), "the client has not got it all");
    h3_stream_arrived(s, 12);
    h3_stream_acked(s, 6);
    ok(h3_stream_is_answered(s), "now it has");
    is_int(h3_stream_left(s), 0, "no credit is owed");
    end(s);
    ok(finished == 1 && bytes_sent == 12, "the log gets its bytes, frames and all");
}

static void response_breaks(void)
{
    h3_stream *s = with_worker();
    h3_pipe_news news;

    h3_stream_end_response(s, 0);
    is_int(h3_stream_error(s), H3_INTERNAL_ERROR, "an end without a head");
    ok(!h3_stream_is_open(s) && !h3_stream_takes_head(s), "takes none any more");
    h3_stream_break(s, H3_REQUEST_CANCELLED);
    h3_stream_end_response(s, H3_EXCESSIVE_LOAD);
    is_int(h3_stream_error(s), H3_INTERNAL_ERROR, "the first error counts");
    h3_stream_abort(s);
    ok(h3_stream_is_cut(s) && !h3_stream_error(s), "once it is reset there is nothing to reset");
    h3_stream_break(s, H3_INTERNAL_ERROR);
    h3_stream_end_response(s, H3_INTERNAL_ERROR);
    ok(h3_stream_is_cut(s) && !h3_stream_error(s), "whatever comes of it");
    ok(dies(h3_stream_head_sent(s)), "nothing is sent");
    take(s, &news);
    end(s);

    s = with_worker();
    h3_stream_head_sent(s);
    h3_stream_end_response(s, H3_REQUEST_CANCELLED);
    is_int(h3_stream_error(s), H3_REQUEST_CANCELLED, "httpd's own error after the head");
    end(s);

    s = with_worker();
    h3_stream_head_sent(s);
    h3_stream_end_response(s, 0);
    h3_stream_break(s, H3_INTERNAL_ERROR);
    is_int(h3_stream_error(s), H3_INTERNAL_ERROR, "it may break after httpd's last word");
    end(s);
}

static void unread_body(void)
{
    h3_stream *s = with_worker();

    h3_stream_recv(s, (const uint8_t *)"abcdef", 6);
    is_int(h3_stream_abort(s), 6, "what httpd has not read is given back as credit");
    is_int(h3_stream_abort(s), 0, "once");
    ok(h3_pipe_w_is_aborted(running->pipe), "httpd is told");
    end(s);
}

/* ---- files ---- */

static h3_stream *with_file(void)
{
    h3_stream *s = with_worker();
    h3_pipe_news news;

    h3_pipe_w_file(running->pipe, fileno(stdout), 0, 10);
    h3_pipe_w_end(running->pipe, 0);
    h3_pipe_w_leave(running->pipe);
    take(s, &news);
    h3_stream_head_sent(s);
    h3_stream_end_response(s, 0);
    return s;
}

static void files(void)
{
    h3_stream *s = with_file();
    h3_pipe_news news;
    struct iovec vec[4];
    int eof;

    is_int(h3_stream_read(s, vec, 4, &eof), 1, "a file that can be read at once");
    ok(eof && vec[0].iov_len == 10, "all of it");
    end(s);

    s = with_file();
    file_says = H3_FILE_WAITS;
    is_int(h3_stream_read(s, vec, 4, &eof), -1, "one that cannot");
    ok(queued[H3_JOB_READ] && !h3_stream_error(s), "is read by a worker");
    is_int(h3_stream_read(s, vec, 4, &eof), -1, "nothing goes until then");
    work(H3_JOB_READ);
    take(s, &news);
    ok(news.refilled && news.left, "its news come; that httpd has left is told again");
    is_int(h3_stream_read(s, vec, 4, &eof), 1, "now it goes");
    is_mem(vec[0].iov_base, "wwwwwwwwww", 10, "as the worker has read it");
    end(s);

    s = with_file();
    file_says = H3_FILE_WAITS;
    worker_says = H3_FILE_BROKEN;
    h3_stream_read(s, vec, 4, &eof);
    work(H3_JOB_READ);
    take(s, &news);
    is_int(h3_stream_error(s), 0, "a worker could not: no error before its turn");
    is_int(h3_stream_read(s, vec, 4, &eof), -1, "nothing more goes");
    is_int(h3_stream_error(s), H3_INTERNAL_ERROR, "it is to be reset");
    end(s);

    s = with_file();
    file_says = H3_FILE_BROKEN;
    is_int(h3_stream_read(s, vec, 4, &eof), -1, "a file that has become shorter");
    is_int(h3_stream_error(s), H3_INTERNAL_ERROR, "the same");
    end(s);

    s = with_file();
    file_says = H3_FILE_WAITS;
    h3_stream_read(s, vec, 4, &eof);
    is_int(h3_stream_closed(s), 1, "a read that no worker has begun is called off");
    work(H3_JOB_SHORT);

    s = with_file();
    file_says = H3_FILE_WAITS;
    h3_stream_read(s, vec, 4, &eof);
    ok(!h3_stream_is_answered(s), "not answered while a worker reads");
    {
        h3_job *job = queued[H3_JOB_READ];

        queued[H3_JOB_READ] = NULL;
        is_int(h3_stream_closed(s), 0, "a read that has begun makes an orphan");
        queued[H3_JOB_READ] = job;
    }
    work(H3_JOB_READ);
    h3_bell_take(&env.bell);
    is_int(h3_stream_orphan_take(s), 1, "which goes when it is done");
    work(H3_JOB_SHORT);
}

int main(void)
{
    server.limit_req_line = 8190;
    server.limit_req_fields = 10;
    server.limit_req_fieldsize = 8190;
    env.stats = &stats;
    env.max_waiting = 100;
    h3_budget_init(&env.budget, 1024 * 1024);
    if (h3_bell_init(&env.bell) != APR_SUCCESS) {
        fail("no bell");
    }
    h3_descriptors_share(env.bell.fd);
    request_in_order();
    request_awaits_its_end();
    request_ends_early();
    fields_count();
    queue();
    time_passes();
    response_in_order();
    response_breaks();
    unread_body();
    files();
    is_int(env.running, 0, "nothing is left running");
    is_int(env.budget.held, 0, "nor any memory held");
    is_int(stats.streams, 0, "nor any stream");
    return done_testing();
}
