/* SPDX-License-Identifier: Apache-2.0 */
#include "border/h3_pipe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "border/h3_cond.h"
#include "border/h3_descriptors.h"
#include "border/h3_error.h"

/* Chunks of a body. One datagram brings little more than 1,400 bytes; a chunk takes several. */
#define CHUNK_MAX (16 * 1024)
#define CHUNK_FIRST (CHUNK_MAX / 4)
/* Emptied chunks of a body that wait to be filled again: what comes in about a turn. */
#define SPARES 4
/* So many unannounced bytes are worth waking the I/O thread for. */
#define RING_BYTES (48 * 1024)
/* How often a worker that waits for the child's budget looks whether it has some. */
#define BUDGET_STEP apr_time_from_msec(50)
/* How often a worker that stays with its response looks whether it has to. */
#define SETTLE_STEP apr_time_from_msec(500)

/* What a ring may say beyond "there is news". */
#define RING_LEFT 1u
#define RING_REFILLED 2u

static void ring(h3_pipe *p, unsigned said);
static int rung_locked(h3_pipe *p);
static size_t free_room(h3_pipe *p);
static size_t room_locked(const h3_pipe *p);
static int wait_locked(h3_pipe *p, const struct timespec *until);
static int wait_for_room_locked(h3_pipe *p, apr_interval_time_t timeout);
static apr_ssize_t write_locked(h3_pipe *p, const char *data, size_t len);
static void give_back_locked(h3_pipe *p, size_t len);
static int may_go_on_locked(const h3_pipe *p);
static size_t read_locked(h3_pipe *p, char *buf, size_t len);
static size_t copy_body(h3_pipe *p, char *buf, size_t len, h3_chunk_list *emptied);
static void recycle_locked(h3_pipe *p, h3_chunk_list *emptied);
static h3_chunk *fresh_chunk_locked(h3_pipe *p, size_t len);
static void end_locked(h3_pipe *p, uint64_t error);
static void free_heads(h3_pipe_head *heads);

/* ---- life ---- */

apr_status_t h3_pipe_init(h3_pipe *p, h3_bell *bell, h3_budget *budget, size_t limit,
                          size_t credit_step)
{
    int rv;

    memset(p, 0, sizeof(*p));
    p->bell = bell;
    p->budget = budget;
    p->limit = limit;
    p->credit_step = credit_step;
    p->is_idle = 1;
    if ((rv = pthread_mutex_init(&p->lock, NULL)) != 0) {
        return rv;
    }
    if ((rv = h3_cond_init(&p->cond)) != 0) {
        pthread_mutex_destroy(&p->lock);
    }
    return rv;
}

void h3_pipe_destroy(h3_pipe *p)
{
    if (p->parked) {
        h3_descriptors_unpark();
    }
    h3_budget_give(p->budget, p->out_len);
    h3_chunk_clear(&p->in);
    h3_chunk_clear(&p->reading);
    h3_chunk_clear(&p->spare);
    h3_piece_clear(&p->out);
    free_heads(p->heads_first);
    free(p->refill);
    pthread_cond_destroy(&p->cond);
    pthread_mutex_destroy(&p->lock);
}

h3_pipe *h3_pipe_of(h3_bell_entry *entry)
{
    return (h3_pipe *)((char *)entry - offsetof(h3_pipe, entry));
}

static void free_heads(h3_pipe_head *heads)
{
    h3_pipe_head *next;

    for (; heads; heads = next) {
        next = heads->next;
        h3_head_destroy(heads->head);
        free(heads);
    }
}

/* ---- both sides ---- */

/* Without p->lock. */
static void ring(h3_pipe *p, unsigned said)
{
    h3_bell_ring(p->bell, &p->entry, said);
}

/*
 * Is there anything that the I/O thread has not been told of? It is from now on: the caller rings,
 * or is that thread.
 */
static int rung_locked(h3_pipe *p)
{
    int must = p->must_ring;

    p->must_ring = 0;
    p->unrung = 0;
    return must;
}

