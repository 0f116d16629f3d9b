/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request: its head as it arrives, the states of its two sides, and the I/O thread's end of its
 * pipe.
 *
 * A stream belongs to the I/O thread, but for the jobs in it, which run on workers: the request
 * itself, reads of a file, and the finish, which frees it. It may outlive its session while httpd
 * still runs its request.
 *
 * It knows neither library: h3_recv and h3_send tell it what has happened, and ask it what is to
 * be done.
 */
#ifndef H3_STREAM_H
#define H3_STREAM_H

#include <stdint.h>
#include <sys/uio.h>
#include "httpd.h"
#include "border/h3_file.h"
#include "border/h3_pipe.h"
#include "border/h3_stats.h"
#include "border/h3_workers.h"
#include "h3/h3_window.h"

struct h3_connrec;
struct h3_session;

/* What all streams of one child share. */
typedef struct h3_stream_env {
    server_rec *server; /* for logs */
    h3_workers *workers;
    h3_bell bell;
    h3_budget budget;         /* for responses */
    h3_budget windows_budget; /* for the growth of receive windows */
    struct h3_stream *fed;    /* bodies have got bytes or their end in this turn */
    h3_stats *stats;
    unsigned running;     /* streams in httpd's hands, orphans included */
    unsigned max_waiting; /* requests that no worker has taken yet */
    h3_file_devices devices;
} h3_stream_env;

typedef struct h3_stream h3_stream;

/* What it has of its connection's memory, and of its windows: h3_share's. */
typedef struct h3_stream_share {
    int counts;   /* it is one of those that are being answered */
    size_t extra; /* response bytes that it may hold, beyond what each may */
    h3_window window;
} h3_stream_share;

/* NULL: no memory. `limits` gives LimitRequest*, `limit` bounds response bytes in memory. */
h3_stream *h3_stream_create(h3_stream_env *env, struct h3_session *session, int64_t id,
                            server_rec *limits, size_t limit, size_t credit_step, uint64_t now);

int64_t h3_stream_id(const h3_stream *s);

/* NULL: gone, with the connection. */
struct h3_session *h3_stream_session(const h3_stream *s);
void h3_stream_lose_session(h3_stream *s);

/* The lists of a session; a stream is in one at most. */
void h3_stream_link(h3_stream **list, h3_stream *s);
void h3_stream_unlink(h3_stream **list, h3_stream *s);
h3_stream *h3_stream_next(const h3_stream *s);

h3_stream_share *h3_stream_share_of(h3_stream *s);

/* The client has made a step, and how many nanoseconds ago it made the last one. */
void h3_stream_step(h3_stream *s, uint64_t now);
uint64_t h3_stream_waited(const h3_stream *s, uint64_t now);

/* ---- the request ---- */

/* Of its head: as h3_fields_feed() and h3_fields_is_excessive(). */
size_t h3_stream_feed(h3_stream *s, const uint8_t *data, size_t len);
int h3_stream_is_excessive(const h3_stream *s);

/* As h3_fields_add(). A head that is complete, or has been refused, takes no more. */
int h3_stream_field(h3_stream *s, int pseudo, const char *name, size_t name_len, const char *value,
                    size_t value_len);

/*
 * The head is complete. `fin`: so is the request. 1: it can be run. 0: not yet, as it awaits its
 * end; or it has been refused meanwhile.
 */
int h3_stream_end_head(h3_stream *s, int fin);

/* The head will not be complete, the status is the answer. */
void h3_stream_refuse_head(h3_stream *s, int status);

/* Has its head not been handed to httpd? */
int h3_stream_is_in_head(const h3_stream *s);
int h3_stream_awaits_end(const h3_stream *s);

/* May another request wait for a worker? What it holds until then is its head, and a window. */
int h3_stream_may_run(const h3_stream *s);

/* Hands the request to httpd. The stream takes the connrec reference. */
void h3_stream_run(h3_stream *s, struct h3_connrec *cr, int no_body);

