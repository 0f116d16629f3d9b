/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of a request as it arrives, field by field, held to its virtual host's LimitRequest*.
 *
 * Part of an h3_stream, on the I/O thread. What is beyond the limits is not kept; the first offence
 * is noted in the head's status, with which the request is answered.
 */
#ifndef H3_FIELDS_H
#define H3_FIELDS_H

#include "httpd.h"
#include "border/h3_head.h"
#include "h3/h3_lines.h"

typedef struct h3_fields {
    h3_head *head;      /* the stream's */
    server_rec *limits; /* whose LimitRequest* count */
    h3_lines lines;     /* what the client has sent of it */
    unsigned nfields;   /* without pseudo fields */
    unsigned nlines;    /* with them, as nghttp3 has told them */
} h3_fields;

void h3_fields_init(h3_fields *f, h3_head *head, server_rec *limits);

/*
 * The next bytes of the stream, before nghttp3 looks at them. Returns how many of them it may have:
 * h3_lines_feed().
 */
size_t h3_fields_feed(h3_fields *f, const uint8_t *data, size_t len);

/*
 * Has the client sent far more lines than the limits allow, counting those of which nghttp3 has not
 * told (yet), such as those that it drops?
 */
int h3_fields_is_excessive(const h3_fields *f);

enum {
    H3_FIELDS_NO_MEMORY = -1,
    H3_FIELDS_EXCESS = -2 /* far beyond the limits: the client is up to no good */
};

/*
 * A field; `pseudo` is H3_HEAD_* or -1, strings end with NUL. Returns how many bytes count as
 * payload, or one of the above.
 */
int h3_fields_add(h3_fields *f, int pseudo, const char *name, size_t name_len, const char *value,
                  size_t value_len);

/* All have come. Returns whether the request may be without content, as far as its head tells. */
int h3_fields_complete(h3_fields *f);

/* No more of them will be looked at; the status is the answer, unless there is one already. */
void h3_fields_refuse(h3_fields *f, int status);

#endif /* H3_FIELDS_H */