static size_t room_locked(const h3_pipe *p)
{
    size_t share = h3_budget_share(p->budget), most = p->limit < share ? p->limit : share;

    return p->out_len < most ? most - p->out_len : 0;
}

/* Half-empty, so that a worker is not woken for every acknowledged packet. */
static int may_go_on_locked(const h3_pipe *p)
{
    return p->waiting && p->out_len <= p->limit / 2;
}

static size_t free_room(h3_pipe *p)
{
    size_t n;

    pthread_mutex_lock(&p->lock);
    n = room_locked(p);
    pthread_mutex_unlock(&p->lock);
    return n;
}

/* ---- worker's side ---- */

/* 0, or -1 when `until` has passed. */
static int wait_locked(h3_pipe *p, const struct timespec *until)
{
    int rv;

    p->waiting = 1;
    rv = pthread_cond_timedwait(&p->cond, &p->lock, until);
    p->waiting = 0;
    return rv == ETIMEDOUT ? -1 : 0;
}

/* What the worker has taken, at most len bytes; without p->lock. */
static size_t copy_body(h3_pipe *p, char *buf, size_t len, h3_chunk_list *emptied)
{
    size_t n, done = 0;
    h3_chunk *c;

    while (done < len && (c = p->reading.first)) {
        n = c->len - p->reading_off;
        if (n > len - done) {
            n = len - done;
        }
        memcpy(buf + done, c->data + p->reading_off, n);
        done += n;
        p->reading_off += n;
        if (p->reading_off == c->len) {
            p->reading_off = 0;
            h3_chunk_append(emptied, h3_chunk_pop(&p->reading));
        }
    }
    return done;
}

/* Keeps some of the emptied chunks; what is left in the list is the caller's to free. */
static void recycle_locked(h3_pipe *p, h3_chunk_list *emptied)
{
    h3_chunk *c;

    while (p->nspare < SPARES && !p->aborted && (c = h3_chunk_pop(emptied))) {
        if (c->cap == CHUNK_MAX && !p->in_eof) {
            c->len = 0;
            h3_chunk_append(&p->spare, c);
            p->nspare++;
        }
        else {
            free(c);
        }
    }
}

/* Some bytes wait. The lock is let go while they are copied. */
static size_t read_locked(h3_pipe *p, char *buf, size_t len)
{
    h3_chunk_list emptied = { NULL, NULL };

    if (!p->reading.first) {
        p->reading = p->in;
        memset(&p->in, 0, sizeof(p->in));
    }
    pthread_mutex_unlock(&p->lock);
    len = copy_body(p, buf, len, &emptied);
    pthread_mutex_lock(&p->lock);
    if (!p->aborted) { /* else all of it has been given back as credit already */
        p->in_len -= len;
        p->consumed += len;
    }
    recycle_locked(p, &emptied);
    h3_chunk_clear(&emptied);
    return len;
}

apr_status_t h3_pipe_w_read(h3_pipe *p, char *buf, size_t *len, int block,
                            apr_interval_time_t timeout)
{
    struct timespec until;
    apr_status_t rv;
    int news = 0, timed = 0;

    pthread_mutex_lock(&p->lock);
    for (;;) {
        if (p->aborted) {
            rv = APR_ECONNABORTED;
            break;
        }
        if (p->in_len) {
            *len = read_locked(p, buf, *len);
            /* Credit in steps, and whenever the client may be waiting for it. */
            news = p->consumed >= p->credit_step;
            rv = APR_SUCCESS;
            break;
        }
        if (p->in_eof) {
            rv = APR_EOF;
            break;
        }
        if (!block) {
            news = p->consumed > 0;
            rv = APR_EAGAIN;
            break;
        }
        if (!timed) {
            timed = 1;
            h3_cond_deadline(&until, timeout);
            if (rung_locked(p) || p->consumed) {
                pthread_mutex_unlock(&p->lock);
                ring(p, 0);
                pthread_mutex_lock(&p->lock);
                continue;
            }
        }
        if (wait_locked(p, &until) < 0 && !p->in_len && !p->in_eof && !p->aborted) {
            rv = APR_TIMEUP;
            break;
        }
    }
    pthread_mutex_unlock(&p->lock);
    if (news) {
        ring(p, 0);
    }
    if (rv != APR_SUCCESS) {
        *len = 0;
    }
    return rv;
}

