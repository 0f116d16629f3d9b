/* SPDX-License-Identifier: Apache-2.0 */
#include "h3/h3_stream.h"

#include <stddef.h>
#include <stdlib.h>
#include "border/h3_error.h"
#include "h3/h3_fields.h"
#include "h3/h3_source.h"
#include "httpd/h3_request.h"
#include "httpd/h3_txn.h"

/* Who has it. */
typedef enum {
    H3_STREAM_HEAD,    /* its head is arriving */
    H3_STREAM_RUNNING, /* httpd has it */
    H3_STREAM_SENDING, /* httpd has left it; its response is on the way */
    H3_STREAM_ORPHAN,  /* QUIC has closed it, a worker has not left it */
    H3_STREAM_DONE     /* with the finish job; not the I/O thread's any more */
} h3_stream_state;

/* How much of the request has come. */
typedef enum {
    H3_STREAM_REQ_HEAD,       /* its head is arriving */
    H3_STREAM_REQ_AWAITS_END, /* the head is complete; is there a body? */
    H3_STREAM_REQ_BODY,       /* its body goes to httpd as it comes */
    H3_STREAM_REQ_OVER,       /* complete, reset, stopped, or a rest: no more of it goes to httpd */
    H3_STREAM_REQ_GIVEN_UP    /* and nobody waits for its client any more */
} h3_stream_request;

/* How much of the response has gone. */
typedef enum {
    H3_STREAM_RESP_NONE,   /* interim heads at most */
    H3_STREAM_RESP_OPEN,   /* nghttp3 has its head, and asks for its body */
    H3_STREAM_RESP_ENDED,  /* httpd has said all: FIN follows the last piece */
    H3_STREAM_RESP_BROKEN, /* it cannot be completed, and is to be reset */
    H3_STREAM_RESP_CUT     /* nothing more is sent: it was reset, or nobody wants it */
} h3_stream_response;

struct h3_stream {
    h3_stream_env *env;
    struct h3_session *session; /* NULL when it is gone */
    h3_stream *next, *prev;     /* the session's list */
    h3_stream *fed_next;        /* the env's list of fed ones */
    int is_fed;                 /* it is in there */
    int64_t id;
    h3_stream_state state;
    h3_stream_request request;
    h3_stream_response response;
    h3_job job; /* request, then finish */
    h3_pipe pipe;
    h3_txn txn;
    uint64_t waits_since; /* nanoseconds: the client's last step, for Timeout */

    /* The request. */
    h3_fields fields; /* of its head, while it arrives */
    uint64_t body_in; /* bytes of its body that went to httpd */

    /* The response. */
    h3_source source; /* of its body */
    h3_stream_share share;
    uint64_t unacked; /* bytes of its QUIC stream in packets */
    uint64_t error;   /* BROKEN: to reset it with */
};

static void enter(h3_stream *s, h3_stream_state state);
static void enter_request(h3_stream *s, h3_stream_request state);
static void enter_response(h3_stream *s, h3_stream_response state);
static void feed(h3_stream *s);
static void unfeed(h3_stream *s);
static void run_request(h3_job *job, h3_worker *w);
static void run_finish(h3_job *job, h3_worker *w);

#define STREAM_OF(job_ptr, member) ((h3_stream *)((char *)(job_ptr)-offsetof(h3_stream, member)))

h3_stream *h3_stream_create(h3_stream_env *env, struct h3_session *session, int64_t id,
                            server_rec *limits, size_t limit, size_t credit_step, uint64_t now)
{
    h3_stream *s = calloc(1, sizeof(*s));

    if (!s) {
        return NULL;
    }
    s->txn.head = h3_head_create();
    if (!s->txn.head
        || h3_pipe_init(&s->pipe, &env->bell, &env->budget, limit, credit_step) != APR_SUCCESS) {
        if (s->txn.head) {
            h3_head_destroy(s->txn.head);
        }
        free(s);
        return NULL;
    }
    s->env = env;
    s->session = session;
    s->id = id;
    h3_fields_init(&s->fields, s->txn.head, limits);
    s->waits_since = now;
    s->job.run = run_request;
    h3_source_init(&s->source, &s->pipe, env->workers, &env->devices, env->stats);
    s->txn.pipe = &s->pipe;
    s->txn.stream_id = id;
    H3_STATS_ADD(env->stats, streams, 1);
    return s;
}

