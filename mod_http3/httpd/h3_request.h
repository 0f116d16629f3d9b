/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's way through httpd, from its stream's head to its line in the log: limits' 414 and
 * 431, what HTTP/3 demands of a request (h3_request_head), the check for misdirected requests
 * (421), then httpd's own pipeline.
 *
 * On workers: one runs the request, one finishes it.
 */
#ifndef H3_REQUEST_H
#define H3_REQUEST_H

#include "httpd.h"
#include "httpd/h3_txn.h"
#include "border/h3_workers.h"

void h3_request_register_hooks(apr_pool_t *p);

/*
 * Runs the request; returns when the handler has. In the end calls h3_pipe_w_leave (of a SUSPENDED
 * handler: when its EOR arrives).
 */
void h3_request_run(h3_txn *txn, h3_worker *w);

/*
 * The stream is done, `sent` and `whole` of txn are final: counts bytes for mod_logio, logs, frees
 * c2. Frees head and connrec. `w` is NULL for a request that has never been run.
 */
void h3_request_finish(h3_txn *txn, h3_worker *w);

#endif /* H3_REQUEST_H */
