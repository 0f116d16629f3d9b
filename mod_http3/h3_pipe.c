/* SPDX-License-Identifier: Apache-2.0 */
#include "h3_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <nghttp3/nghttp3.h>
#include "h3_cond.h"

/* Chunks of a response that is written in many pieces; of the order of what GSO sends at once. */
#define CHUNK_MAX (16 * 1024)
#define CHUNK_MIN 1024
/* So many unannounced bytes are worth waking the I/O thread for. */
#define RING_BYTES (48 * 1024)

/*
 * Of the descriptors that a child may open, the spans have one in so many: a client that asks for
 * many files and reads none holds no worker, and would use up what others are accepted with.
 */
#define SPANS_SHARE 2

/* What a ring may say beyond "there is news". */
#define RING_LEFT 1u
#define RING_REFILLED 2u

static unsigned open_spans, max_spans; /* of the process; open_spans is changed atomically */

static void ring(h3_pipe *p, unsigned said);
static void span_close(int fd);
static int wait_locked(h3_pipe *p, const struct timespec *until);
static int append_locked(h3_pipe *p, const char *data, size_t len);
static int append_piece_locked(h3_pipe *p, h3_chunk *chunk, const h3_span *span);
static void end_locked(h3_pipe *p, uint64_t error);

/* ---- the bell ---- */

static unsigned spans_limit(void)
{
    struct rlimit rl;

    if (getrlimit(RLIMIT_NOFILE, &rl) < 0 || rl.rlim_cur / SPANS_SHARE > UINT_MAX) {
        return UINT_MAX;
    }
    return (unsigned)(rl.rlim_cur / SPANS_SHARE);
}

apr_status_t h3_bell_init(h3_bell *b)
{
    memset(b, 0, sizeof(*b));
    max_spans = spans_limit();
    b->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (b->fd < 0) {
        return errno;
    }
    return pthread_mutex_init(&b->lock, NULL);
}

void h3_bell_destroy(h3_bell *b)
{
    close(b->fd);
    pthread_mutex_destroy(&b->lock);
}

int h3_bell_sleep(h3_bell *b)
{
    int empty;

    pthread_mutex_lock(&b->lock);
    empty = b->first == NULL;
    b->sleeping = empty;
    pthread_mutex_unlock(&b->lock);
    return empty;
}

void h3_bell_wake(h3_bell *b)
{
    uint64_t one = 1;

    while (write(b->fd, &one, sizeof(one)) < 0 && errno == EINTR) {}
}

h3_pipe *h3_bell_take(h3_bell *b)
{
    h3_pipe *first, *p;

    pthread_mutex_lock(&b->lock);
    first = b->first;
    b->sleeping = 0;
    for (p = first; p; p = p->bell_next) {
        /* From here on it may ring anew, and have another neighbour on the bell. */
        p->taken_next = p->bell_next;
        p->on_bell = 0;
        p->heard |= p->said;
        p->said = 0;
    }
    b->first = b->last = NULL;
    pthread_mutex_unlock(&b->lock);
    return first;
}

/*
 * A pipe that is already on the list needs no second place: its news are taken
 * after it was removed from there. What is `said` is heard by the I/O thread
 * only when it takes this very ring; so, once it has heard RING_LEFT, nobody
 * has a hand on the pipe and the pipe is not on the list. Called without p->lock.
 */
static void ring(h3_pipe *p, unsigned said)
{
    h3_bell *b = p->bell;
    int wake = 0;

    pthread_mutex_lock(&b->lock);
    p->said |= said;
    if (!p->on_bell) {
        p->on_bell = 1;
        p->bell_next = NULL;
        if (b->last) {
            b->last->bell_next = p;
        }
        else {
            b->first = p;
        }
        b->last = p;
        wake = b->sleeping;
        b->sleeping = 0;
    }
    pthread_mutex_unlock(&b->lock);
    if (wake) {
        h3_bell_wake(b);
    }
}

/* ---- life ---- */

h3_chunk *h3_chunk_create(size_t cap)
{
    h3_chunk *c = malloc(sizeof(*c) + cap);

    if (c) {
        c->next = NULL;
        c->len = 0;
        c->cap = cap;
    }
    return c;
}

void h3_piece_destroy(h3_piece *piece)
{
    if (piece->chunk) {
        free(piece->chunk);
    }
    else {
        span_close(piece->span.fd);
    }
    free(piece);
}

/* EMFILE also when the spans of this child have their share already. */
static int span_open(int fd)
{
    int dup;

    if (__atomic_add_fetch(&open_spans, 1, __ATOMIC_RELAXED) > max_spans) {
        errno = EMFILE;
        dup = -1;
    }
    else {
        dup = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    }
    if (dup < 0) {
        __atomic_sub_fetch(&open_spans, 1, __ATOMIC_RELAXED);
    }
    return dup;
}

static void span_close(int fd)
{
    close(fd);
    __atomic_sub_fetch(&open_spans, 1, __ATOMIC_RELAXED);
}

