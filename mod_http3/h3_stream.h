/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request: its head as it arrives, its state, and the I/O thread's end of
 * its pipe.
 *
 * A stream belongs to the I/O thread, but for the jobs in it, which run on
 * workers: the request itself, reads of a file, and the finish, which frees it.
 * It may outlive its session while httpd still runs its request (ORPHAN).
 */
#ifndef H3_STREAM_H
#define H3_STREAM_H

#include <stdint.h>
#include "h3_pipe.h"
#include "h3_request.h"
#include "h3_worker.h"
#include "quic_stats.h"

typedef enum {
    H3_STREAM_HEAD,    /* its head is arriving */
    H3_STREAM_RUNNING, /* httpd has it */
    H3_STREAM_SENDING, /* httpd has left it; its response is on the way */
    H3_STREAM_ORPHAN,  /* QUIC has closed it, httpd has not left it */
    H3_STREAM_DONE     /* with the finish job; not the I/O thread's any more */
} h3_stream_state;

/* How files of one device are read by the I/O thread. */
typedef enum {
    H3_FILE_NOWAIT, /* RWF_NOWAIT works: what is in the page cache */
    H3_FILE_MEMORY, /* tmpfs: a plain read never waits */
    H3_FILE_WORKER  /* neither (overlayfs ...): a worker reads */
} h3_file_mode;

#define H3_DEVICES 16

/* What all streams of one child share. */
typedef struct h3_stream_env {
    server_rec *server; /* for logs */
    h3_workers *workers;
    h3_bell bell;
    quic_stats *stats;
    unsigned running; /* streams in httpd's hands, orphans included */
    struct {
        dev_t dev;
        h3_file_mode mode;
    } devices[H3_DEVICES];
    int ndevices;
} h3_stream_env;

typedef struct h3_stream {
    h3_stream_env *env;
    void *session;                 /* h3_session, NULL when it is gone */
    struct h3_stream *next, *prev; /* the session's list */
    int64_t id;
    h3_stream_state state;
    h3_job job; /* request, then finish */
    h3_job refill_job;
    h3_pipe pipe;
    h3_txn txn;
    uint64_t waits_since; /* nanoseconds: the client's last step, for Timeout */

    /* Head, while it arrives. */
    server_rec *limits; /* whose LimitRequest* count */
    size_t field_bytes; /* names and values seen, kept or not */
    unsigned nfields;

    /* Response. */
    h3_piece *out_first, *out_last;   /* not yet given to nghttp3 */
    h3_chunk *sent_first, *sent_last; /* given, not acknowledged */
    size_t acked;                     /* bytes of sent_first that are acknowledged */
    h3_chunk *refill_chunk;           /* on its way to a worker */
    unsigned head_sent : 1, out_end : 1, refilling : 1, body_done : 1, file_failed : 1,
        httpd_left : 1, given_up : 1;
    uint64_t out_error;
} h3_stream;

/* NULL: no memory. `limits` gives LimitRequest*, `limit` bounds response bytes in memory. */
h3_stream *h3_stream_create(h3_stream_env *env, void *session, int64_t id, server_rec *limits,
                            size_t limit, size_t credit_step, uint64_t now);

/*
 * A field of the head; `pseudo` is H3_HEAD_* or -1. Limits are noted in the
 * head's status, what is beyond them is not kept. 0; -1: no memory; -2: far
 * beyond the limits, the client is up to no good.
 */
int h3_stream_field(h3_stream *s, int pseudo, const char *name, size_t name_len, const char *value,
                    size_t value_len);

/* The head is complete: hands the request to httpd. The stream takes the connrec reference. */
void h3_stream_run(h3_stream *s, h3_connrec *cr, int no_body);

/* News of the worker: takes the pieces; credit, heads and the rest are for the caller. */
void h3_stream_take(h3_stream *s, h3_pipe_news *news);

/* Response bytes for nghttp3: number of vectors, 0 with *eof, or -1: none now. */
int h3_stream_read(h3_stream *s, struct iovec *vec, int cnt, int *eof);
void h3_stream_acked(h3_stream *s, size_t len);

/*
 * The client does not want the response, or will not send the rest of its request. Returns credit
 * to give back.
 */
size_t h3_stream_abort(h3_stream *s);

/*
 * QUIC has closed it (or the connection is gone: then `session` is cleared
 * before). Frees it, or leaves that to the worker. 1: gone; 0: an orphan, that will ring once more.
 */
int h3_stream_closed(h3_stream *s);

/* An orphan's last news have come: finishes it. 1: gone. */
int h3_stream_left(h3_stream *s);

#endif /* H3_STREAM_H */
