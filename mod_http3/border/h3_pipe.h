/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread border: one request's bytes between the I/O thread and the worker that runs it.
 *
 * What crosses is bytes, spans of files and finished heads. Inwards, from the client to the
 * handler, goes the body. Outwards go heads, and pieces of the response in its order. Each
 * direction has an end: the body is complete; the response is complete, or is to be reset.
 *
 * Empty: a worker that reads blocks until there are body bytes, or their end. The I/O thread never
 * blocks: it is told by its bell (h3_bell), on which a pipe stands once, that there is news.
 *
 * Full: inwards the client's flow-control window is the limit; what a worker has read is given back
 * as credit, in steps. Outwards `limit` and the child's budget bound the bytes in memory, each of
 * which counts from the worker's write until the client has acknowledged it; a worker that writes
 * more blocks until half of them are gone. A span takes no room, only what is read from it does:
 * h3_pipe_io_reserve.
 *
 * Broken: when the client does not want the response any more, or the connection is gone, the pipe
 * is aborted, and all that its worker reads or writes fails.
 *
 * Not every write rings. Small ones wait until they are many, until the worker has to wait or says
 * that they shall leave (h3_pipe_w_flush, h3_pipe_w_pass), or until it ends.
 *
 * A function is named for the thread that calls it: h3_pipe_io_* are for the I/O thread,
 * h3_pipe_w_* for the one that runs the request, one at a time; none of them calls the other kind.
 * The pipe is embedded in what the I/O thread has of the request, and lives until httpd has left it
 * (h3_pipe_w_leave) and the I/O thread has heard that. Its lock is held while bytes are copied, at
 * most, and no other of ours is taken meanwhile.
 */
#ifndef H3_PIPE_H
#define H3_PIPE_H

#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <sys/types.h>
#include <apr_errno.h>
#include <apr_time.h>
#include "border/h3_bell.h"
#include "border/h3_budget.h"
#include "border/h3_chunk.h"
#include "border/h3_head.h"
#include "border/h3_piece.h"

/* A head on its way out. */
typedef struct h3_pipe_head {
    struct h3_pipe_head *next;
    h3_head *head;
} h3_pipe_head;

typedef struct h3_pipe {
    h3_bell *bell;
    h3_budget *budget;
    h3_bell_entry entry;
    size_t credit_step; /* consumed bytes worth a ring */
    pthread_mutex_t lock;
    pthread_cond_t cond; /* a worker waits: for body bytes, or for room */

    /* the worker's: what it has taken of `in` and not read yet */
    h3_chunk_list reading;
    size_t reading_off; /* bytes of the first chunk that are read already */

    /* under lock: in */
    h3_chunk_list in;
    size_t in_len;       /* bytes waiting, those in `reading` too */
    size_t consumed;     /* read and not yet given back as credit */
    int in_begun;        /* it has had a chunk: those that follow are large */
    int in_eof;          /* the body is complete, content-length checked */
    h3_chunk_list spare; /* emptied ones, for the bytes that come next */
    unsigned nspare;

    /* under lock: out */
    h3_pipe_head *heads_first, *heads_last;
    h3_piece_list out;
    size_t limit;       /* of out_len */
    size_t out_len;     /* bytes in memory, from write to acknowledgement; taken from the budget */
    uint64_t out_owed;  /* bytes of these and of spans that are not acknowledged */
    int must_ring;      /* something was written since the last ring, heads aside */
    size_t unrung;      /* bytes of that in memory */
    int is_idle;        /* the I/O thread has sent all that it was told of */
    int out_end;        /* the worker's last byte is in */
    uint64_t out_error; /* with out_end: reset with this code instead of a FIN, 0: none */
    int waiting;        /* a worker waits on cond */
    int aborted;        /* the client or the connection is gone: reads and writes fail */
    int parked;         /* httpd has left it, and it counts as parked (h3_descriptors) */

    h3_chunk *refill; /* what a worker has read of a span; passes with its ring */
} h3_pipe;

/*
 * `limit` and `credit_step` in bytes; `bell` and `budget` are the child's. An errno without
 * resources: nothing is to be destroyed.
 */
apr_status_t h3_pipe_init(h3_pipe *p, h3_bell *bell, h3_budget *budget, size_t limit,
                          size_t credit_step);

/* Frees all that is still in it, closes spans. Nobody may use the pipe any more. */
void h3_pipe_destroy(h3_pipe *p);

/* The pipe that has rung: of an entry that h3_bell_take gave. */
h3_pipe *h3_pipe_of(h3_bell_entry *entry);

/* ---- worker's side ---- */

/*
 * Reads at most *len body bytes. APR_SUCCESS with *len > 0. Otherwise *len is 0, and APR_EOF: the
 * body is complete; APR_EAGAIN: none now (block == 0); APR_TIMEUP: none within `timeout`;
 * APR_ECONNABORTED: aborted, the body is not complete and never will be.
 */
apr_status_t h3_pipe_w_read(h3_pipe *p, char *buf, size_t *len, int block,
                            apr_interval_time_t timeout);

/*
 * An interim or the final head; the pipe owns it from now on, also on failure. 1xx heads ring.
 * APR_ECONNABORTED: aborted, or ended; APR_ENOMEM.
 */
