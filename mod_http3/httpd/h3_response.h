/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A response on its way out of httpd: c2's output filter, of AP_FTYPE_NETWORK.
 *
 * Core writes heads as HTTP/1.1's text; these, 1xx and the final one, become h3_heads. Body bytes
 * and file spans go into the pipe. The EOR bucket is captured, and the response ended: cleanly only
 * if the body is as long as its Content-Length says and no error bucket came.
 *
 * On the thread that has c2.
 */
#ifndef H3_RESPONSE_H
#define H3_RESPONSE_H

#include "httpd/h3_c2.h"

void h3_response_register_hooks(apr_pool_t *p);

/* Adds the filter to a fresh c2. */
void h3_response_insert(h3_c2 *c2);

#endif /* H3_RESPONSE_H */
