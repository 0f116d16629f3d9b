/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread border: one request's bytes between the I/O thread and the worker
 * that runs it.
 *
 * What crosses is bytes, file spans and finished heads. Body bytes go in
 * (client to handler), heads, bytes and spans go out. Both directions are
 * bounded: inwards by the flow-control window (credit is given back as the
 * worker reads), outwards by `limit`, which counts every byte from the worker's
 * write until the client has acknowledged it; spans count only what has been
 * read from them. A full pipe blocks its worker, an empty one only the nghttp3 stream.
 *
 * A pipe that has news for the I/O thread is put on its child's bell, once, and
 * the I/O thread takes all of them at a time.
 *
 * Functions are named for the thread that may call them: h3_pipe_io_* for the
 * I/O thread, h3_pipe_w_* for whoever runs the request (one thread at a time).
 * These and h3_worker hold the only locks between threads of a child.
 */
#ifndef H3_PIPE_H
#define H3_PIPE_H

#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <apr_errno.h>
#include <apr_time.h>
#include "h3_head.h"

/* ---- the bell ---- */

typedef struct h3_pipe h3_pipe;

typedef struct h3_bell {
    pthread_mutex_t lock;
    h3_pipe *first, *last; /* pipes with news, in order */
    int sleeping;          /* the I/O thread waits for fd */
    int fd;                /* eventfd, written when a ring finds it sleeping */
} h3_bell;

apr_status_t h3_bell_init(h3_bell *b);
void h3_bell_destroy(h3_bell *b);
/* Takes all that rang; follow ->taken_next. They may ring again meanwhile. I/O thread. */
h3_pipe *h3_bell_take(h3_bell *b);
/* I/O thread, before it waits for fd: 1, or 0 if something has rung meanwhile. */
int h3_bell_sleep(h3_bell *b);
/* Writes fd; safe in a signal handler. */
void h3_bell_wake(h3_bell *b);

/* ---- the pipe ---- */

/* A piece of memory on its way out; freed when acknowledged. */
typedef struct h3_chunk {
    struct h3_chunk *next;
    size_t len, cap; /* bytes filled, room */
    uint8_t data[];
} h3_chunk;

h3_chunk *h3_chunk_create(size_t cap);

/* A stretch of a file on its way out. The fd is the pipe's own (a dup). */
typedef struct h3_span {
    int fd;
    off_t offset; /* of the next byte to be read */
    off_t left;   /* bytes that are still to be read */
    dev_t dev;
} h3_span;

/* Bytes or a span, in the order of the response. */
typedef struct h3_piece {
    struct h3_piece *next;
    h3_chunk *chunk; /* or, if NULL, */
    h3_span span;
} h3_piece;

void h3_piece_destroy(h3_piece *piece); /* frees the chunk, closes the span */

/* A head on its way out. */
typedef struct h3_pipe_head {
    struct h3_pipe_head *next;
    h3_head *head;
} h3_pipe_head;

struct h3_pipe {
    pthread_mutex_t lock;
    pthread_cond_t cond; /* a worker waits: for body bytes, or for room */
    h3_bell *bell;
    h3_pipe *bell_next;  /* bell's lock */
    h3_pipe *taken_next; /* I/O thread: what h3_bell_take gave */
    int on_bell;         /* bell's lock */
    unsigned said;       /* bell's lock: RING_* since it was last taken */
    unsigned heard;      /* I/O thread: RING_* that it has taken */
    void *owner;         /* the I/O thread's stream */

    /* under lock: in */
    h3_chunk *in_first, *in_last;
    size_t in_off;   /* bytes of in_first that are read already */
    size_t in_len;   /* bytes waiting */
    size_t consumed; /* read and not yet given back as credit */
    int in_eof;      /* the body is complete, content-length checked */

    /* under lock: out */
    h3_pipe_head *heads_first, *heads_last;
    h3_piece *out_first, *out_last;
    size_t out_len;     /* bytes in memory, from write to acknowledgement */
    size_t unrung;      /* bytes written since the last ring */
    size_t limit;       /* of out_len */
    size_t credit_step; /* consumed bytes worth a ring */
    int out_end;        /* the worker's last byte is in */
    uint64_t out_error; /* with out_end: reset with this code instead of a FIN, 0: none */
    h3_chunk *refill;   /* what a worker has read of a span; passes with its ring */
    int waiting;        /* a worker waits on cond */
    int aborted;        /* the client or the connection is gone: reads and writes fail */
};

