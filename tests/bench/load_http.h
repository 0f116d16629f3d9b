/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/3 on one connection of the load client: requests begun and counted,
 * bodies read at the wished rate. Embedded in its connection; everything runs
 * on the one thread. Errors are left in the connection's ngtcp2_ccerr.
 */
#ifndef LOAD_HTTP_H
#define LOAD_HTTP_H

#include <stddef.h>
#include <stdint.h>
#include <ngtcp2/ngtcp2.h>
#include <nghttp3/nghttp3.h>
#include "load_opts.h"
#include "load_stat.h"

struct load_stream;

/* A request to repeat: its URL and its number, which --out names files by. */
typedef struct load_again {
    int url;
    uint64_t number;
} load_again;

typedef struct load_http {
    const load_opts *opts;
    load_stat *stat;
    nghttp3_conn *h3; /* NULL until load_http_open */
    ngtcp2_conn *quic;
    ngtcp2_ccerr *ccerr;
    uint64_t now; /* of this turn */

    int64_t remaining; /* requests not begun yet; -1: without end */
    int next_url;
    load_again *again;
    size_t nagain, again_size;
    int64_t goaway; /* the server's id, or -1 */

    struct load_stream *streams;
    int nstreams;
    int nparked;        /* of these, closed in QUIC but waiting for QPACK */
    uint64_t credit_at; /* when credit is due next, UINT64_MAX: nothing is owed */
} load_http;

void load_http_init(load_http *h, const load_opts *o, load_stat *st, int64_t remaining);
/* Takes over what a connection that the server turned away had still to do. */
void load_http_inherit(load_http *h, load_http *from);

/* Once the handshake is over: control and QPACK streams. 0 or -1. */
int load_http_open(load_http *h, ngtcp2_conn *quic, ngtcp2_ccerr *ccerr);
/* Begins as many requests as the user, the peer and GOAWAY allow. 0 or -1. */
int load_http_begin(load_http *h);
/* The time is over: nothing but repeats may still be begun. */
void load_http_stop(load_http *h);
/* Gives back the flow-control credit that the rate allows by now. */
void load_http_give_credit(load_http *h);

/* One packet, as ngtcp2_conn_write_aggregate_pkt2 wants it. */
ngtcp2_ssize load_http_write_pkt(load_http *h, ngtcp2_path *path, ngtcp2_pkt_info *pi,
                                 uint8_t *dest, size_t destlen, ngtcp2_tstamp ts);

/* From ngtcp2's callbacks, and returning what they return. */
int load_http_recv(load_http *h, int64_t id, const uint8_t *data, size_t len, int fin);
int load_http_acked(load_http *h, int64_t id, uint64_t len);
int load_http_unblock(load_http *h, int64_t id);
int load_http_reset(load_http *h, int64_t id, uint64_t code, struct load_stream *s);
int load_http_closed(load_http *h, int64_t id, uint64_t code, struct load_stream *s);

/* 1 if requests are running, or may still be begun on this or another connection. */
int load_http_has_work(const load_http *h);
/*
 * The connection is gone. Counts what was running; with `may_go_on` what was
 * not begun is left for load_http_inherit, else it has failed too.
 */
void load_http_gone(load_http *h, int may_go_on);
void load_http_free(load_http *h);

#endif /* LOAD_HTTP_H */
