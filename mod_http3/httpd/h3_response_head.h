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
#include "border/h3_head.h"

/*
 * Length of the head at the start of `text`, its empty line included, or 0 until that has come.
 * `seen` bytes at the start are known to hold no whole head: what an earlier call was given.
 */
size_t h3_response_head_len(const char *text, size_t len, size_t seen);

/*
 * A head of exactly `len` bytes. Each line ends with CR LF or LF. Names become lower case, a folded
 * field becomes one line. Left out are fields that are of one connection (RFC 9114 section 4.2; but
 * it is noted that chunks follow), and Content-Length where the status forbids it, where it is not
 * a number, and any but the first (RFC 9110 section 8.6). The result is complete. NULL with *error
 * set to a sentence: this is no head, or there is no memory.
 */
h3_head *h3_response_head_parse(const char *text, size_t len, const char **error);

#endif /* H3_RESPONSE_HEAD_H */
