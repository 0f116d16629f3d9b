/* SPDX-License-Identifier: Apache-2.0 */
/*
 * c2: one request's connection, and the request on its way through httpd.
 *
 * Made by the worker that runs the request, used by one thread at a time, released by the worker
 * that finishes it. Its master is a copy of c1, as much its own as c2 is: modules write into a
 * connection's notes, its addresses and its pool, and c1 is every worker's.
 */
#ifndef H3_C2_H
#define H3_C2_H

#include <apr_buckets.h>
#include "httpd.h"
#include "http_log.h"
#include "httpd/h3_block.h"
#include "httpd/h3_connrec.h"
#include "httpd/h3_csd.h"
#include "httpd/h3_txn.h"
#include "border/h3_workers.h"

typedef struct h3_c2 {
    h3_block *block;  /* where all of it lives */
    apr_pool_t *pool; /* the block's */
    conn_rec *c;
    request_rec *r;  /* NULL until there is one */
    apr_bucket *eor; /* captured; destroying it logs the request and destroys r */
    h3_txn *txn;
    h3_worker *worker; /* it is bound to, or was last */
    h3_csd *csd;       /* lent by the worker, or kept from it: see h3_c2_unbind() */
    unsigned parties;  /* atomic: worker and EOR; the last one leaves the pipe */
    int eor_seen;      /* EOR has come to our filter, or was destroyed before it did */
    int late;          /* EOR came after the worker had gone: on a thread that is not ours */
    struct h3_open_file *files; /* h3_files */
    apr_off_t framing_in;       /* chunk framing that no client has sent */
} h3_c2;

/*
 * A line about the request on c2, at an APLOG_ level: its connection and stream stand in front, as
 * in the I/O thread's lines about it. `status` is an apr_status_t whose text follows, 0: none. Then
 * a format and its arguments, which are not evaluated where the level is off.
 *
 * At TRACE2 a request can be followed through httpd, at TRACE4 each piece of its two bodies.
 */
#define H3_C2_LOG(c2, level, status, fmt, ...)                                                \
    ap_log_cerror(APLOG_MARK, (level), (status), (c2)->c,                                     \
                  "conn %.8s stream %" APR_INT64_T_FMT ": " fmt, (c2)->txn->connrec->conn_id, \
                  (apr_int64_t)(c2)->txn->stream_id, ##__VA_ARGS__)

/* child_init, after h3_connrec_child_init and before any thread starts. */
apr_status_t h3_c2_child_init(void);

/*
 * c2 for a request of `cr` on worker `w`: pre_connection has run, which is where our filters come
 * in. NULL with *rv: APR_ENOMEM, or APR_EACCES if a module's hook refused it.
 */
h3_c2 *h3_c2_acquire(h3_connrec *cr, h3_worker *w, h3_txn *txn, apr_status_t *rv);

/* From here on `w` runs it: thread, socket, scoreboard row. */
void h3_c2_bind(h3_c2 *c2, h3_worker *w);

/*
 * Its worker does nothing more for it: its scoreboard row is free, and its socket is the worker's
 * again, unless somebody has closed that, or a SUSPENDED handler may still use it.
 */
void h3_c2_unbind(h3_c2 *c2);

/* A module has closed the connection's socket: the client is to hear no more. */
int h3_c2_is_dropped(const h3_c2 *c2);

/*
 * The worker, or EOR, is through with c2: the last of the two leaves the pipe. c2 may be released
 * from then on.
 */
void h3_c2_party_left(h3_c2 *c2, int is_worker);

/*
 * Destroys EOR if it is still there, then all that is in the connection's pool. Where EOR came
 * last, its thread may still be on its way back through httpd: then the memory rests first. On the
 * worker that c2 is bound to.
 */
void h3_c2_release(h3_c2 *c2);

/* The h3_c2 of a c2 conn_rec, NULL for any other. */
h3_c2 *h3_c2_of(const conn_rec *c);

#endif /* H3_C2_H */