int64_t h3_stream_id(const h3_stream *s)
{
    return s->id;
}

struct h3_session *h3_stream_session(const h3_stream *s)
{
    return s->session;
}

void h3_stream_lose_session(h3_stream *s)
{
    s->session = NULL;
}

void h3_stream_link(h3_stream **list, h3_stream *s)
{
    s->prev = NULL;
    s->next = *list;
    if (s->next) {
        s->next->prev = s;
    }
    *list = s;
}

void h3_stream_unlink(h3_stream **list, h3_stream *s)
{
    if (s->next) {
        s->next->prev = s->prev;
    }
    if (s->prev) {
        s->prev->next = s->next;
    }
    else {
        *list = s->next;
    }
    s->next = s->prev = NULL;
}

h3_stream *h3_stream_next(const h3_stream *s)
{
    return s->next;
}

h3_stream_share *h3_stream_share_of(h3_stream *s)
{
    return &s->share;
}

void h3_stream_step(h3_stream *s, uint64_t now)
{
    s->waits_since = now;
}

uint64_t h3_stream_waited(const h3_stream *s, uint64_t now)
{
    return now - s->waits_since;
}

/* ---- the states: each has one setter, and only goes forward ---- */

static void enter(h3_stream *s, h3_stream_state state)
{
    h3_stream_env *env = s->env;

    ap_assert(state > s->state); /* whoever has had it does not get it back */
    if (state == H3_STREAM_RUNNING) {
        env->running++;
        H3_STATS_ADD(env->stats, requests, 1);
        H3_STATS_ADD(env->stats, requests_total, 1);
    }
    if (state == H3_STREAM_ORPHAN) {
        H3_STATS_ADD(env->stats, streams, -1);
    }
    if (state == H3_STREAM_DONE) {
        if (s->state != H3_STREAM_HEAD) {
            env->running--;
            H3_STATS_ADD(env->stats, requests, -1);
        }
        if (s->state != H3_STREAM_ORPHAN) {
            H3_STATS_ADD(env->stats, streams, -1);
        }
    }
    s->state = state;
}

static void enter_request(h3_stream *s, h3_stream_request state)
{
    ap_assert(state > s->request); /* what has come does not come again */
    s->request = state;
}

static void enter_response(h3_stream *s, h3_stream_response state)
{
    ap_assert(state > s->response); /* what has been said is not taken back */
    s->response = state;
}

/* ---- the head ---- */

size_t h3_stream_feed(h3_stream *s, const uint8_t *data, size_t len)
{
    return h3_fields_feed(&s->fields, data, len);
}

int h3_stream_is_excessive(const h3_stream *s)
{
    return h3_fields_is_excessive(&s->fields);
}

int h3_stream_field(h3_stream *s, int pseudo, const char *name, size_t name_len, const char *value,
                    size_t value_len)
{
    if (s->request != H3_STREAM_REQ_HEAD) {
        return 0; /* it has been refused while it waited for QPACK's table */
    }
    return h3_fields_add(&s->fields, pseudo, name, name_len, value, value_len);
}

int h3_stream_end_head(h3_stream *s, int fin)
{
    if (s->request != H3_STREAM_REQ_HEAD) {
        return 0;
    }
    if (h3_fields_complete(&s->fields) && !fin) {
        enter_request(s, H3_STREAM_REQ_AWAITS_END);
        return 0;
    }
    return 1;
}

void h3_stream_refuse_head(h3_stream *s, int status)
{
    h3_fields_refuse(&s->fields, status);
}

int h3_stream_is_in_head(const h3_stream *s)
{
    return s->state == H3_STREAM_HEAD;
}

int h3_stream_awaits_end(const h3_stream *s)
{
    return s->request == H3_STREAM_REQ_AWAITS_END;
}

/* ---- the request runs ---- */

int h3_stream_may_run(const h3_stream *s)
{
    return h3_workers_waiting(s->env->workers, H3_JOB_REQUEST) < s->env->max_waiting;
}

void h3_stream_run(h3_stream *s, struct h3_connrec *cr, int no_body)
{
    s->txn.connrec = cr;
    s->txn.head_only_eof = no_body;
    if (no_body) {
        h3_stream_end_request(s);
        h3_pipe_io_recv_eof(&s->pipe);
    }
    else {
        enter_request(s, H3_STREAM_REQ_BODY);
    }
    enter(s, H3_STREAM_RUNNING);
    h3_workers_push(s->env->workers, &s->job, H3_JOB_REQUEST);
}