/*
 * Bytes of the body; copied. 1: they are for httpd, credit follows when it has read them; 0: nobody
 * will read them; -1: no memory.
 */
int h3_stream_recv(h3_stream *s, const uint8_t *data, size_t len);
/* The body is complete. 1: which is news to httpd. */
int h3_stream_recv_fin(h3_stream *s);

/* Wakes the workers that wait for what has come, once per turn. */
void h3_stream_wake_fed(h3_stream_env *env);

/* By content-length, -1: unknown; and as much of it as went to httpd. */
int64_t h3_stream_body_length(const h3_stream *s);
uint64_t h3_stream_body_received(const h3_stream *s);

/* No more of it goes to httpd. 1: from now on; 0: it was so already. */
int h3_stream_end_request(h3_stream *s);
int h3_stream_is_request_over(const h3_stream *s);

/* Nobody waits for it any more: it does not count as a request of the connection. */
void h3_stream_give_up(h3_stream *s);
int h3_stream_is_given_up(const h3_stream *s);

/* ---- the response ---- */

/* The stream whose pipe has rung: of an entry that h3_bell_take gave. */
h3_stream *h3_stream_of(h3_bell_entry *entry);

/*
 * News of the worker: takes the pieces; credit, then heads, then the end are for the caller. `left`
 * is told again each time.
 */
void h3_stream_take(h3_stream *s, h3_pipe_news *news);

/* nghttp3 has its final head. */
void h3_stream_head_sent(h3_stream *s);
/* httpd has said all of it; `error`: it is broken. Without a head it is so in any case. */
void h3_stream_end_response(h3_stream *s, uint64_t error);
/* It cannot be completed: an error of RFC 9114 section 8.1. */
void h3_stream_break(h3_stream *s, uint64_t error);

/* A new bound of response bytes in memory; returns it, not less than what is there. */
size_t h3_stream_set_limit(h3_stream *s, size_t limit);

/* Before its final head, which may be sent now. */
int h3_stream_takes_head(const h3_stream *s);
/* Between its final head and its FIN or reset. */
int h3_stream_is_open(const h3_stream *s);
/* Nothing more is sent of it. */
int h3_stream_is_cut(const h3_stream *s);
/* Pieces that nghttp3 has not got. */
int h3_stream_has_more(const h3_stream *s);
/* The error with which it is to be reset, 0: none. */
uint64_t h3_stream_error(const h3_stream *s);

/*
 * Response bytes for nghttp3: number of vectors, 0 with *eof, or -1: none now, h3_stream_error()
 * says whether ever. They stay where they are until h3_stream_acked.
 */
int h3_stream_read(h3_stream *s, struct iovec *vec, int cnt, int *eof);
/* So many bytes of the body are acknowledged, in order, and freed. */
void h3_stream_acked(h3_stream *s, size_t len);

/* So many bytes went into packets, frames and all, repetitions left out; `end`: and FIN. */
void h3_stream_sent(h3_stream *s, size_t len, int end);
/* So many of them have arrived. */
void h3_stream_arrived(h3_stream *s, size_t len);

/* ---- the end ---- */

/* httpd has left it. Returns credit to give back, for what of the body it has not read. */
size_t h3_stream_left(h3_stream *s);
int h3_stream_is_left(const h3_stream *s);

/* httpd has left it, and the client has all of the response. */
int h3_stream_is_answered(const h3_stream *s);

/*
 * The client does not want the response, or will not send the rest of its request: nothing more is
 * sent. Returns credit to give back.
 */
size_t h3_stream_abort(h3_stream *s);

/*
 * QUIC has closed it (or the connection is gone: then it has lost its session before). Frees it, or
 * leaves that to the worker. 1: gone; 0: an orphan, that will ring once more.
 */
int h3_stream_closed(h3_stream *s);

int h3_stream_is_orphan(const h3_stream *s);

/* News of an orphan. 1: they were the last, it is gone. */
int h3_stream_orphan_take(h3_stream *s);

#endif /* H3_STREAM_H */