apr_status_t h3_pipe_init(h3_pipe *p, h3_bell *bell, void *owner, size_t limit, size_t credit_step)
{
    int rv;

    memset(p, 0, sizeof(*p));
    p->bell = bell;
    p->owner = owner;
    p->limit = limit;
    p->credit_step = credit_step;
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
    h3_chunk *c;
    h3_piece *piece;
    h3_pipe_head *h;

    while ((c = p->in_first)) {
        p->in_first = c->next;
        free(c);
    }
    while ((piece = p->out_first)) {
        p->out_first = piece->next;
        h3_piece_destroy(piece);
    }
    while ((h = p->heads_first)) {
        p->heads_first = h->next;
        h3_head_destroy(h->head);
        free(h);
    }
    free(p->refill);
    pthread_cond_destroy(&p->cond);
    pthread_mutex_destroy(&p->lock);
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

/* Copies what waits, at most len bytes, and frees the chunks it empties. */
static size_t take_body_locked(h3_pipe *p, char *buf, size_t len)
{
    size_t n, done = 0;
    h3_chunk *c;

    while (done < len && (c = p->in_first)) {
        n = c->len - p->in_off;
        if (n > len - done) {
            n = len - done;
        }
        memcpy(buf + done, c->data + p->in_off, n);
        done += n;
        p->in_off += n;
        if (p->in_off == c->len) {
            p->in_first = c->next;
            if (!p->in_first) {
                p->in_last = NULL;
            }
            p->in_off = 0;
            free(c);
        }
    }
    p->in_len -= done;
    p->consumed += done;
    return done;
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
            *len = take_body_locked(p, buf, *len);
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
            if (p->consumed || p->unrung) {
                p->unrung = 0;
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

static int append_piece_locked(h3_pipe *p, h3_chunk *chunk, const h3_span *span)
{
    h3_piece *piece = malloc(sizeof(*piece));

    if (!piece) {
        return -1;
    }
    piece->next = NULL;
    piece->chunk = chunk;
    if (!chunk) {
        piece->span = *span;
    }
    if (p->out_last) {
        p->out_last = p->out_last->next = piece;
    }
    else {
        p->out_first = p->out_last = piece;
    }
    return 0;
}

/*
 * Into the last chunk as far as it has room, the rest into a new one. Returns the bytes taken, -1:
 * no memory.
 */
static int append_locked(h3_pipe *p, const char *data, size_t len)
{
    h3_chunk *c = p->out_last ? p->out_last->chunk : NULL;
    size_t cap;

    if (!c || c->len == c->cap) {
        cap = len < CHUNK_MIN ? CHUNK_MIN : len > CHUNK_MAX ? CHUNK_MAX : len;
        c = h3_chunk_create(cap);
        if (!c || append_piece_locked(p, c, NULL) < 0) {
            free(c);
            return -1;
        }
    }
    if (len > c->cap - c->len) {
        len = c->cap - c->len;
    }
    memcpy(c->data + c->len, data, len);
    c->len += len;
    p->out_len += len;
    p->unrung += len;
    return (int)len;
}

apr_status_t h3_pipe_w_write(h3_pipe *p, const char *data, size_t len, apr_interval_time_t timeout)
{
    struct timespec until;
    apr_status_t rv = APR_SUCCESS;
    int n, timed = 0, news;
    size_t room;

    pthread_mutex_lock(&p->lock);
    while (len) {
        if (p->aborted || p->out_end) {
            rv = APR_ECONNABORTED;
            break;
        }
        room = p->out_len < p->limit ? p->limit - p->out_len : 0;
        if (room) {
            n = append_locked(p, data, len < room ? len : room);
            if (n < 0) {
                rv = APR_ENOMEM;
                break;
            }
            data += n;
            len -= (size_t)n;
            timed = 0;
            continue;
        }
        if (p->unrung) {
            p->unrung = 0;
            pthread_mutex_unlock(&p->lock);
            ring(p, 0);
            pthread_mutex_lock(&p->lock);
            continue;
        }
        if (!timed) {
            timed = 1;
            h3_cond_deadline(&until, timeout);
        }
        if (wait_locked(p, &until) < 0 && p->out_len >= p->limit && !p->aborted) {
            rv = APR_TIMEUP;
            break;
        }
    }
    news = p->unrung >= RING_BYTES;
    if (news) {
        p->unrung = 0;
    }
    pthread_mutex_unlock(&p->lock);
    if (news) {
        ring(p, 0);
    }
    return rv;
}

apr_status_t h3_pipe_w_file(h3_pipe *p, int fd, off_t offset, off_t len)
{
    apr_status_t rv = APR_SUCCESS;
    struct stat st;
    h3_span span;

    span.fd = span_open(fd);
    if (span.fd < 0) {
        return errno;
    }
    if (fstat(span.fd, &st) < 0) {
        rv = errno;
        span_close(span.fd);
        return rv;
    }
    span.offset = offset;
    span.left = len;
    span.dev = st.st_dev;
    pthread_mutex_lock(&p->lock);
    if (p->aborted || p->out_end) {
        rv = APR_ECONNABORTED;
    }
    else if (append_piece_locked(p, NULL, &span) < 0) {
        rv = APR_ENOMEM;
    }
    else {
        p->unrung++; /* so that a later flush or wait rings */
    }
    pthread_mutex_unlock(&p->lock);
    if (rv != APR_SUCCESS) {
        span_close(span.fd);
    }
    return rv;
}

size_t h3_pipe_w_room(h3_pipe *p)
{
    size_t room;

    pthread_mutex_lock(&p->lock);
    room = p->out_len < p->limit ? p->limit - p->out_len : 0;
    pthread_mutex_unlock(&p->lock);
    return room;
}

void h3_pipe_w_flush(h3_pipe *p)
{
    int news;

    pthread_mutex_lock(&p->lock);
    news = p->unrung > 0 || p->heads_first;
    p->unrung = 0;
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
    p->unrung++; /* rung by h3_pipe_w_leave or a flush */
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

void h3_pipe_w_leave(h3_pipe *p)
{
    pthread_mutex_lock(&p->lock);
    end_locked(p, NGHTTP3_H3_INTERNAL_ERROR);
    pthread_mutex_unlock(&p->lock);
    ring(p, RING_LEFT);
}

void h3_pipe_w_refilled(h3_pipe *p, h3_chunk *chunk)
{
    p->refill = chunk;
    ring(p, RING_REFILLED);
}

/* ---- I/O thread's side ---- */

int h3_pipe_io_recv(h3_pipe *p, const uint8_t *data, size_t len)
{
    h3_chunk *c;
    size_t n;
    int rv = 0;

    pthread_mutex_lock(&p->lock);
    p->in_len += len;
    c = p->in_last;
    if (c && c->len < c->cap) {
        n = c->cap - c->len < len ? c->cap - c->len : len;
        memcpy(c->data + c->len, data, n);
        c->len += n;
        data += n;
        len -= n;
    }
    if (len) {
        /* One datagram brings little more than 1,400 bytes; a chunk takes several. */
        c = h3_chunk_create(len > CHUNK_MAX / 4 ? len : c ? CHUNK_MAX : CHUNK_MAX / 4);
        if (c) {
            memcpy(c->data, data, len);
            c->len = len;
            if (p->in_last) {
                p->in_last = p->in_last->next = c;
            }
            else {
                p->in_first = p->in_last = c;
            }
        }
        else {
            p->in_len -= len;
            rv = -1;
        }
    }
    if (p->waiting) {
        pthread_cond_signal(&p->cond);
    }
    pthread_mutex_unlock(&p->lock);
    return rv;
}

void h3_pipe_io_recv_eof(h3_pipe *p)
{
    pthread_mutex_lock(&p->lock);
    p->in_eof = 1;
    if (p->waiting) {
        pthread_cond_signal(&p->cond);
    }
    pthread_mutex_unlock(&p->lock);
}

void h3_pipe_io_take(h3_pipe *p, h3_pipe_news *news)
{
    pthread_mutex_lock(&p->lock);
    news->heads = p->heads_first;
    p->heads_first = p->heads_last = NULL;
    news->pieces = p->out_first;
    p->out_first = p->out_last = NULL;
    news->consumed = p->consumed;
    p->consumed = 0;
    news->end = p->out_end;
    news->error = p->out_error;
    p->unrung = 0;
    pthread_mutex_unlock(&p->lock);
    news->left = (p->heard & RING_LEFT) != 0;
    news->refilled = (p->heard & RING_REFILLED) != 0;
    news->refill = NULL;
    if (news->refilled) {
        news->refill = p->refill;
        p->refill = NULL;
        p->heard &= ~RING_REFILLED;
    }
}

size_t h3_pipe_io_room(h3_pipe *p)
{
    return h3_pipe_w_room(p);
}

void h3_pipe_io_add(h3_pipe *p, size_t len)
{
    pthread_mutex_lock(&p->lock);
    p->out_len += len;
    pthread_mutex_unlock(&p->lock);
}

void h3_pipe_io_acked(h3_pipe *p, size_t len)
{
    pthread_mutex_lock(&p->lock);
    p->out_len -= len;
    /* Half-empty, so that a worker is not woken for every acknowledged packet. */
    if (p->waiting && p->out_len <= p->limit / 2) {
        pthread_cond_signal(&p->cond);
    }
    pthread_mutex_unlock(&p->lock);
}

size_t h3_pipe_io_abort(h3_pipe *p)
{
    size_t unread;
    h3_chunk *c;

    pthread_mutex_lock(&p->lock);
    p->aborted = 1;
    unread = p->in_len + p->consumed;
    p->in_len = p->consumed = 0;
    p->in_off = 0;
    while ((c = p->in_first)) {
        p->in_first = c->next;
        free(c);
    }
    p->in_last = NULL;
    pthread_cond_signal(&p->cond);
    pthread_mutex_unlock(&p->lock);
    return unread;
}