static void run_request(h3_job *job, h3_worker *w)
{
    h3_stream *s = STREAM_OF(job, job);

    /* From h3_pipe_w_leave on the stream is the I/O thread's again. */
    if (h3_pipe_w_is_aborted(&s->pipe)) {
        h3_pipe_w_leave(&s->pipe); /* reset while it stood in the queue */
        return;
    }
    h3_request_run(&s->txn, w);
}

int h3_stream_recv(h3_stream *s, const uint8_t *data, size_t len)
{
    if (s->request != H3_STREAM_REQ_BODY) {
        return 0;
    }
    s->body_in += len;
    feed(s);
    return h3_pipe_io_recv(&s->pipe, data, len) < 0 ? -1 : 1;
}

int h3_stream_recv_fin(h3_stream *s)
{
    if (s->request != H3_STREAM_REQ_BODY) {
        return 0;
    }
    enter_request(s, H3_STREAM_REQ_OVER);
    feed(s);
    h3_pipe_io_recv_eof(&s->pipe);
    return 1;
}

static void feed(h3_stream *s)
{
    if (!s->is_fed) {
        s->is_fed = 1;
        s->fed_next = s->env->fed;
        s->env->fed = s;
    }
}

static void unfeed(h3_stream *s)
{
    h3_stream **at = &s->env->fed;

    if (s->is_fed) {
        while (*at != s) {
            at = &(*at)->fed_next;
        }
        *at = s->fed_next;
        s->is_fed = 0;
    }
}

void h3_stream_wake_fed(h3_stream_env *env)
{
    h3_stream *s;

    while ((s = env->fed)) {
        env->fed = s->fed_next;
        s->is_fed = 0;
        h3_pipe_io_wake(&s->pipe);
    }
}

int64_t h3_stream_body_length(const h3_stream *s)
{
    return s->txn.head->content_length;
}

uint64_t h3_stream_body_received(const h3_stream *s)
{
    return s->body_in;
}

int h3_stream_is_request_over(const h3_stream *s)
{
    return s->request >= H3_STREAM_REQ_OVER;
}

int h3_stream_end_request(h3_stream *s)
{
    if (h3_stream_is_request_over(s)) {
        return 0;
    }
    enter_request(s, H3_STREAM_REQ_OVER);
    return 1;
}

void h3_stream_give_up(h3_stream *s)
{
    if (s->request < H3_STREAM_REQ_GIVEN_UP) {
        enter_request(s, H3_STREAM_REQ_GIVEN_UP);
    }
}

int h3_stream_is_given_up(const h3_stream *s)
{
    return s->request == H3_STREAM_REQ_GIVEN_UP;
}

/* ---- the response ---- */

h3_stream *h3_stream_of(h3_bell_entry *entry)
{
    return STREAM_OF(h3_pipe_of(entry), pipe);
}

void h3_stream_take(h3_stream *s, h3_pipe_news *news)
{
    h3_pipe_io_take(&s->pipe, news);
    h3_source_add(&s->source, news);
    if (news->left && s->state == H3_STREAM_RUNNING) {
        enter(s, H3_STREAM_SENDING);
    }
}

void h3_stream_head_sent(h3_stream *s)
{
    enter_response(s, H3_STREAM_RESP_OPEN);
}

void h3_stream_end_response(h3_stream *s, uint64_t error)
{
    if (error || s->response == H3_STREAM_RESP_NONE) {
        h3_stream_break(s, error ? error : H3_INTERNAL_ERROR);
    }
    else if (s->response == H3_STREAM_RESP_OPEN) {
        enter_response(s, H3_STREAM_RESP_ENDED);
    }
}

void h3_stream_break(h3_stream *s, uint64_t error)
{
    if (s->response < H3_STREAM_RESP_BROKEN) {
        enter_response(s, H3_STREAM_RESP_BROKEN);
        s->error = error;
    }
}

size_t h3_stream_set_limit(h3_stream *s, size_t limit)
{
    return h3_pipe_io_limit(&s->pipe, limit);
}

int h3_stream_takes_head(const h3_stream *s)
{
    return s->response == H3_STREAM_RESP_NONE;
}

int h3_stream_is_open(const h3_stream *s)
{
    return s->response == H3_STREAM_RESP_OPEN || s->response == H3_STREAM_RESP_ENDED;
}