apr_status_t h3_pipe_w_head(h3_pipe *p, h3_head *head)
{
    h3_pipe_head *h = malloc(sizeof(*h));
    apr_status_t rv = APR_SUCCESS;

    if (!h) {
        h3_head_destroy(head);
        return APR_ENOMEM;
    }
    h->head = head;
    h->next = NULL;
    pthread_mutex_lock(&p->lock);
    if (p->aborted || p->out_end) {
        rv = APR_ECONNABORTED;
    }
    else if (p->heads_last) {
        p->heads_last = p->heads_last->next = h;
    }
    else {
        p->heads_first = p->heads_last = h;
    }
    pthread_mutex_unlock(&p->lock);
    if (rv != APR_SUCCESS) {
        h3_head_destroy(head);
        free(h);
    }
    else if (head->status < 200) {
        ring(p, 0);
    }
    return rv;
}

/* Some of `len` > 0 bytes, and how many. 0: no memory; -1: the budget has none at the moment. */
static apr_ssize_t write_locked(h3_pipe *p, const char *data, size_t len)
{
    size_t n;

    if (len > RING_BYTES) {
        len = RING_BYTES;
    }
    if (!h3_budget_take(p->budget, len)) {
        return -1;
    }
    n = h3_piece_append_bytes(&p->out, data, len);
    h3_budget_give(p->budget, len - n);
    p->out_len += n;
    p->out_owed += n;
    p->must_ring = 1;
    p->unrung += n;
    return (apr_ssize_t)n;
}

/*
 * Until there is room, which this pipe's acknowledgements make; or, where the child's budget is
 * what lacks, those of others, which ring nobody here. 0, or -1: `timeout` has passed.
 */
static int wait_for_room_locked(h3_pipe *p, apr_interval_time_t timeout)
{
    apr_interval_time_t waited = 0;
    struct timespec until, step;

    h3_cond_deadline(&until, timeout);
    while (!p->aborted && !room_locked(p)) {
        if (p->out_len >= p->limit) {
            if (wait_locked(p, &until) < 0) {
                return p->out_len < p->limit || p->aborted ? 0 : -1;
            }
        }
        else {
            h3_cond_deadline(&step, BUDGET_STEP);
            waited += wait_locked(p, &step) < 0 ? BUDGET_STEP : 0;
            if (waited >= timeout) {
                return -1;
            }
        }
    }
    return 0;
}

apr_status_t h3_pipe_w_write(h3_pipe *p, const char *data, size_t len, apr_interval_time_t timeout)
{
    apr_status_t rv = APR_SUCCESS;
    int news = 0;
    apr_ssize_t n;
    size_t room;

    pthread_mutex_lock(&p->lock);
    while (len && rv == APR_SUCCESS) {
        if (p->aborted || p->out_end) {
            rv = APR_ECONNABORTED;
        }
        else if ((room = room_locked(p)) > 0
                 && (n = write_locked(p, data, len < room ? len : room)) >= 0) {
            data += n;
            len -= (size_t)n;
            rv = n ? APR_SUCCESS : APR_ENOMEM;
        }
        else if (rung_locked(p)) {
            pthread_mutex_unlock(&p->lock);
            ring(p, 0);
            pthread_mutex_lock(&p->lock);
        }
        else if (wait_for_room_locked(p, timeout) < 0) {
            rv = APR_TIMEUP;
        }
    }
    if (p->unrung >= RING_BYTES) {
        news = rung_locked(p);
    }
    pthread_mutex_unlock(&p->lock);
    if (news) {
        ring(p, 0);
    }
    return rv;
}

