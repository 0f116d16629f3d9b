/* SPDX-License-Identifier: Apache-2.0 */
/*
 * c2's output filter, of AP_FTYPE_NETWORK: parses the HTTP/1.1 heads that core
 * writes (1xx and the final one) into h3_head, drops connection-specific fields
 * (RFC 9114 section 4.2), passes body bytes and file spans into the pipe,
 * captures the EOR bucket, and ends the response: cleanly only if the body has
 * its Content-Length and no error bucket came.
 */
#ifndef H3_RESPONSE_H
#define H3_RESPONSE_H

#include "h3_connrec.h"

void h3_response_register_hooks(apr_pool_t *p);

/* Adds the output filter to a fresh c2. */
void h3_response_insert(h3_c2 *c2);

#endif /* H3_RESPONSE_H */