int h3_stream_is_cut(const h3_stream *s)
{
    return s->response == H3_STREAM_RESP_CUT;
}

int h3_stream_has_more(const h3_stream *s)
{
    return !h3_source_is_empty(&s->source);
}

uint64_t h3_stream_error(const h3_stream *s)
{
    return s->response == H3_STREAM_RESP_BROKEN ? s->error : 0;
}

int h3_stream_read(h3_stream *s, struct iovec *vec, int cnt, int *eof)
{
    int n;

    *eof = 0;
    if (!h3_stream_is_open(s)) {
        return -1;
    }
    n = h3_source_read(&s->source, vec, cnt);
    if (n < 0) {
        h3_stream_break(s, H3_INTERNAL_ERROR);
        return -1;
    }
    if (h3_source_is_empty(&s->source) && s->response == H3_STREAM_RESP_ENDED) {
        *eof = 1;
        return n;
    }
    if (n == 0 && h3_source_is_empty(&s->source)) {
        h3_pipe_io_idle(&s->pipe);
    }
    return n ? n : -1;
}

void h3_stream_sent(h3_stream *s, size_t len, int end)
{
    s->txn.sent += len;
    s->unacked += len;
    s->txn.whole |= end;
}

void h3_stream_arrived(h3_stream *s, size_t len)
{
    s->unacked -= len;
}

void h3_stream_acked(h3_stream *s, size_t len)
{
    h3_source_acked(&s->source, len);
}

/* ---- the end ---- */

size_t h3_stream_left(h3_stream *s)
{
    return h3_pipe_io_abort(&s->pipe);
}

int h3_stream_is_left(const h3_stream *s)
{
    return s->state == H3_STREAM_SENDING;
}

int h3_stream_is_answered(const h3_stream *s)
{
    return s->state == H3_STREAM_SENDING && s->txn.whole && !s->unacked
           && !h3_source_is_busy(&s->source);
}

size_t h3_stream_abort(h3_stream *s)
{
    if (s->response < H3_STREAM_RESP_CUT) {
        enter_response(s, H3_STREAM_RESP_CUT);
    }
    h3_source_drop(&s->source);
    return h3_pipe_io_abort(&s->pipe);
}

/* All that is left is to log the request and to free its memory: a worker's job. */
static void finish(h3_stream *s)
{
    h3_source_destroy(&s->source);
    if (s->state == H3_STREAM_HEAD) {
        enter(s, H3_STREAM_DONE);
        h3_head_destroy(s->txn.head);
        h3_pipe_destroy(&s->pipe);
        free(s);
        return;
    }
    enter(s, H3_STREAM_DONE);
    s->job.run = run_finish;
    h3_workers_push(s->env->workers, &s->job, H3_JOB_SHORT);
}

static void run_finish(h3_job *job, h3_worker *w)
{
    h3_stream *s = STREAM_OF(job, job);

    h3_request_finish(&s->txn, w);
    h3_pipe_destroy(&s->pipe);
    free(s);
}

/* No worker has seen it, and none will: nothing of it is left to wait in the queue. */
static void forget(h3_stream *s)
{
    enter(s, H3_STREAM_DONE);
    h3_request_finish(&s->txn, NULL);
    h3_pipe_destroy(&s->pipe);
    free(s);
}

int h3_stream_closed(h3_stream *s)
{
    h3_stream_abort(s);
    unfeed(s);
    if (s->state == H3_STREAM_RUNNING && h3_workers_cancel(s->env->workers, &s->job)) {
        forget(s);
        return 1;
    }
    h3_source_call_off(&s->source);
    if (s->state == H3_STREAM_RUNNING || h3_source_is_busy(&s->source)) {
        h3_source_drop_sent(&s->source);
        enter(s, H3_STREAM_ORPHAN);
        return 0;
    }
    finish(s);
    return 1;
}

int h3_stream_is_orphan(const h3_stream *s)
{
    return s->state == H3_STREAM_ORPHAN;
}

int h3_stream_orphan_take(h3_stream *s)
{
    h3_pipe_news news;

    h3_pipe_io_take(&s->pipe, &news);
    h3_source_add(&s->source, &news);
    h3_pipe_io_drop(&news);
    if (h3_source_is_busy(&s->source) || !news.left) {
        return 0;
    }
    finish(s);
    return 1;
}
