/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What core does to a response for HTTP/1.1's sake, put right before it is done; and core's own
 * answer where a handler has given none.
 *
 * On the thread that has c2.
 */
#ifndef H3_ANSWER_H
#define H3_ANSWER_H

#include "httpd.h"

void h3_answer_register_hooks(apr_pool_t *p);

/*
 * The page for 500 (ErrorDocument, or core's own) through c2's output filters, for a request that
 * has ended and of whose final head nothing has gone. `r` is the first of its redirects, not yet
 * logged.
 */
void h3_answer_error(request_rec *r);

#endif /* H3_ANSWER_H */
