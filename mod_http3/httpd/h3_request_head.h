/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of a request as httpd reads it: from an h3_head into a request_rec, and what HTTP/3
 * demands of it that nghttp3 leaves to us.
 *
 * On the worker that runs the request. All of these log what they find wrong, and leave a
 * request_rec that can be answered and logged in any case.
 */
#ifndef H3_REQUEST_HEAD_H
#define H3_REQUEST_HEAD_H

#include "httpd.h"
#include "border/h3_head.h"

/*
 * Fields into r->headers_in, as clients of HTTP/1.1 write them: without those that are of one
 * connection (RFC 9114 section 4.2), cookies joined (section 4.2.1), `:authority` as Host (section
 * 4.3.1). Their strings lie in `head`, which has to outlive r. `limits` has the limits that count:
 * r->server is the address's default host until Host has been looked at. OK, or the status with
 * which to refuse it.
 */
int h3_request_head_set_fields(request_rec *r, h3_head *head, const server_rec *limits);

/* Method, scheme and path (RFC 9114 section 4.3.1). OK, or the status with which to refuse it. */
int h3_request_head_check_target(request_rec *r, const h3_head *head);

/*
 * Sets r->the_request and what follows from it, also of a request that is refused: for the log.
 * 0: core does not like it, r->status says how.
 */
int h3_request_head_parse_line(request_rec *r, const h3_head *head);

#endif /* H3_REQUEST_HEAD_H */
