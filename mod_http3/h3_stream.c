/* SPDX-License-Identifier: Apache-2.0 */
/* preadv2 */
#define _GNU_SOURCE
#include "h3_stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <linux/magic.h>
#include <nghttp3/nghttp3.h>
#include "http_config.h"
#include "http_log.h"

APLOG_USE_MODULE(http3);

/* One read of a file; several are in flight within H3StreamMaxMemSize. */
#define READ_SIZE (64 * 1024)
#define READ_MIN 4096
/*
 * A field beyond the limits still costs its decoding: so many more are tolerated (as mod_http2
 * does).
 */
#define EXCESS_FIELDS 100

static void enter(h3_stream *s, h3_stream_state state);
static void run_request(h3_job *job, h3_worker *w);
static void run_finish(h3_job *job, h3_worker *w);
static void run_refill(h3_job *job, h3_worker *w);
static void refuse(h3_stream *s, int status);
static int read_span(h3_stream *s, h3_span *span);
static void drop_out(h3_stream *s);

#define STREAM_OF(job_ptr, member) ((h3_stream *)((char *)(job_ptr)-offsetof(h3_stream, member)))

h3_stream *h3_stream_create(h3_stream_env *env, void *session, int64_t id, server_rec *limits,
                            size_t limit, size_t credit_step, uint64_t now)
{
    h3_stream *s = calloc(1, sizeof(*s));

    if (!s) {
        return NULL;
    }
    s->txn.head = h3_head_create();
    if (!s->txn.head || h3_pipe_init(&s->pipe, &env->bell, s, limit, credit_step) != APR_SUCCESS) {
        if (s->txn.head) {
            h3_head_destroy(s->txn.head);
        }
        free(s);
        return NULL;
    }
    s->env = env;
    s->session = session;
    s->id = id;
    s->limits = limits;
    s->waits_since = now;
    s->job.run = run_request;
    s->refill_job.run = run_refill;
    s->txn.pipe = &s->pipe;
    s->txn.stream_id = id;
    QUIC_STATS_ADD(env->stats, streams, 1);
    return s;
}

/* The one place where the state changes. */
static void enter(h3_stream *s, h3_stream_state state)
{
    h3_stream_env *env = s->env;

    ap_assert(state > s->state); /* states only go forward */
    if (state == H3_STREAM_RUNNING) {
        env->running++;
        QUIC_STATS_ADD(env->stats, requests, 1);
        QUIC_STATS_ADD(env->stats, requests_total, 1);
    }
    if (state == H3_STREAM_ORPHAN) {
        QUIC_STATS_ADD(env->stats, streams, -1);
    }
    if (state == H3_STREAM_DONE) {
        if (s->state != H3_STREAM_HEAD) {
            env->running--;
            QUIC_STATS_ADD(env->stats, requests, -1);
        }
        if (s->state != H3_STREAM_ORPHAN) {
            QUIC_STATS_ADD(env->stats, streams, -1);
        }
    }
    s->state = state;
}

/* ---- the head ---- */

/* The first offence counts. */
static void refuse(h3_stream *s, int status)
{
    if (!s->txn.head->status) {
        s->txn.head->status = status;
    }
}

/*
 * Would this field, merged with the earlier ones of its name as httpd merges
 * them, exceed LimitRequestFieldSize? Every crumb of a cookie counts.
 */
static int merged_too_long(h3_stream *s, const char *name, size_t name_len, size_t value_len)
{
    const h3_head *h = s->txn.head;
    size_t i, sum = name_len + value_len + 2;
    size_t max = (size_t)s->limits->limit_req_fieldsize;

    for (i = 0; i < h->nfields && sum <= max; i++) {
        if (h->fields[i].name_len == name_len
            && memcmp(h3_field_name(h, &h->fields[i]), name, name_len) == 0) {
            sum += h->fields[i].value_len + 2;
        }
    }
    return sum > max;
}

static int pseudo_field(h3_stream *s, int pseudo, const char *value, size_t len)
{
    h3_head *h = s->txn.head;

    /* A request line would be METHOD SP path SP HTTP/3.0; an authority of that length is none. */
    s->field_bytes += len;
    if (len + sizeof(" HTTP/3.0") > (size_t)s->limits->limit_req_line) {
        refuse(s, pseudo == H3_HEAD_AUTHORITY ? HTTP_BAD_REQUEST : HTTP_REQUEST_URI_TOO_LARGE);
        value = pseudo == H3_HEAD_PATH ? "/" : "";
        len = strlen(value);
    }
    return h3_head_set_pseudo(h, pseudo, value, len);
}

