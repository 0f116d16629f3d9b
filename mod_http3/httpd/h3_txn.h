/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request on its way from its stream through httpd: what the stream and the workers share,
 * beside the pipe.
 *
 * Part of its stream, and as long-lived. It passes from hand to hand:
 *
 *     I/O thread   fills it in, until the request is pushed as a job
 *     a worker     h3_request_run: has all of it but `sent` and `whole`, up to h3_pipe_w_leave (a
 *                  SUSPENDED handler: on whatever thread brings its EOR)
 *     I/O thread   counts in `sent` and `whole` what goes out, from the first byte to the last
 *     a worker     h3_request_finish: has all of it, and frees what it owns
 */
#ifndef H3_TXN_H
#define H3_TXN_H

#include <stdint.h>

struct h3_c2;
struct h3_connrec;
struct h3_head;
struct h3_pipe;

typedef struct h3_txn {
    struct h3_pipe *pipe;       /* the stream's */
    struct h3_head *head;       /* the request's, complete; owned: r's fields lie in it */
    struct h3_connrec *connrec; /* a reference, from run to finish */
    struct h3_c2 *c2;           /* from run to finish; NULL if no module let the request in */
    int64_t stream_id;
    int head_only_eof; /* the stream ended with the head: there is no body */
    uint64_t sent;     /* bytes of the stream that went to the client, frames and all */
    int whole;         /* with its end */
} h3_txn;

#endif /* H3_TXN_H */
