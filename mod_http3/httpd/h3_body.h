/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's body on its way into httpd: c2's input filter, of AP_FTYPE_NETWORK, which reads the
 * pipe.
 *
 * Where the length of the body is unknown it is given chunk framing (RFC 9112 section 7.1), for
 * HTTP_IN knows no other body without a length. On the thread that has c2.
 */
#ifndef H3_BODY_H
#define H3_BODY_H

#include "httpd/h3_c2.h"

typedef enum {
    H3_BODY_NONE,   /* and none will come */
    H3_BODY_SIZED,  /* of the request's Content-Length */
    H3_BODY_CHUNKED /* HTTP_IN is to take it for chunks */
} h3_body_kind;

void h3_body_register_hooks(apr_pool_t *p);

/* Adds the filter to a fresh c2. */
void h3_body_insert(h3_c2 *c2);

/* What kind of body the request has; once, before anybody reads. Does not wait. */
h3_body_kind h3_body_begin(h3_c2 *c2);

#endif /* H3_BODY_H */