int h3_stream_field(h3_stream *s, int pseudo, const char *name, size_t name_len, const char *value,
                    size_t value_len)
{
    unsigned max = (unsigned)s->limits->limit_req_fields;

    if (pseudo >= 0) {
        return pseudo_field(s, pseudo, value, value_len);
    }
    s->nfields++;
    if (max && s->nfields > max) {
        refuse(s, HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE);
        return s->nfields > max + EXCESS_FIELDS ? -2 : 0;
    }
    if (s->txn.head->status) {
        return 0;
    }
    if (merged_too_long(s, name, name_len, value_len)) {
        refuse(s, HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE);
        return 0;
    }
    s->field_bytes += name_len + value_len;
    return h3_head_add(s->txn.head, name, name_len, value, value_len);
}

void h3_stream_run(h3_stream *s, h3_connrec *cr, int no_body)
{
    h3_head_complete(s->txn.head);
    s->txn.connrec = cr;
    s->txn.head_only_eof = no_body;
    s->body_done = no_body != 0;
    if (no_body) {
        h3_pipe_io_recv_eof(&s->pipe);
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

/* ---- the response ---- */

void h3_stream_take(h3_stream *s, h3_pipe_news *news)
{
    h3_pipe_io_take(&s->pipe, news);
    if (news->pieces) {
        if (s->out_last) {
            s->out_last->next = news->pieces;
        }
        else {
            s->out_first = news->pieces;
        }
        for (s->out_last = news->pieces; s->out_last->next; s->out_last = s->out_last->next) {}
        news->pieces = NULL;
    }
    if (news->end && !s->out_end) {
        s->out_end = 1;
        s->out_error = news->error;
    }
    if (news->refilled) {
        s->refilling = 0;
        s->refill_chunk = news->refill;
        s->file_failed = news->refill == NULL;
    }
    if (news->left && s->state == H3_STREAM_RUNNING) {
        s->httpd_left = 1;
        enter(s, H3_STREAM_SENDING);
    }
}

static h3_file_mode file_mode(h3_stream_env *env, const h3_span *span)
{
    int i;

    for (i = 0; i < env->ndevices; i++) {
        if (env->devices[i].dev == span->dev) {
            return env->devices[i].mode;
        }
    }
    return H3_FILE_NOWAIT;
}

/* The device refuses RWF_NOWAIT: it is asked once. */
static h3_file_mode learn_file_mode(h3_stream_env *env, const h3_span *span)
{
    struct statfs fs;
    h3_file_mode mode = H3_FILE_WORKER;
    int i = env->ndevices < H3_DEVICES ? env->ndevices++ : H3_DEVICES - 1;

    if (fstatfs(span->fd, &fs) == 0
        && (fs.f_type == TMPFS_MAGIC || fs.f_type == (long)RAMFS_MAGIC)) {
        mode = H3_FILE_MEMORY;
    }
    env->devices[i].dev = span->dev;
    env->devices[i].mode = mode;
    return mode;
}

static void ask_worker(h3_stream *s, h3_chunk *c)
{
    s->refilling = 1;
    s->refill_chunk = c;
    QUIC_STATS_ADD(s->env->stats, file_refills, 1);
    h3_workers_push(s->env->workers, &s->refill_job, H3_JOB_READ);
}

static void run_refill(h3_job *job, h3_worker *w)
{
    h3_stream *s = STREAM_OF(job, refill_job);
    h3_chunk *c = s->refill_chunk;
    /* The I/O thread leaves the span alone until the answer is there. */
    const h3_span *span = &s->out_first->span;
    ssize_t n;

    (void)w;
    do {
        n = pread(span->fd, c->data, c->cap, span->offset);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        free(c);
        c = NULL;
    }
    else {
        c->len = (size_t)n;
    }
    h3_pipe_w_refilled(&s->pipe, c);
}

static void append_sent(h3_stream *s, h3_chunk *c)
{
    c->next = NULL;
    if (s->sent_last) {
        s->sent_last = s->sent_last->next = c;
    }
    else {
        s->sent_first = s->sent_last = c;
    }
}

/* A chunk that was read from the first span is put before what is left of the span. */
static int accept_read(h3_stream *s, h3_span *span, h3_chunk *c)
{
    span->offset += (off_t)c->len;
    span->left -= (off_t)c->len;
    h3_pipe_io_add(&s->pipe, c->len);
    append_sent(s, c);
    return 1;
}

/*
 * Bytes of a file into a new chunk at the end of the sent list. 1: there is
 * one; 0: not now (a worker reads, or the pipe is full); -1: the file is shorter than it was, or
 * broken.
 */
static int read_span(h3_stream *s, h3_span *span)
{
    h3_file_mode mode = file_mode(s->env, span);
    size_t want = READ_SIZE, room;
    struct iovec iov;
    h3_chunk *c;
    ssize_t n;

    if (s->refilling) {
        return 0;
    }
    if (s->file_failed) {
        return -1;
    }
    if ((c = s->refill_chunk)) {
        s->refill_chunk = NULL;
        return accept_read(s, span, c);
    }
    if ((off_t)want > span->left) {
        want = (size_t)span->left;
    }
    room = h3_pipe_io_room(&s->pipe);
    if (room < want) {
        if (room < READ_SIZE / 4 && s->sent_first) {
            return 0; /* asked again when bytes are acknowledged */
        }
        /* What fills the pipe may stand behind the span: a little more must always go. */
        want = room > READ_MIN ? room : want < READ_MIN ? want : READ_MIN;
    }
    if (!(c = h3_chunk_create(want))) {
        return -1;
    }
    iov.iov_base = c->data;
    iov.iov_len = want;
    n = -1;
    if (mode == H3_FILE_NOWAIT) {
        n = preadv2(span->fd, &iov, 1, span->offset, RWF_NOWAIT);
        if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL)) {
            mode = learn_file_mode(s->env, span);
        }
        else if (n < 0 && errno != EAGAIN && errno != EINTR) {
            n = 0;
        }
    }
    if (mode == H3_FILE_MEMORY) {
        n = pread(span->fd, c->data, want, span->offset);
    }
    if (n > 0) {
        c->len = (size_t)n;
        return accept_read(s, span, c);
    }
    if (n == 0 || mode == H3_FILE_MEMORY) {
        free(c);
        return -1;
    }
    ask_worker(s, c);
    return 0;
}

