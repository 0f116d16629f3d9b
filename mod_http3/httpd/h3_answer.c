/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/h3_answer.h"

#include "http_core.h"
#include "http_protocol.h"
#include "http_request.h"
#include "mod_core.h"
#include "util_filter.h"
#include "httpd/h3_c2.h"

typedef struct answer_ctx {
    int depth;     /* of calls: in the second, core has thrown the first response away */
    int restarted; /* and the bytes of the second are counted from its first on */
} answer_ctx;

static ap_filter_rec_t *answer_filter;

static int create_request(request_rec *r);
static void add_filter(request_rec *r);
static apr_status_t filter_answer(ap_filter_t *f, apr_bucket_brigade *bb);
static void forget_framing(request_rec *r);

void h3_answer_register_hooks(apr_pool_t *p)
{
    (void)p;
    answer_filter = ap_register_output_filter("H3_ANSWER", filter_answer, NULL, AP_FTYPE_PROTOCOL);
    ap_hook_create_request(create_request, NULL, NULL, APR_HOOK_MIDDLE);
}

/* Before core's filters of the protocol, which it adds REALLY_LAST. */
static int create_request(request_rec *r)
{
    if (!r->main && !r->prev && h3_c2_of(r->connection)) {
        add_filter(r);
    }
    return OK;
}

static void add_filter(request_rec *r)
{
    answer_ctx *ctx = apr_pcalloc(r->pool, sizeof(*ctx));

    ap_add_output_filter_handle(answer_filter, ctx, r, r->connection);
}

/* ---- between the handler's filters and core's ---- */

/*
 * HTTP_HEADER calls ap_die() where it cannot send a head, or sees an ERROR bucket: the page comes
 * by here while the response that it stands for is still on its way down. Core would say the sum
 * of both for its Content-Length: over HTTP/1.1 a connection that is closed early, over HTTP/3 a
 * malformed message.
 */
static apr_status_t filter_answer(ap_filter_t *f, apr_bucket_brigade *bb)
{
    answer_ctx *ctx = f->ctx;
    apr_status_t rv;

    if (ctx->depth && !ctx->restarted) {
        ctx->restarted = 1;
        f->r->bytes_sent = 0;
    }
    forget_framing(f->r);
    ctx->depth++;
    rv = ap_pass_brigade(f->next, bb);
    ctx->depth--;
    return rv;
}

/*
 * What a handler or filter may ask of HTTP/1.1's framing and HTTP/3 has not: chunks (RFC 9114
 * section 4.2; no Content-Length then, as in core), a response without a head (HTTP/0.9). Core
 * asks for chunks by itself where the connection may have a next request.
 */
static void forget_framing(request_rec *r)
{
    r->assbackwards = 0;
    r->connection->keepalive = AP_CONN_CLOSE;
    if (r->chunked) {
        r->chunked = 0;
        apr_table_unset(r->headers_out, "Transfer-Encoding");
        apr_table_unset(r->err_headers_out, "Transfer-Encoding");
        apr_table_unset(r->headers_out, "Content-Length");
        apr_table_unset(r->err_headers_out, "Content-Length");
    }
}

/* ---- instead of a response ---- */

/* The log shows the last of the redirects' statuses. */
static void set_status_of_redirects(request_rec *r, int status)
{
    for (; r; r = r->next) {
        r->status = status;
    }
}

void h3_answer_error(request_rec *r)
{
    conn_rec *c = r->connection;
    request_rec *last = r, *redirect = r->next;

    while (last->status == HTTP_OK && last->next) {
        last = last->next;
    }
    /* An nph- script takes core's filters away, or they have seen the head that was refused. */
    r->output_filters = r->proto_output_filters = c->output_filters;
    add_filter(r);
    ap_add_output_filter_handle(ap_content_length_filter_handle, NULL, r, c);
    ap_add_output_filter_handle(ap_http_header_filter_handle, NULL, r, c);
    ap_add_output_filter_handle(ap_http_outerror_filter_handle, NULL, r, c);
    apr_table_clear(r->headers_out);
    apr_table_clear(r->err_headers_out);
    r->content_type = r->content_encoding = r->status_line = NULL;
    r->content_languages = NULL;
    r->clength = r->bytes_sent = 0;
    r->chunked = r->eos_sent = 0;
    r->status = last->status; /* of an error: no ErrorDocument then, as in core */
    ap_die(HTTP_INTERNAL_SERVER_ERROR, r);
    if (r->next == redirect) {
        set_status_of_redirects(redirect, HTTP_INTERNAL_SERVER_ERROR);
    }
}
