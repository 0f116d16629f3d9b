/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stream head -> request_rec: a request's way through httpd, on a worker.
 *
 * Validation that nghttp3 leaves to us (RFC 9114 section 4.3.1: Host against
 * :authority, scheme, path bytes), the misdirected-request check (421), the
 * limits' 414 and 431, then httpd's own pipeline. Also c2's input filter: body
 * bytes from the pipe, in chunk framing where the length is unknown.
 */
#ifndef H3_REQUEST_H
#define H3_REQUEST_H

#include "h3_connrec.h"
#include "h3_head.h"
#include "h3_pipe.h"

/* Hooks of the request side (filters, post_read_request ...). */
void h3_request_register_hooks(apr_pool_t *p);

/*
 * Runs the request; returns when the handler has. Calls h3_pipe_w_leave in the
 * end (a SUSPENDED handler: when its EOR arrives).
 */
void h3_request_run(h3_txn *txn, h3_worker *w);

/* The stream is done: counts bytes for mod_logio, logs, frees c2. Frees head and connrec. */
void h3_request_finish(h3_txn *txn, h3_worker *w);

#endif /* H3_REQUEST_H */