static h3_piece *pop_out(h3_stream *s)
{
    h3_piece *piece = s->out_first;

    s->out_first = piece->next;
    if (!s->out_first) {
        s->out_last = NULL;
    }
    return piece;
}

int h3_stream_read(h3_stream *s, struct iovec *vec, int cnt, int *eof)
{
    h3_piece *piece;
    int n = 0, rv;

    *eof = 0;
    while (n < cnt && (piece = s->out_first)) {
        if (piece->chunk) {
            append_sent(s, piece->chunk);
            free(pop_out(s));
        }
        else if (n > 0) {
            break; /* what is there goes first; one read of a file a time */
        }
        else {
            rv = read_span(s, &piece->span);
            if (rv <= 0) {
                if (rv < 0) {
                    s->out_error = NGHTTP3_H3_INTERNAL_ERROR;
                }
                return -1;
            }
            if (piece->span.left == 0) {
                h3_piece_destroy(pop_out(s));
            }
        }
        vec[n].iov_base = s->sent_last->data;
        vec[n++].iov_len = s->sent_last->len;
    }
    if (!s->out_first && s->out_end && !s->out_error) {
        *eof = 1;
        return n;
    }
    return n ? n : -1;
}

void h3_stream_acked(h3_stream *s, size_t len)
{
    h3_chunk *c;

    s->acked += len;
    while ((c = s->sent_first) && s->acked >= c->len) {
        s->acked -= c->len;
        s->sent_first = c->next;
        if (!s->sent_first) {
            s->sent_last = NULL;
        }
        h3_pipe_io_acked(&s->pipe, c->len);
        free(c);
    }
}

/* ---- the end ---- */

static void drop_out(h3_stream *s)
{
    h3_piece *piece = s->out_first;

    /* A worker may be reading the first span right now. */
    if (s->refilling && piece) {
        s->out_first = s->out_last = piece;
        piece = piece->next;
        s->out_first->next = NULL;
    }
    else {
        s->out_first = s->out_last = NULL;
    }
    while (piece) {
        h3_piece *next = piece->next;

        h3_piece_destroy(piece);
        piece = next;
    }
}

size_t h3_stream_abort(h3_stream *s)
{
    drop_out(s);
    return h3_pipe_io_abort(&s->pipe);
}

static void free_sent(h3_stream *s)
{
    h3_chunk *c;

    while ((c = s->sent_first)) {
        s->sent_first = c->next;
        free(c);
    }
    s->sent_last = NULL;
}

/* All that is left is to log the request and to free its memory: a worker's job. */
static void finish(h3_stream *s)
{
    free_sent(s);
    free(s->refill_chunk);
    s->refill_chunk = NULL;
    drop_out(s);
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

int h3_stream_closed(h3_stream *s)
{
    h3_stream_abort(s);
    if (s->state == H3_STREAM_RUNNING || s->refilling) {
        /* QUIC does not look at the bytes any more. */
        free_sent(s);
        enter(s, H3_STREAM_ORPHAN);
        return 0;
    }
    finish(s);
    return 1;
}

int h3_stream_left(h3_stream *s)
{
    h3_pipe_news news;
    h3_pipe_head *head;
    h3_piece *piece;

    h3_pipe_io_take(&s->pipe, &news);
    while ((head = news.heads)) {
        news.heads = head->next;
        h3_head_destroy(head->head);
        free(head);
    }
    while ((piece = news.pieces)) {
        news.pieces = piece->next;
        h3_piece_destroy(piece);
    }
    if (news.refilled) {
        s->refilling = 0;
        free(news.refill);
        s->refill_chunk = NULL;
    }
    s->httpd_left |= news.left != 0;
    if (s->refilling || !s->httpd_left) {
        return 0;
    }
    finish(s);
    return 1;
}
