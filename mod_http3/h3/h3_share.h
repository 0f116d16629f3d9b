/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the streams of one connection may hold, of a response and of a request's body, as the path
 * asks for it.
 *
 * Outwards: a stream has a little from the start. What the connection's congestion window is worth
 * beyond that is divided among those that are being answered, within H3StreamMaxMemSize each and
 * H3ConnMaxMemSize together. Inwards: windows grow when handlers read as fast as their clients send
 * (h3_window), up to H3WindowSize and H3ConnWindowSize. The child has a budget for either.
 *
 * Part of a session, on the I/O thread.
 */
#ifndef H3_SHARE_H
#define H3_SHARE_H

#include "border/h3_budget.h"
#include "conf/h3_config.h"
#include "h3/h3_stream.h"
#include "quic/quic_conn.h"
#include "quic/quic_limits.h"

typedef struct h3_share {
    const h3_config *conf;
    quic_conn *conn;
    h3_budget *windows_budget;
    h3_window window;   /* what the client may send */
    size_t window_held; /* taken from windows_budget for its growth */
    unsigned senders;   /* streams that are being answered */
    size_t send_extra;  /* what all of them have of `extra` */
} h3_share;

/* What a client is granted in the handshake: `window` and `conn_window`. */
void h3_share_limits(quic_limits *limits, const h3_config *conf);

/* The session begins, and ends. */
void h3_share_open(h3_share *sh, const h3_config *conf, quic_conn *conn, h3_budget *windows_budget);
void h3_share_close(h3_share *sh);

/* Response bytes that a stream may hold before anything is known of it. */
size_t h3_share_at_first(const h3_share *sh);

/* A stream begins; httpd is to answer it; its bytes have arrived, or httpd has left it; it ends. */
void h3_share_begin(h3_share *sh, h3_stream *s);
void h3_share_run(h3_share *sh, h3_stream *s);
void h3_share_adjust(h3_share *sh, h3_stream *s);
void h3_share_end(h3_share *sh, h3_stream *s);

/*
 * `n` bytes have been given back as credit, of `s`, or (NULL) of a stream that is no request:
 * grants more where that is wanted. 0, or an error of ngtcp2.
 */
int h3_share_credit(h3_share *sh, h3_stream *s, uint64_t n);

#endif /* H3_SHARE_H */
