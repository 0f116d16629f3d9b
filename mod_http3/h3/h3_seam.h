/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam between QUIC and HTTP/3: what a session consists of, and the verbs that act on both
 * libraries at once.
 *
 * Runs on the I/O thread. h3_recv, h3_send and h3_session share what is here; the struct is nobody
 * else's.
 *
 * Errors are sticky: a verb that fails leaves its reason in the connection's ccerr, and the session
 * has failed from then on. Within a callback h3_seam_result() or h3_seam_http3_result() reports
 * it; outside of one the connection is closed when it is next about to send, which it is made to
 * be. So the verbs themselves return nothing, and no session ends under its caller's feet.
 */
#ifndef H3_SEAM_H
#define H3_SEAM_H

#include <nghttp3/nghttp3.h>
#include "border/h3_error.h"
#include "conf/h3_config.h"
#include "h3/h3_rest.h"
#include "h3/h3_share.h"
#include "h3/h3_stream.h"
#include "httpd/h3_connrec.h"
#include "quic/quic_conn.h"

/* In the order of life. */
typedef enum {
    H3_SEAM_NEW, /* no request has begun */
    H3_SEAM_OPEN,
    H3_SEAM_NOTICED, /* GOAWAY with the largest id is sent: the end is near */
    H3_SEAM_GOAWAY   /* GOAWAY with the last id is sent: later requests are rejected */
} h3_seam_state;

/* Vectors of one offer: a DATA frame's head and a piece or two are usual. */
#define H3_SEAM_OFFER_VECS 16

/*
 * What nghttp3 has offered to send on one stream. One offer fills many packets of a batch; nghttp3
 * hears at its end, or at the end of the batch, how much of it went. It is h3_send's.
 */
typedef struct h3_seam_offer {
    int64_t stream_id; /* -1: none */
    int fin;
    nghttp3_vec vec[H3_SEAM_OFFER_VECS];
    size_t first, end; /* what is left of vec */
    size_t taken;      /* bytes that went into packets */
    int touched;       /* some, or an empty FIN, did */
} h3_seam_offer;

typedef struct h3_session {
    quic_conn *conn;
    ngtcp2_conn *nc; /* conn's, for short */
    nghttp3_conn *h3;
    h3_stream_env *env;
    const h3_config *conf; /* of the virtual host named in the handshake */
    h3_connrec *connrec;   /* for requests from the present address; NULL: to be made */
    h3_stream *streams;
    h3_stream *orphans; /* closed, still in httpd's hands: they count as streams of the client */
    h3_rest_list rests;
    h3_stream *broken; /* its file could not be read; found out from within nghttp3 */
    h3_seam_offer offer;
    h3_seam_state state;
    int failed; /* the reason is in conn->ccerr */
    uint64_t state_since;
    uint64_t idle_since;           /* nanoseconds; as far as session_tick has seen */
    uint64_t bytes_in, payload_in; /* for the ratio of useless bytes */
    h3_share share;
} h3_session;

/*
 * A line about a stream of the session, at an APLOG_ level; the rest as QUIC_LOG's, whose prefix it
 * has before its own.
 */
#define H3_SEAM_LOG(ss, id, level, status, fmt, ...)                               \
    QUIC_LOG(&(ss)->conn->log, level, status, "stream %" APR_INT64_T_FMT ": " fmt, \
             (apr_int64_t)(id), ##__VA_ARGS__)

/* ---- the session ---- */

/* Nanoseconds of CLOCK_MONOTONIC, as of this turn of the loop. */
uint64_t h3_seam_now(const h3_session *ss);

/* httpd's Timeout in nanoseconds: how long a client may stay without a step. */
uint64_t h3_seam_patience(const h3_session *ss);

/* The one setter of the state; forward only. */
void h3_seam_enter(h3_session *ss, h3_seam_state state);

/*
 * The connection is to be closed with `error` (RFC 9114 section 8.1); `why` is for the log. The
 * first reason counts.
 */
void h3_seam_fail(h3_session *ss, uint64_t error, const char *why);
/* The same if `rv`, a library's return value, is negative. Returns 0, or -1 if it is. */
int h3_seam_check_http3(h3_session *ss, nghttp3_ssize rv);
int h3_seam_check_quic(h3_session *ss, ngtcp2_ssize rv);

/* What a function of quic_app_ops returns: 0, or -1 when the session has failed. */
int h3_seam_result(const h3_session *ss);
/* What a callback of nghttp3 returns: 0, or NGHTTP3_ERR_CALLBACK_FAILURE. */
int h3_seam_http3_result(const h3_session *ss);

void h3_seam_wants_write(h3_session *ss);

/*
 * While requests are under way a handler may be silent for longer than the idle timeout: PING then,
 * so that the connection is there for its response (RFC 9000 section 10.1.2). An idle connection is
 * not kept alive by us.
 */
void h3_seam_keep_alive(h3_session *ss, int on);

/* ---- its streams ---- */

/* NULL: none, or not any more. */
h3_stream *h3_seam_stream(const h3_session *ss, int64_t stream_id);

/* It is none of the session's streams any more: out of the list. */
void h3_seam_forget(h3_session *ss, h3_stream *s);

/* ---- flow control ---- */

/* The client may send `n` more bytes: on the stream and in all (RFC 9000 section 4.1). */
void h3_seam_credit(h3_session *ss, int64_t stream_id, uint64_t n);
/* In all only: the stream takes no more. */
void h3_seam_conn_credit(h3_session *ss, uint64_t n);
/* The client may open one more request stream (RFC 9000 section 4.6). */
void h3_seam_stream_credit(h3_session *ss);

/* ---- breaking off ---- */

/* RESET_STREAM from us: nothing more is sent on the stream. */
void h3_seam_reset(h3_session *ss, int64_t stream_id, uint64_t error);

/* STOP_SENDING from us, for what has not come yet of the request. RFC 9114 section 4.1 */
void h3_seam_stop_reading(h3_session *ss, h3_stream *s, uint64_t error);

/* httpd does not want the rest of the body: it becomes a rest, or is stopped. */
void h3_seam_begin_rest(h3_session *ss, h3_stream *s);
void h3_seam_stop_rest(h3_session *ss, h3_rest *rest, uint64_t error);

/* The worker's reads and writes fail from now on; what it has not read is given back as credit. */
void h3_seam_abort(h3_session *ss, h3_stream *s);

/* All three of them: the request is stopped, its response reset, its worker told. */
void h3_seam_cancel(h3_session *ss, h3_stream *s, uint64_t stop_error, uint64_t reset_error);

/* The same for a request that is not waited for any more: `why` is for the log. */
void h3_seam_give_up(h3_session *ss, h3_stream *s, uint64_t error, const char *why);

/*
 * If the client has the whole response and is still sending: the request ends before its stream.
 * `s` may be gone afterwards.
 */
void h3_seam_let_go_if_answered(h3_session *ss, h3_stream *s);

#endif /* H3_SEAM_H */