apr_status_t h3_pipe_w_file(h3_pipe *p, int fd, off_t offset, off_t len)
{
    apr_status_t rv;
    h3_span span;

    if ((rv = h3_span_open(&span, fd, offset, len)) != APR_SUCCESS) {
        return rv;
    }
    pthread_mutex_lock(&p->lock);
    if (p->aborted || p->out_end) {
        rv = APR_ECONNABORTED;
    }
    else if (h3_piece_append_span(&p->out, &span) < 0) {
        rv = APR_ENOMEM;
    }
    else {
        p->out_owed += (uint64_t)len;
        p->must_ring = 1;
    }
    pthread_mutex_unlock(&p->lock);
    if (rv != APR_SUCCESS) {
        h3_span_close(&span);
    }
    return rv;
}

size_t h3_pipe_w_room(h3_pipe *p)
{
    return free_room(p);
}

void h3_pipe_w_flush(h3_pipe *p)
{
    int news;

    pthread_mutex_lock(&p->lock);
    news = rung_locked(p) || p->heads_first;
    pthread_mutex_unlock(&p->lock);
    if (news) {
        ring(p, 0);
    }
}

void h3_pipe_w_pass(h3_pipe *p)
{
    int news;

    pthread_mutex_lock(&p->lock);
    news = p->is_idle && (rung_locked(p) || p->heads_first);
    pthread_mutex_unlock(&p->lock);
    if (news) {
        ring(p, 0);
    }
}

static void end_locked(h3_pipe *p, uint64_t error)
{
    if (!p->out_end) {
        p->out_end = 1;
        p->out_error = error;
    }
}

void h3_pipe_w_end(h3_pipe *p, uint64_t error)
{
    pthread_mutex_lock(&p->lock);
    end_locked(p, error);
    p->must_ring = 1; /* for a flush */
    pthread_mutex_unlock(&p->lock);
}

int h3_pipe_w_is_aborted(h3_pipe *p)
{
    int aborted;

    pthread_mutex_lock(&p->lock);
    aborted = p->aborted;
    pthread_mutex_unlock(&p->lock);
    return aborted;
}

void h3_pipe_w_settle(h3_pipe *p, apr_interval_time_t timeout)
{
    apr_interval_time_t waited = 0;
    struct timespec until;
    uint64_t owed;
    int done = h3_descriptors_may_park();

    if (!done) {
        h3_pipe_w_flush(p);
    }
    while (!done && waited < timeout) {
        h3_cond_deadline(&until, SETTLE_STEP);
        pthread_mutex_lock(&p->lock);
        owed = p->out_owed;
        if (owed && !p->aborted && wait_locked(p, &until) < 0) {
            waited += SETTLE_STEP;
        }
        if (p->out_owed < owed) {
            waited = 0;
        }
        done = p->aborted || !p->out_owed;
        pthread_mutex_unlock(&p->lock);
        done = done || h3_descriptors_may_park();
    }
}

void h3_pipe_w_leave(h3_pipe *p)
{
    pthread_mutex_lock(&p->lock);
    end_locked(p, H3_INTERNAL_ERROR);
    if (!p->aborted) {
        p->parked = 1;
        h3_descriptors_park();
    }
    pthread_mutex_unlock(&p->lock);
    ring(p, RING_LEFT);
}

void h3_pipe_w_refilled(h3_pipe *p, h3_chunk *chunk)
{
    p->refill = chunk;
    ring(p, RING_REFILLED);
}

/* ---- I/O thread's side ---- */

static h3_chunk *fresh_chunk_locked(h3_pipe *p, size_t len)
{
    h3_chunk *c = len <= CHUNK_MAX ? h3_chunk_pop(&p->spare) : NULL;

    if (c) {
        p->nspare--;
        return c;
    }
    c = h3_chunk_create(len > CHUNK_FIRST ? len : p->in_begun ? CHUNK_MAX : CHUNK_FIRST);
    p->in_begun = 1;
    return c;
}

