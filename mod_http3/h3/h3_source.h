/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a response's body comes from for nghttp3: pieces that the pipe has brought, and bytes of
 * files that are read as they are wanted.
 *
 * Part of an h3_stream, on the I/O thread, but for its job, which reads from a disk on a worker.
 * nghttp3 and ngtcp2 keep no copy of what they are given: it stays in place until the client has
 * acknowledged it.
 */
#ifndef H3_SOURCE_H
#define H3_SOURCE_H

#include <sys/uio.h>
#include "border/h3_file.h"
#include "border/h3_pipe.h"
#include "border/h3_stats.h"
#include "border/h3_workers.h"

/* The first piece, while it is a span whose bytes are read. */
typedef enum {
    H3_SOURCE_IDLE,
    H3_SOURCE_ASKED, /* a worker reads: the piece, and `refill`, are its own */
    H3_SOURCE_FAILED /* it could not */
} h3_source_state;

typedef struct h3_source {
    h3_pipe *pipe;
    h3_workers *workers;
    h3_file_devices *devices;
    h3_stats *stats;
    h3_piece_list out;  /* not given yet */
    h3_chunk_list sent; /* given, not acknowledged */
    size_t acked;       /* bytes of the first of `sent` that are acknowledged */
    h3_source_state state;
    h3_chunk *refill; /* IDLE: what the worker has read, NULL: nothing */
    h3_job job;
} h3_source;

/* The pipe is the stream's, the rest its child's. */
void h3_source_init(h3_source *src, h3_pipe *pipe, h3_workers *workers, h3_file_devices *devices,
                    h3_stats *stats);

/* More of it, as the pipe's news have it: takes the pieces, and what a worker has read. */
void h3_source_add(h3_source *src, h3_pipe_news *news);

/* Has all been given? */
int h3_source_is_empty(const h3_source *src);

/*
 * The next bytes: number of vectors, at most `cnt`. 0: none now; more will be when a worker has
 * read, when bytes are acknowledged, or when the pipe brings some. -1: a file is shorter than it
 * was, or cannot be read.
 */
int h3_source_read(h3_source *src, struct iovec *vec, int cnt);

/* So many bytes are acknowledged, in order, and freed: the pipe has room for as many. */
void h3_source_acked(h3_source *src, size_t len);

/* Does a worker read? */
int h3_source_is_busy(const h3_source *src);
/* Calls that off, if no worker has begun. */
void h3_source_call_off(h3_source *src);

/* Nothing more will be asked for. Frees what has not been given, but for what a worker reads. */
void h3_source_drop(h3_source *src);
/* QUIC does not look at the bytes any more: frees what was given. */
void h3_source_drop_sent(h3_source *src);
/* Frees all; no worker reads. */
void h3_source_destroy(h3_source *src);

#endif /* H3_SOURCE_H */
