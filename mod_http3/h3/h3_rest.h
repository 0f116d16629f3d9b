/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rests of request bodies that httpd has already answered: how much of each is received and
 * thrown away, and for how long.
 *
 * STOP_SENDING ends a body that nobody wants (RFC 9114 section 4.1), but Chromium, once told to
 * stop, neither goes on nor looks at the answer: a client that sends no more than may well be
 * received is not stopped. A rest does not belong to the h3_stream: the request is logged and freed
 * when the client has its response, however long that client goes on sending.
 *
 * Pure; one list per session, on the I/O thread. Times are nanoseconds of CLOCK_MONOTONIC.
 */
#ifndef H3_REST_H
#define H3_REST_H

#include <stddef.h>
#include <stdint.h>

typedef struct h3_rest {
    struct h3_rest *next;
    int64_t stream_id;
    uint64_t until; /* when it is stopped, if no more comes */
    uint64_t left;  /* bytes that are still received */
    int stopped;    /* by STOP_SENDING; set by the caller */
} h3_rest;

/* All zero is an empty list. */
typedef struct h3_rest_list {
    h3_rest *first;
    unsigned n;
} h3_rest_list;

/*
 * What follows the first `body_in` bytes of a body of `length` bytes (-1: unknown) becomes a rest.
 * NULL: more than is received, one too many, or no memory; it has to be stopped.
 */
h3_rest *h3_rest_begin(h3_rest_list *list, int64_t stream_id, int64_t length, uint64_t body_in,
                       uint64_t until);

/* NULL: the stream has none. */
h3_rest *h3_rest_find(const h3_rest_list *list, int64_t stream_id);

/* `len` bytes have come, which buys it time. 1: that is enough, it has to be stopped. */
int h3_rest_recv(h3_rest *rest, size_t len);

/* No more of it will come. 1: there was one. */
int h3_rest_end(h3_rest_list *list, int64_t stream_id);

/* Is there one that has not been stopped? A client may keep a stopped one open for ever. */
int h3_rest_is_expected(const h3_rest_list *list);

/* Frees them all. */
void h3_rest_clear(h3_rest_list *list);

#endif /* H3_REST_H */
