/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes the Alt-Svc field out of interim responses (1xx). httpd writes them straight to the
 * connection, past all filters of the request, with whatever fields a backend sent along.
 *
 * Works on APR brigades alone. One state belongs to one connection and to the thread that writes
 * it.
 */
#ifndef ALTSVC_INTERIM_H
#define ALTSVC_INTERIM_H

#include <apr_buckets.h>

/* In the order of life; begins and ends as IDLE. */
typedef enum altsvc_interim_state {
    ALTSVC_INTERIM_IDLE,    /* octets pass unseen */
    ALTSVC_INTERIM_WAITING, /* the next octets are the beginning of a response */
    ALTSVC_INTERIM_HEAD,    /* within the head of an interim response */
    ALTSVC_INTERIM_LAST     /* within the head of a 101: no response follows */
} altsvc_interim_state;

/*
 * Removes Alt-Svc lines from the head of an interim response in `bb`, and returns the next state.
 * After an interim response that is WAITING, for the next one; after 101, and after anything else,
 * IDLE: the octets of a tunnel or a body are nobody's fields.
 *
 * Relies on how httpd writes a head: each line in one piece. A line that is split stays.
 */
altsvc_interim_state altsvc_interim_strip(altsvc_interim_state state, apr_bucket_brigade *bb);

#endif /* ALTSVC_INTERIM_H */
