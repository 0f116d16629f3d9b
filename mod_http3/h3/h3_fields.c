/* SPDX-License-Identifier: Apache-2.0 */
#include "h3/h3_fields.h"

#include <string.h>

/*
 * A field beyond the limits still costs its decoding: so many more are tolerated (as mod_http2
 * does).
 */
#define EXCESS_FIELDS 100

static void refuse(h3_fields *f, int status);
static int add_pseudo(h3_fields *f, int pseudo, const char *value, size_t len);
static int has_no_content(const h3_head *h);
static int expects(const h3_head *h);

void h3_fields_init(h3_fields *f, h3_head *head, server_rec *limits)
{
    memset(f, 0, sizeof(*f));
    f->head = head;
    f->limits = limits;
}

size_t h3_fields_feed(h3_fields *f, const uint8_t *data, size_t len)
{
    return h3_lines_feed(&f->lines, data, len);
}

int h3_fields_is_excessive(const h3_fields *f)
{
    unsigned max = (unsigned)f->limits->limit_req_fields;

    return max && f->lines.head - f->nlines > max + EXCESS_FIELDS;
}

/* The first offence counts. */
static void refuse(h3_fields *f, int status)
{
    if (!f->head->status) {
        f->head->status = status;
    }
}

static int add_pseudo(h3_fields *f, int pseudo, const char *value, size_t len)
{
    int counts = (int)len;

    /* A request line would be METHOD SP path SP HTTP/3.0; an authority of that length is none. */
    if (len + sizeof(" HTTP/3.0") > (size_t)f->limits->limit_req_line) {
        refuse(f, pseudo == H3_HEAD_AUTHORITY ? HTTP_BAD_REQUEST : HTTP_REQUEST_URI_TOO_LARGE);
        value = pseudo == H3_HEAD_PATH ? "/" : "";
        len = strlen(value);
    }
    return h3_head_set_pseudo(f->head, pseudo, value, len) < 0 ? H3_FIELDS_NO_MEMORY : counts;
}

int h3_fields_add(h3_fields *f, int pseudo, const char *name, size_t name_len, const char *value,
                  size_t value_len)
{
    h3_head *h = f->head;
    unsigned max = (unsigned)f->limits->limit_req_fields;

    f->nlines++;
    if (pseudo >= 0) {
        return add_pseudo(f, pseudo, value, value_len);
    }
    /* Kept or not: what is thrown away of the body is judged by it. */
    h3_head_note_length(h, name, name_len, value);
    f->nfields++;
    if (max && f->nfields > max) {
        refuse(f, HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE);
        return f->nfields > max + EXCESS_FIELDS ? H3_FIELDS_EXCESS : 0;
    }
    if (h->status) {
        return 0;
    }
    /* Fields of one name are merged, and measured once more, by the worker. */
    if (name_len + value_len + 2 > (size_t)f->limits->limit_req_fieldsize) {
        refuse(f, HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE);
        return 0;
    }
    return h3_head_add(h, name, name_len, value, value_len) < 0 ? H3_FIELDS_NO_MEMORY
                                                                : (int)(name_len + value_len);
}

int h3_fields_complete(h3_fields *f)
{
    h3_head *h = f->head;
    unsigned max = (unsigned)f->limits->limit_req_fields, dropped = f->lines.head - f->nlines;

    h3_head_complete(h);
    if (dropped) {
        refuse(f, max && f->nfields + dropped > max ? HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE
                                                    : HTTP_BAD_REQUEST);
        h->dropped = 1;
    }
    return !h->status && h->content_length < 0 && has_no_content(h) && !expects(h);
}

/*
 * Methods whose requests have no content, as a rule (RFC 9110 section 9.3). A client that sends
 * its FIN apart from the head of such a request has not begun a body of unknown length, which is
 * what httpd would have to be told.
 */
static int has_no_content(const h3_head *h)
{
    static const char *const methods[] = { "GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "CONNECT" };
    size_t i;

    for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (h->method && strcmp(h->method, methods[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

/* It waits for an interim response before it sends its content. RFC 9110 section 10.1.1 */
static int expects(const h3_head *h)
{
    size_t i;

    for (i = 0; i < h->nfields; i++) {
        const h3_head_field *f = &h->fields[i];

        if (f->name_len == 6 && memcmp(h3_head_name(h, f), "expect", 6) == 0) {
            return 1;
        }
    }
    return 0;
}

void h3_fields_refuse(h3_fields *f, int status)
{
    h3_head_complete(f->head);
    refuse(f, status);
}
