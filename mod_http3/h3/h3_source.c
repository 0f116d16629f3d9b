/* SPDX-License-Identifier: Apache-2.0 */
#include "h3/h3_source.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static int read_span(h3_source *src, h3_span *span);
static int accept_read(h3_source *src, h3_span *span, h3_chunk *c);
static void ask_worker(h3_source *src, h3_chunk *c);
static void run_read(h3_job *job, h3_worker *w);

void h3_source_init(h3_source *src, h3_pipe *pipe, h3_workers *workers, h3_file_devices *devices,
                    h3_stats *stats)
{
    memset(src, 0, sizeof(*src));
    src->pipe = pipe;
    src->workers = workers;
    src->devices = devices;
    src->stats = stats;
    src->job.run = run_read;
}

void h3_source_add(h3_source *src, h3_pipe_news *news)
{
    h3_piece_append_list(&src->out, &news->pieces);
    if (news->refilled) {
        src->refill = news->refill;
        src->state = news->refill ? H3_SOURCE_IDLE : H3_SOURCE_FAILED;
        news->refill = NULL;
    }
}

int h3_source_is_empty(const h3_source *src)
{
    return src->out.first == NULL;
}

int h3_source_read(h3_source *src, struct iovec *vec, int cnt)
{
    h3_piece *piece;
    int n = 0, rv;

    while (n < cnt && (piece = src->out.first)) {
        if (piece->chunk) {
            h3_chunk_append(&src->sent, h3_piece_pop_chunk(&src->out));
        }
        else if (n > 0) {
            break; /* what is there goes first; one read of a file at a time */
        }
        else {
            rv = read_span(src, &piece->span);
            if (rv <= 0) {
                return rv;
            }
            if (piece->span.left == 0) {
                h3_piece_destroy(h3_piece_pop(&src->out));
            }
        }
        vec[n].iov_base = src->sent.last->data;
        vec[n++].iov_len = src->sent.last->len;
    }
    return n;
}

/* Bytes of a file into a new chunk at the end of `sent`: 1; 0, -1 as h3_source_read. */
static int read_span(h3_source *src, h3_span *span)
{
    size_t want;
    h3_chunk *c;

    if (src->state != H3_SOURCE_IDLE) {
        return src->state == H3_SOURCE_ASKED ? 0 : -1;
    }
    if ((c = src->refill)) {
        src->refill = NULL;
        return accept_read(src, span, c);
    }
    want = h3_file_want(span, h3_pipe_io_room(src->pipe), src->sent.first != NULL);
    if (!want || !h3_pipe_io_reserve(src->pipe, want)) {
        return 0; /* asked again when bytes are acknowledged, or at the next tick */
    }
    if (!(c = h3_chunk_create(want))) {
        return -1;
    }
    switch (h3_file_read(src->devices, span, c)) {
    case H3_FILE_DONE:
        return accept_read(src, span, c);
    case H3_FILE_WAITS:
        ask_worker(src, c);
        return 0;
    default:
        free(c);
        return -1;
    }
}

/* A chunk that was read from the first span goes before what is left of the span. */
static int accept_read(h3_source *src, h3_span *span, h3_chunk *c)
{
    h3_span_advance(span, c->len);
    if (c->len < c->cap) {
        h3_pipe_io_unreserve(src->pipe, c->cap - c->len);
    }
    h3_chunk_append(&src->sent, c);
    return 1;
}

static void ask_worker(h3_source *src, h3_chunk *c)
{
    src->state = H3_SOURCE_ASKED;
    src->refill = c;
    H3_STATS_ADD(src->stats, file_refills, 1);
    h3_workers_push(src->workers, &src->job, H3_JOB_READ);
}

static void run_read(h3_job *job, h3_worker *w)
{
    h3_source *src = (h3_source *)((char *)job - offsetof(h3_source, job));
    h3_chunk *c = src->refill;

    (void)w;
    if (h3_file_read_waiting(&src->out.first->span, c) != H3_FILE_DONE) {
        free(c);
        c = NULL;
    }
    h3_pipe_w_refilled(src->pipe, c);
}

void h3_source_acked(h3_source *src, size_t len)
{
    h3_chunk *c;

    src->acked += len;
    while ((c = src->sent.first) && src->acked >= c->len) {
        src->acked -= c->len;
        h3_chunk_pop(&src->sent);
        h3_pipe_io_acked(src->pipe, c->len);
        free(c);
    }
}

int h3_source_is_busy(const h3_source *src)
{
    return src->state == H3_SOURCE_ASKED;
}

void h3_source_call_off(h3_source *src)
{
    if (h3_source_is_busy(src) && h3_workers_cancel(src->workers, &src->job)) {
        src->state = H3_SOURCE_IDLE;
    }
}

void h3_source_drop(h3_source *src)
{
    h3_piece_list dropped = src->out;

    memset(&src->out, 0, sizeof(src->out));
    if (h3_source_is_busy(src)) {
        src->out.first = src->out.last = h3_piece_pop(&dropped);
        src->out.first->next = NULL;
    }
    h3_piece_clear(&dropped);
}

void h3_source_drop_sent(h3_source *src)
{
    h3_chunk_clear(&src->sent);
}

void h3_source_destroy(h3_source *src)
{
    free(src->refill);
    src->refill = NULL;
    h3_source_drop_sent(src);
    h3_source_drop(src);
}