apr_status_t h3_pipe_init(h3_pipe *p, h3_bell *bell, void *owner, size_t limit, size_t credit_step);
/* Frees all that is still in it, closes spans. Nobody may use the pipe any more. */
void h3_pipe_destroy(h3_pipe *p);

/* ---- worker's side ---- */

/*
 * Reads at most *len body bytes. APR_SUCCESS with *len > 0; APR_EOF: the body is
 * complete; APR_EAGAIN: none now (block == 0); APR_TIMEUP: none within
 * `timeout`; APR_ECONNABORTED: reset by the client, or the connection is gone:
 * the body is not complete and never will be.
 */
apr_status_t h3_pipe_w_read(h3_pipe *p, char *buf, size_t *len, int block,
                            apr_interval_time_t timeout);

/* An interim or the final head; the pipe owns it from now on, also on failure. 1xx heads ring. */
apr_status_t h3_pipe_w_head(h3_pipe *p, h3_head *head);

/*
 * Writes all bytes (copies them), blocking while the pipe is full, at most
 * `timeout` without progress: APR_TIMEUP. APR_ECONNABORTED: the client has lost interest.
 */
apr_status_t h3_pipe_w_write(h3_pipe *p, const char *data, size_t len, apr_interval_time_t timeout);

/*
 * `len` > 0 bytes of file `fd` from `offset`. Duplicates the descriptor; does not
 * block. An errno as status if that fails (EMFILE, also when the spans of all pipes hold half of
 * the descriptors there are): the caller then reads and writes bytes.
 */
apr_status_t h3_pipe_w_file(h3_pipe *p, int fd, off_t offset, off_t len);

/* Bytes that can be written now without blocking. */
size_t h3_pipe_w_room(h3_pipe *p);

/* What was written shall leave now (a FLUSH bucket, a handler about to wait). */
void h3_pipe_w_flush(h3_pipe *p);

/*
 * The response is complete (error 0: FIN), or cannot be completed (error: the
 * HTTP/3 code for RESET_STREAM, never a FIN). Later calls change nothing. Does
 * not ring: h3_pipe_w_leave follows, or h3_pipe_w_flush where it may take long.
 */
void h3_pipe_w_end(h3_pipe *p, uint64_t error);

int h3_pipe_w_is_aborted(h3_pipe *p);

/*
 * httpd has run the request to its end and will not touch the pipe again; its
 * owner may now be finished at any moment. Rings. Ends the response with
 * H3_INTERNAL_ERROR if nobody has ended it.
 */
void h3_pipe_w_leave(h3_pipe *p);

/* The answer to a read of a span, chunk NULL if it failed. Rings. */
void h3_pipe_w_refilled(h3_pipe *p, h3_chunk *chunk);

/* ---- I/O thread's side ---- */

/* Body bytes of the client; copied. 0, or -1 without memory. */
int h3_pipe_io_recv(h3_pipe *p, const uint8_t *data, size_t len);
/* The body is complete, and as long as its content-length says. */
void h3_pipe_io_recv_eof(h3_pipe *p);

/* What a pipe on the bell has to tell. All of it is the caller's then. */
typedef struct h3_pipe_news {
    h3_pipe_head *heads;
    h3_piece *pieces;
    size_t consumed; /* body bytes to give back as flow-control credit */
    int end;         /* no more pieces will come */
    uint64_t error;  /* with end */
    int left;
    int refilled; /* `refill` is the answer to a read of a span */
    h3_chunk *refill;
} h3_pipe_news;

void h3_pipe_io_take(h3_pipe *p, h3_pipe_news *news);

/* Room for file bytes right now, and counting what was read into memory. */
size_t h3_pipe_io_room(h3_pipe *p);
void h3_pipe_io_add(h3_pipe *p, size_t len);
/* `len` bytes were acknowledged (or given up) and are freed. Wakes a worker that waits for room. */
void h3_pipe_io_acked(h3_pipe *p, size_t len);

/*
 * The client has reset the stream, or the connection is gone: what the worker
 * reads and writes fails from now on. Returns the body bytes that nobody has
 * read, which are still to be given back as credit of the connection. Idempotent.
 */
size_t h3_pipe_io_abort(h3_pipe *p);

#endif /* H3_PIPE_H */
