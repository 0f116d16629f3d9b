/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP/1.1 text of a response head, as httpd's core or an nph- script writes it, into an
 * h3_head.
 *
 * Pure; any thread.
 */
#ifndef H3_RESPONSE_HEAD_H
#define H3_RESPONSE_HEAD_H

#include <stddef.h>
#include "h3_head.h"

/*
 * Length of the head at the start of `text`, its empty line included, or 0 as
 * long as that has not come. `seen` bytes at the start are known to hold no
 * whole head: what an earlier call was given.
 */
size_t h3_response_head_len(const char *text, size_t len, size_t seen);

/*
 * A head of exactly `len` bytes. Names become lower case; fields that are of one
 * connection are left out (RFC 9114 section 4.2), and Content-Length where the status forbids it,
 * where it is no number, and behind the first (RFC 9110 section 8.6). Complete. NULL with *error
 * set to a sentence: no such head, or no memory.
 */
h3_head *h3_response_head_parse(const char *text, size_t len, const char **error);

#endif /* H3_RESPONSE_HEAD_H */