int h3_pipe_io_recv(h3_pipe *p, const uint8_t *data, size_t len)
{
    h3_chunk *c;
    size_t n;
    int rv = 0;

    pthread_mutex_lock(&p->lock);
    c = p->in.last;
    n = c ? h3_chunk_fill(c, data, len) : 0;
    p->in_len += len;
    data += n;
    len -= n;
    if (len) {
        c = fresh_chunk_locked(p, len);
        if (c) {
            h3_chunk_fill(c, data, len);
            h3_chunk_append(&p->in, c);
        }
        else {
            p->in_len -= len;
            rv = -1;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return rv;
}

void h3_pipe_io_recv_eof(h3_pipe *p)
{
    pthread_mutex_lock(&p->lock);
    p->in_eof = 1;
    pthread_mutex_unlock(&p->lock);
}

void h3_pipe_io_wake(h3_pipe *p)
{
    int waiting;

    pthread_mutex_lock(&p->lock);
    waiting = p->waiting;
    pthread_mutex_unlock(&p->lock);
    if (waiting) {
        pthread_cond_signal(&p->cond);
    }
}

void h3_pipe_io_take(h3_pipe *p, h3_pipe_news *news)
{
    pthread_mutex_lock(&p->lock);
    news->heads = p->heads_first;
    p->heads_first = p->heads_last = NULL;
    news->pieces = p->out;
    memset(&p->out, 0, sizeof(p->out));
    news->consumed = p->consumed;
    p->consumed = 0;
    news->end = p->out_end;
    news->error = p->out_error;
    rung_locked(p);
    p->is_idle = p->is_idle && !news->pieces.first;
    pthread_mutex_unlock(&p->lock);
    news->left = (p->entry.heard & RING_LEFT) != 0;
    news->refilled = (p->entry.heard & RING_REFILLED) != 0;
    news->refill = NULL;
    if (news->refilled) {
        news->refill = p->refill;
        p->refill = NULL;
        p->entry.heard &= ~RING_REFILLED;
    }
}

void h3_pipe_io_drop(h3_pipe_news *news)
{
    free_heads(news->heads);
    news->heads = NULL;
    h3_piece_clear(&news->pieces);
    free(news->refill);
    news->refill = NULL;
}

void h3_pipe_io_idle(h3_pipe *p)
{
    int more;

    pthread_mutex_lock(&p->lock);
    more = p->out.first || p->heads_first;
    p->is_idle = !more;
    pthread_mutex_unlock(&p->lock);
    if (more) {
        ring(p, 0);
    }
}

size_t h3_pipe_io_room(h3_pipe *p)
{
    return free_room(p);
}

int h3_pipe_io_reserve(h3_pipe *p, size_t len)
{
    int there = h3_budget_take(p->budget, len);

    if (there) {
        pthread_mutex_lock(&p->lock);
        p->out_len += len;
        pthread_mutex_unlock(&p->lock);
    }
    return there;
}

static void give_back_locked(h3_pipe *p, size_t len)
{
    p->out_len -= len;
    h3_budget_give(p->budget, len);
}

void h3_pipe_io_unreserve(h3_pipe *p, size_t len)
{
    pthread_mutex_lock(&p->lock);
    give_back_locked(p, len);
    pthread_mutex_unlock(&p->lock);
}

size_t h3_pipe_io_limit(h3_pipe *p, size_t limit)
{
    int wakes;

    pthread_mutex_lock(&p->lock);
    wakes = limit > p->limit;
    p->limit = limit > p->out_len ? limit : p->out_len;
    limit = p->limit;
    wakes = wakes && may_go_on_locked(p);
    pthread_mutex_unlock(&p->lock);
    if (wakes) {
        pthread_cond_signal(&p->cond);
    }
    return limit;
}

void h3_pipe_io_acked(h3_pipe *p, size_t len)
{
    int wakes;

    pthread_mutex_lock(&p->lock);
    give_back_locked(p, len);
    p->out_owed -= len;
    wakes = may_go_on_locked(p);
    pthread_mutex_unlock(&p->lock);
    if (wakes) {
        pthread_cond_signal(&p->cond);
    }
}

size_t h3_pipe_io_abort(h3_pipe *p)
{
    size_t unread;

    pthread_mutex_lock(&p->lock);
    p->aborted = 1;
    unread = p->in_len + p->consumed;
    p->in_len = p->consumed = 0;
    h3_chunk_clear(&p->in);
    h3_chunk_clear(&p->spare);
    p->nspare = 0;
    pthread_cond_signal(&p->cond);
    pthread_mutex_unlock(&p->lock);
    return unread;
}