apr_status_t h3_pipe_w_head(h3_pipe *p, h3_head *head);

/*
 * Writes all bytes (copies them), blocking while the pipe is full, at most `timeout` without
 * progress: APR_TIMEUP. APR_ECONNABORTED: aborted, or ended; APR_ENOMEM. On failure some of them
 * may have been written.
 */
apr_status_t h3_pipe_w_write(h3_pipe *p, const char *data, size_t len, apr_interval_time_t timeout);

/*
 * `len` > 0 bytes of file `fd` from `offset`, of which it keeps a copy. Does not block. As
 * h3_pipe_w_write, or an errno where the descriptor cannot be copied (EMFILE, also beyond the share
 * of h3_descriptors): the caller then reads the file and writes bytes.
 */
apr_status_t h3_pipe_w_file(h3_pipe *p, int fd, off_t offset, off_t len);

/* Bytes that can be written now without blocking. */
size_t h3_pipe_w_room(h3_pipe *p);

/* What was written shall leave now (a FLUSH bucket, a handler about to wait). */
void h3_pipe_w_flush(h3_pipe *p);

/*
 * A handler has passed on what it had, and may or may not wait now: rings if the I/O thread has
 * nothing else of this pipe to send. While it has, it will look for more by itself.
 */
void h3_pipe_w_pass(h3_pipe *p);

/*
 * The response is complete (error 0: FIN), or cannot be completed (error: the HTTP/3 code for
 * RESET_STREAM, never a FIN). Later calls change nothing. Does not ring: h3_pipe_w_leave follows,
 * or h3_pipe_w_flush where that may take long.
 */
void h3_pipe_w_end(h3_pipe *p, uint64_t error);

int h3_pipe_w_is_aborted(h3_pipe *p);

/*
 * The response has been ended, and what it holds open will be until its client has it all. Returns
 * at once if it may be parked (h3_descriptors_may_park); else as soon as it may, the client has all
 * bytes or has left, or has taken none for `timeout`.
 */
void h3_pipe_w_settle(h3_pipe *p, apr_interval_time_t timeout);

/*
 * httpd has run the request to its end and will not touch the pipe again: the I/O thread may finish
 * it at any moment from now on. Rings. Ends the response with H3_INTERNAL_ERROR if nobody has
 * ended it.
 */
void h3_pipe_w_leave(h3_pipe *p);

/* The answer to a read of a span, by whichever worker did it; NULL: it failed. Rings. */
void h3_pipe_w_refilled(h3_pipe *p, h3_chunk *chunk);

/* ---- I/O thread's side ---- */

/*
 * Body bytes of the client; copied. 0, or -1 without memory: some of them are in then. Neither this
 * nor the end wakes the worker: h3_pipe_io_wake follows, once for all that has come in a turn.
 */
int h3_pipe_io_recv(h3_pipe *p, const uint8_t *data, size_t len);

/* The body is complete, and has the length that its content-length says. */
void h3_pipe_io_recv_eof(h3_pipe *p);
void h3_pipe_io_wake(h3_pipe *p);

/* What a pipe that has rung has to tell. All of it is the caller's then. */
typedef struct h3_pipe_news {
    h3_pipe_head *heads;
    h3_piece_list pieces;
    size_t consumed; /* body bytes to give back as flow-control credit */
    int end;         /* no more pieces will come */
    uint64_t error;  /* with end */
    int left;        /* h3_pipe_w_leave: no worker will touch the pipe again. Told each time */
    int refilled;    /* `refill` is the answer to a read of a span */
    h3_chunk *refill;
} h3_pipe_news;

/* `left` and `refilled` need the ring that says so; all else is as it is now. */
void h3_pipe_io_take(h3_pipe *p, h3_pipe_news *news);

/* Frees what nobody wants of the news. */
void h3_pipe_io_drop(h3_pipe_news *news);

/* All that was taken is sent: the next write is to ring. Rings itself if there is more already. */
void h3_pipe_io_idle(h3_pipe *p);

/* Room for file bytes right now. */
size_t h3_pipe_io_room(h3_pipe *p);
/*
 * Memory for `len` bytes of a file: 1, they count from now on; 0: the budget has none. What is then
 * not needed is given back.
 */
int h3_pipe_io_reserve(h3_pipe *p, size_t len);
void h3_pipe_io_unreserve(h3_pipe *p, size_t len);

/*
 * A new limit; what is in memory stays. Returns the one that it is then: not below that. Wakes a
 * worker that has room now.
 */
size_t h3_pipe_io_limit(h3_pipe *p, size_t limit);

/* `len` bytes were acknowledged (or given up) and are freed. Wakes a worker that waits for room. */
void h3_pipe_io_acked(h3_pipe *p, size_t len);

/*
 * The client has reset the stream, or the connection is gone: what the worker reads and writes
 * fails from now on. Returns the body bytes that nobody has read or credited, which are still to be
 * given back: as the connection's credit, and the stream's where more of it is received.
 * Idempotent.
 */
size_t h3_pipe_io_abort(h3_pipe *p);

#endif /* H3_PIPE_H */
